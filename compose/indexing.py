"""Topics into OpenSearch: read, index, and only then commit.

    consume ─▶ decode ─▶ bulk ─┬─▶ stored                ─┐
                  │            ├─▶ refused ─▶ dead-letters ├─▶ commit offsets
                  └─▶ dead-letters ────────────────────────┘
                               └─▶ not now ─▶ wait, the same again

At least once, and a document's id follows from its record: what is indexed again replaces itself.
"""

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from threading import Event
from typing import Any, NamedTuple, TypeVar

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from gateway.follow import decoder
from gateway.pacing import backoff_s
from schemas.codec import encode
from schemas.failure import Failure, Unavailable
from schemas.records import Alert, DeadLetter, WindowFeatures
from schemas.registry import Registry, RegistryDown, RegistryRefused
from stream.sinks.documents import Document, document
from stream.sinks.opensearch import OpenSearch, Outcome, Overloaded, TooLarge

log = logging.getLogger("tidegate.sinks")

T = TypeVar("T")
_BATCH = 1000
_POLL_S = 0.5
_DELIVERY_S = 60.0
_NOT_FOUND = 404
# With the rest of the letter it fits a message of 1 MB, which a record may have filled.
_MOST_PAYLOAD = 900_000
_KINDS: dict[str, type[WindowFeatures] | type[Alert]] = {"windows": WindowFeatures, "alerts": Alert}
# In front of what each consumer of the group must have.
GROUP: dict[str, Any] = {
    "enable.auto.commit": False,
    "auto.offset.reset": "earliest",
    "isolation.level": "read_committed",
    "enable.partition.eof": True,
    # A reader that was killed holds its partitions for as long.
    "session.timeout.ms": 10_000,
    # While the cluster is away nothing is polled. Another reader could not go on either, and
    # would begin with what this one holds.
    "max.poll.interval.ms": 86_400_000,
}


class Counts(NamedTuple):
    """What became of the records so far."""

    indexed: int = 0
    rejected: int = 0
    undecodable: int = 0


class Item(NamedTuple):
    """A record on its way: as it came, and as the document it becomes."""

    message: Message
    document: Document


class Letter(NamedTuple):
    """A record that can be no document, with a reason code and words."""

    message: Message
    reason: str
    detail: str


class DeadLetters:
    """Where records go that can be no documents."""

    def __init__(self, producer: Producer, topic: str, schema_id: int) -> None:
        """Take a producer of our own: delivery is waited for."""
        self._producer = producer
        self._topic = topic
        self._schema_id = schema_id

    def put(self, letters: Sequence[Letter]) -> None:
        """Produce records and wait until the broker has them.

        Raises:
            Unavailable: it does not take them; nothing may be committed.
        """
        failed: list[str] = []

        def delivered(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                failed.append(error.str())

        for letter in letters:
            value = encode(_record(letter), self._schema_id)
            try:
                self._producer.produce(self._topic, value, on_delivery=delivered)
            except BufferError:
                self._await()
                self._producer.produce(self._topic, value, on_delivery=delivered)
        self._await()
        if failed:
            raise Unavailable(f"{self._topic}: {failed[0]}")

    def _await(self) -> None:
        if self._producer.flush(_DELIVERY_S):
            raise Unavailable(f"{self._topic}: not delivered in {_DELIVERY_S:g} s")


def _record(letter: Letter) -> DeadLetter:
    """Return a dead letter of any record, no larger than what a broker takes."""
    message, reason, detail = letter
    payload = message.value() or b""
    cut = "" if len(payload) <= _MOST_PAYLOAD else f"the first {_MOST_PAYLOAD} bytes are kept; "
    return DeadLetter(
        origin="JOB",
        reason=reason,
        detail=f"{cut}{detail}"[:1000],
        payload=payload[:_MOST_PAYLOAD],
        at=time.time_ns() // 1_000_000,
        kafka_topic=message.topic(),
        kafka_partition=message.partition(),
        kafka_offset=message.offset(),
    )


class Indexer:
    """Carries batches from Kafka to the cluster until it is told to stop."""

    def __init__(
        self,
        consumer: Consumer,
        cluster: OpenSearch,
        registry: Registry,
        letters: DeadLetters,
        *,
        topic_prefix: str,
        index_prefix: str,
        stop: Event,
    ) -> None:
        """Take what it works with; nothing is asked yet."""
        self._consumer = consumer
        self._cluster = cluster
        self._letters = letters
        self._index_prefix = index_prefix
        self._stop = stop
        self._decoders: dict[str, Callable[[bytes | None], Any]] = {
            topic_prefix + name: decoder(kind, registry) for name, kind in _KINDS.items()
        }
        self._open: set[tuple[str, int]] | None = None
        self.counts = Counts()

    def subscribe(self, *, replay: bool) -> None:
        """Join the group; with ``replay`` begin with the oldest records, whatever was committed."""

        def assigned(consumer: Consumer, partitions: list[TopicPartition]) -> None:
            if replay and self._open is None:
                for each in partitions:
                    each.offset = OFFSET_BEGINNING
                consumer.assign(partitions)
            self._open = {(each.topic, each.partition) for each in partitions}

        self._consumer.subscribe(list(self._decoders), on_assign=assigned)

    @property
    def at_end(self) -> bool:
        """Say whether the end of every partition was reached once."""
        return self._open is not None and not self._open

    def step(self) -> None:
        """Carry one batch over, if there is one; what is not done when told to stop stays.

        Raises:
            Failure: the cluster or the broker refuses for good.
        """
        messages = [each for each in self._consumer.consume(_BATCH, _POLL_S) if self._sound(each)]
        if not messages:
            return
        items = _newest(self._patiently(partial(self._documents, messages)) or [])
        attempt = 0
        while items and not self._stop.is_set():
            items = self._patiently(partial(self._index, items)) or []
            if items:
                self._wait(attempt, f"{len(items)} documents are not taken")
                attempt += 1
        if not self._stop.is_set():
            self._commit(messages)

    def _sound(self, message: Message) -> bool:
        error = message.error()
        if error is None:
            return True
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
            if self._open is not None:
                self._open.discard((str(message.topic()), int(message.partition() or 0)))
        elif error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise Failure(
                f"topic {message.topic()} does not exist; create it: tidegate topics apply"
            )
        elif error.fatal():
            raise Unavailable(f"Kafka: {error.str()}")
        return False

    def _documents(self, messages: Sequence[Message]) -> list[Item]:
        """Return what decodes as documents; the rest become dead letters."""
        items: list[Item] = []
        letters: list[Letter] = []
        for message in messages:
            try:
                record = self._decoders[str(message.topic())](message.value())
                items.append(Item(message, document(record, self._index_prefix)))
            except ValueError as error:
                letters.append(Letter(message, "UNDECODABLE", str(error)))
            except RegistryRefused as refusal:
                if refusal.status != _NOT_FOUND:
                    raise
                letters.append(Letter(message, "UNDECODABLE", str(refusal)))
        self._letters.put(letters)
        self.counts = self.counts._replace(undecodable=self.counts.undecodable + len(letters))
        return items

    def _index(self, items: Sequence[Item]) -> list[Item]:
        """Write documents; return those to try again. What is itself at fault is set aside."""
        outcomes = self._bulk(items)
        letters = [
            Letter(item.message, "REJECTED", each.refusal)
            for item, each in zip(items, outcomes, strict=True)
            if each.final
        ]
        self._letters.put(letters)
        again = [
            (item, each.refusal)
            for item, each in zip(items, outcomes, strict=True)
            if each.refusal and not each.final
        ]
        if again:
            log.warning("%d documents are not taken: %s", len(again), again[0][1])
        done = len(items) - len(letters) - len(again)
        self.counts = self.counts._replace(
            indexed=self.counts.indexed + done, rejected=self.counts.rejected + len(letters)
        )
        return [item for item, _ in again]

    def _bulk(self, items: Sequence[Item]) -> list[Outcome]:
        """Write documents in one request, or in as many as the cluster's limit asks for."""
        try:
            return self._cluster.index([item.document for item in items])
        except TooLarge as error:
            if len(items) == 1:
                return [Outcome(str(error), final=True)]
        half = len(items) // 2
        return self._bulk(items[:half]) + self._bulk(items[half:])

    def _patiently(self, work: Callable[[], T]) -> T | None:
        """Do what needs a server until it is done; None when told to stop."""
        attempt = 0
        while not self._stop.is_set():
            try:
                return work()
            except (Overloaded, Unavailable, RegistryDown, RegistryRefused) as error:
                self._wait(attempt, str(error))
                attempt += 1
        return None

    def _wait(self, attempt: int, why: str) -> None:
        pause = backoff_s(attempt)
        log.warning("again in %.1f s: %s", pause, why)
        self._stop.wait(pause)

    def _commit(self, messages: Sequence[Message]) -> None:
        """Say how far the group has come."""
        ends: dict[tuple[str, int], int] = {}
        for message in messages:
            place = (str(message.topic()), int(message.partition() or 0))
            ends[place] = int(message.offset() or 0) + 1
        offsets = [TopicPartition(*place, offset) for place, offset in ends.items()]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            # Whoever has the partitions now reads these records again, to the same documents.
            log.warning("offsets are not committed: %s", error.args[0].str())


def _newest(items: Sequence[Item]) -> list[Item]:
    """Return the last of each document: an earlier one tried again later would win."""
    last = {(item.document.index_name, item.document.id): item for item in items}
    return list(last.values())
