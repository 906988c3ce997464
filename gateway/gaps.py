"""Which messages left the spool by its policy, without ever reaching Kafka.

Rows of a lane are numbered without a hole, and only the policy takes any out behind the cursor: so
what is not there says itself which numbers went, as durably as the rows around it, and however much
it is. Whoever reads across a hole gets a record of it in front of the first row behind, and Kafka
has the record before that row is discarded. How many went, of which topics and why is added up in
the transaction that takes them, and told as a record of its own. Both end as dead letters of reason
``GAP``.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from gateway.blob import FLAGS_AT, OVERHEAD, first_seq
from gateway.message import INTERNAL, Batch, Chunk, Stored
from gateway.packets import publish, spans

LOSS_TOPIC = b"$tidegate/gap/messages"
HOLES_TOPIC = b"$tidegate/gap/numbers"
TOPICS = (LOSS_TOPIC, HOLES_TOPIC)
_MOST_TOPICS = 200
_LONGEST_TOPIC = 200

Why = Literal["drop-oldest", "thin", "age"]


class Loss(msgspec.Struct, frozen=True):
    """How much of a class went, and why; times of receipt in ms.

    ``topics`` counts it by topic, those beyond the first many under "".
    """

    why: Why
    name: str
    messages: int
    first_ts: int
    last_ts: int
    topics: dict[str, int]

    def __str__(self) -> str:
        return f"{self.messages} messages of class {self.name} left the spool ({self.why})"


class Holes(msgspec.Struct, frozen=True):
    """Which numbers went.

    ``ranges``: of these, first and last, all that were given out. ``bits``: where others of a row
    are still there, for the number of its first message a bit for each from there on, in hex, the
    lowest bit of the first byte first.
    """

    ranges: list[tuple[int, int]]
    bits: dict[str, str]

    def __str__(self) -> str:
        ends = [at for one in self.ranges for at in one] + [int(first) for first in self.bits]
        return f"messages between the numbers {min(ends)} and {max(ends)} left the spool"


def loss(why: Why, name: str, gone: Sequence[Stored]) -> Loss:
    """Return the record of chunks that go, at least one."""
    topics: Counter[str] = Counter()
    for stored in gone:
        topics.update(_named(span.topic) for span in spans(stored.chunk.packets))
    times = [stored.chunk.received_ts for stored in gone]
    count = sum(stored.chunk.messages for stored in gone)
    return Loss(why, name, count, min(times), max(times), _bounded(topics))


def joined(one: Loss, other: Loss) -> Loss:
    """Return one record of two of the same class and reason."""
    return Loss(
        one.why,
        one.name,
        one.messages + other.messages,
        min(one.first_ts, other.first_ts),
        max(one.last_ts, other.last_ts),
        _bounded(Counter(one.topics) + Counter(other.topics)),
    )


def note(db: sqlite3.Connection, found: Loss) -> None:
    """Add to what went so far, inside the transaction at hand."""
    key = (found.why, found.name)
    row = db.execute("SELECT doc FROM loss WHERE why = ? AND name = ?", key).fetchone()
    if row is not None:
        found = joined(msgspec.json.decode(row[0], type=Loss), found)
    db.execute("INSERT OR REPLACE INTO loss VALUES (?, ?, ?)", (*key, msgspec.json.encode(found)))


def untold(db: sqlite3.Connection) -> list[bytes]:
    """Return the records of what went, as PUBLISH packets."""
    rows = db.execute("SELECT doc FROM loss ORDER BY why, name")
    return [publish(LOSS_TOPIC, row[0]) for row in rows]


def holes(ranges: list[tuple[int, int]], bits: dict[str, str], like: Chunk) -> Stored:
    """Return the record of rows and messages that are not there, received when ``like`` was."""
    doc = msgspec.json.encode(
        Holes([(first_seq(first), first_seq(last + 1) - 1) for first, last in ranges], bits)
    )
    first = min([*(first_seq(one[0]) for one in ranges), *map(int, bits)])
    return Stored(first, 0, Chunk(publish(HOLES_TOPIC, doc), 1, like[2], like[3], INTERNAL))


def missing(row_id: int, given: int, chunks: Iterable[Stored]) -> str:
    """Return the bits of the messages that a row had and has no more, empty when there are none."""
    bits = (1 << given) - 1
    for stored in chunks:
        bits &= ~(((1 << stored.chunk.messages) - 1) << stored.seq - first_seq(row_id))
    return bits.to_bytes((bits.bit_length() + 7) // 8, "little").hex()


class Seen:
    """What a reader of a lane's rows finds missing."""

    def __init__(self, after: int) -> None:
        """Take the row behind which it reads."""
        self._last = after
        self._ranges: list[tuple[int, int]] = []
        self._bits: dict[str, str] = {}

    def row(self, row_id: int, given: int, chunks: list[Stored]) -> None:
        """Note a row; ``given`` messages were in it once, if it was thinned."""
        self.end(row_id - 1)
        self._last = row_id
        if given:
            self._bits[str(first_seq(row_id))] = missing(row_id, given, chunks)

    def end(self, row_id: int) -> None:
        """Note that there is no row up to this one."""
        if row_id > self._last:
            self._ranges.append((self._last + 1, row_id))

    def told(self, batches: list[Batch]) -> list[Batch]:
        """Return batches with the record in front, or alone where nothing else is left."""
        if not (self._ranges or self._bits):
            return batches
        like = next((s.chunk for b in batches for s in b.chunks), Chunk(b"", 0, 0, 0, 0))
        record = holes(self._ranges, self._bits, like)
        if not batches:
            return [Batch(self._ranges[-1][1], 0, [record], None)]
        first = batches[0]
        return [first._replace(chunks=[record, *first.chunks]), *batches[1:]]


def told(topic: bytes, payload: bytes) -> str:
    """Return what a record says, in words.

    Raises:
        msgspec.MsgspecError: it is none.
    """
    return str(msgspec.json.decode(payload, type=Loss if topic == LOSS_TOPIC else Holes))


def is_loss(blob: bytes) -> bool:
    """Return whether a row holds the records of :func:`untold`; nothing else is in it.

    No publisher can make one look so, since the flag of its own messages is the gateway's.
    """
    own = len(blob) > OVERHEAD and blob[FLAGS_AT] & INTERNAL
    return bool(own) and blob.find(LOSS_TOPIC, OVERHEAD, OVERHEAD + 40) > 0


def _bounded(topics: Counter[str]) -> dict[str, int]:
    if len(topics) <= _MOST_TOPICS:
        return dict(topics)
    known = dict(topics.most_common(_MOST_TOPICS))
    known[""] = known.get("", 0) + topics.total() - sum(known.values())
    return known


def _named(topic: bytes) -> str:
    return topic.decode("utf-8", "backslashreplace") if len(topic) <= _LONGEST_TOPIC else ""
