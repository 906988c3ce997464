"""Gap records: which messages left the spool by its policy, without ever reaching Kafka.

One is written in the transaction that takes the messages away. Once there is room and a way to
Kafka again it is spooled like a message, and ends as a dead letter of reason ``GAP``.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable
from typing import Literal

import msgspec

from gateway.blob import FLAGS_AT, OVERHEAD, first_seq, row_of
from gateway.message import INTERNAL, Stored
from gateway.packets import publish, spans

GAP_TOPIC = b"$tidegate/gap"
_MOST_TOPICS = 200
_LONGEST_TOPIC = 200
# A thinned record of so many rows is followed by another: it has to fit a message.
_MOST_ROWS = 1000

Why = Literal["drop-oldest", "thin", "age"]


class Gap(msgspec.Struct, frozen=True):
    """What went: numbers from ``first_seq`` to ``last_seq``, times of receipt in ms.

    Of a dropped range every number that was given out is gone. Of a thinned one ``bits`` says
    which: for the number of a row's first message, a bit for each message from there on, in hex,
    the lowest bit of the first byte first. ``topics`` counts what went, those beyond many under "".
    """

    why: Why
    name: str
    epoch: int
    first_seq: int
    last_seq: int
    messages: int
    first_ts: int
    last_ts: int
    topics: dict[str, int]
    bits: dict[str, str] = {}

    def __str__(self) -> str:
        return (
            f"{self.messages} messages of class {self.name} left the spool ({self.why}): "
            f"numbers {self.first_seq} to {self.last_seq}"
        )


class Going:
    """Collects what goes, row by row, into records."""

    def __init__(self, why: Why, name: str) -> None:
        """Take why it goes, and the name of its class."""
        self._why: Why = why
        self._name = name
        self.gaps: list[Gap] = []

    def add(self, row_id: int, gone: Iterable[Stored], bits: str = "") -> None:
        """Note chunks that go, all of one row; ``bits`` where others of it stay."""
        for stored in gone:
            gap = self._gap(row_id, stored, bits)
            if self.gaps and _goes_on(self.gaps[-1], gap):
                self.gaps[-1] = joined(self.gaps[-1], gap)
            else:
                self.gaps.append(gap)

    def _gap(self, row_id: int, stored: Stored, bits: str) -> Gap:
        seq, epoch, chunk = stored
        return Gap(
            self._why,
            self._name,
            epoch,
            seq,
            seq + chunk.messages - 1,
            chunk.messages,
            chunk.received_ts,
            chunk.received_ts,
            dict(Counter(_named(span.topic) for span in spans(chunk.packets))),
            {str(first_seq(row_id)): bits} if bits else {},
        )


def joined(first: Gap, then: Gap) -> Gap:
    """Return one record of two."""
    topics = Counter(first.topics)
    for topic, count in then.topics.items():
        topics[topic if topic in topics or len(topics) < _MOST_TOPICS else ""] += count
    return msgspec.structs.replace(
        first,
        last_seq=then.last_seq,
        messages=first.messages + then.messages,
        last_ts=then.last_ts,
        topics=dict(topics),
        bits={**first.bits, **then.bits},
    )


def note(db: sqlite3.Connection, gaps: Iterable[Gap]) -> None:
    """Write records down, inside the transaction at hand; a range that goes on is one record."""
    for gap in gaps:
        row = db.execute("SELECT id, doc FROM gap ORDER BY id DESC LIMIT 1").fetchone()
        last = None if row is None else msgspec.json.decode(row[1], type=Gap)
        if last is not None and _goes_on(last, gap):
            doc = msgspec.json.encode(joined(last, gap))
            db.execute("UPDATE gap SET doc = ? WHERE id = ?", (doc, row[0]))
        else:
            db.execute("INSERT INTO gap (doc) VALUES (?)", (msgspec.json.encode(gap),))


def waiting(db: sqlite3.Connection, most: int) -> list[tuple[int, bytes]]:
    """Return the first records that are to be told, by their ids, as PUBLISH packets."""
    rows = db.execute("SELECT id, doc FROM gap ORDER BY id LIMIT ?", (most,))
    return [(row_id, publish(GAP_TOPIC, doc)) for row_id, doc in rows]


def told(payload: bytes) -> str:
    """Return what a record says, in words.

    Raises:
        msgspec.MsgspecError: it is none.
    """
    return str(msgspec.json.decode(payload, type=Gap))


def is_gap(blob: bytes) -> bool:
    """Return whether a row holds records, as :func:`waiting` gives them; nothing else is in it.

    No publisher can make one look so, since the flag of its own messages is the gateway's.
    """
    own = len(blob) > OVERHEAD and blob[FLAGS_AT] & INTERNAL
    return bool(own) and blob.find(GAP_TOPIC, OVERHEAD, OVERHEAD + 40) > 0


def _goes_on(last: Gap, gap: Gap) -> bool:
    if (last.why, last.name, last.epoch) != (gap.why, gap.name, gap.epoch):
        return False
    if gap.why == "thin":
        return len(last.bits) < _MOST_ROWS and gap.first_seq > last.last_seq
    return row_of(gap.first_seq) - row_of(last.last_seq) in (0, 1)


def _named(topic: bytes) -> str:
    return topic.decode("utf-8", "backslashreplace") if len(topic) <= _LONGEST_TOPIC else ""
