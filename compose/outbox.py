"""Records sent as one: a reader of committed records sees all of a run, or none."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from confluent_kafka import KafkaError, KafkaException, Producer

from gateway.kafka import settings
from schemas.failure import Failure, Unavailable

MARK = ("tidegate", b"backfill")
"""The header of every record sent from here."""
_TIMEOUT_S = 30.0
_TRANSACTION_MS = 300_000
"""After this the broker gives up on a transaction whose sender is gone: until then it, or a new
sender of the same name, readers of committed records wait behind it."""
_COMMIT_S = 120.0


class Outbox:
    """What a run is to send, on disk until it is complete."""

    def __init__(self, path: Path) -> None:
        """Make the file; it is scratch."""
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
            "CREATE TABLE records (topic TEXT, key BLOB, value BLOB)"
        )

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def put(self, topic: str, key: bytes, value: bytes) -> None:
        """Add a record."""
        self._db.execute("INSERT INTO records VALUES (?, ?, ?)", (topic, key, value))

    def __len__(self) -> int:
        """Return how many there are."""
        return int(self._db.execute("SELECT count(*) FROM records").fetchone()[0])

    def __iter__(self) -> Iterator[tuple[str, bytes, bytes]]:
        """Yield topic, key and value in the order of :meth:`put`."""
        return iter(self._db.execute("SELECT topic, key, value FROM records ORDER BY rowid"))


class Sender:
    """Sends under a name that only one process can have at a time, the newest."""

    def __init__(self, bootstrap: str, name: str) -> None:
        """Take the name, which ends what an earlier process of that name left unfinished.

        Raises:
            Unavailable: the brokers do not answer.
        """
        self._name = name
        own: dict[str, str | int | float | bool] = {
            "transactional.id": name,
            "transaction.timeout.ms": _TRANSACTION_MS,
            # librdkafka wants it no longer than the transaction's.
            "message.timeout.ms": _TRANSACTION_MS,
            "statistics.interval.ms": 0,
            "log_level": 0,
        }
        self._producer = Producer(settings(bootstrap, own))
        try:
            self._producer.init_transactions(_TIMEOUT_S)
        except KafkaException as error:
            why = error.args[0].str()
            raise Unavailable(f"Kafka at {bootstrap} gives no transactions: {why}") from error

    def send(self, outbox: Outbox) -> None:
        """Send all of it, or nothing that a reader of committed records sees.

        Raises:
            Failure: another process has taken the name since, or a broker refuses a record.
            Unavailable: the brokers do not answer any more.
        """
        try:
            self.begin(outbox)
            self._producer.commit_transaction(_COMMIT_S)
        except KafkaException as error:
            raise self._failure(error.args[0]) from error

    def begin(self, outbox: Outbox) -> None:
        """Send all of it without the commit."""
        self._producer.begin_transaction()
        for topic, key, value in outbox:
            while True:
                try:
                    self._producer.produce(topic, value, key, headers=[MARK])
                    break
                except BufferError:
                    self._producer.poll(0.1)
            self._producer.poll(0)
        self._producer.flush(_COMMIT_S)

    def _failure(self, error: KafkaError) -> Failure:
        if error.code() in (KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH):  # noqa: SLF001
            return Failure(
                f"nothing was sent: another backfill of {self._name} has begun since; "
                "let it end, then run this one again"
            )
        if error.txn_requires_abort():
            self._producer.abort_transaction(_TIMEOUT_S)
        return Unavailable(f"nothing was sent: Kafka says {error.str()}; run it again")
