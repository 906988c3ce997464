"""Making room in the spool: the oldest rows dropped, or every second message of each topic.

Each of these runs inside a transaction, and what it returns is to be noted in it.
"""

import itertools
import sqlite3
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gateway.blob import first_row, lane_of, seal, unseal
from gateway.gaps import Loss, Why, is_loss, joined, loss
from gateway.message import UNSYNCED, Stored
from gateway.packets import Span, spans

_MOST_TOPICS = 50_000
# Of up to 1 MiB each.
_PAGE_ROWS = 8


class Left(NamedTuple):
    """What went, how many messages and bytes that is, and up to which row was looked."""

    loss: Loss | None
    messages: int
    size: int
    upto: int


class _Going:
    """Adds up what goes."""

    def __init__(self, why: Why, name: str, upto: int) -> None:
        self._why: Why = why
        self._name = name
        self._loss: Loss | None = None
        self.messages = self.size = 0
        self.upto = upto

    def add(self, gone: Sequence[Stored], messages: int, size: int) -> None:
        """Add what is readable of it, and what it counts for."""
        if gone:
            found = loss(self._why, self._name, gone)
            self._loss = found if self._loss is None else joined(self._loss, found)
        self.messages += messages
        self.size += size

    @property
    def left(self) -> Left:
        return Left(self._loss, self.messages, self.size, self.upto)


class _Row(NamedTuple):
    row_id: int
    messages: int
    size: int
    first_ts: int
    given: int
    blob: bytes

    @property
    def chunks(self) -> list[Stored]:
        return unseal(self.row_id, self.messages, self.blob).chunks


class Alternate:
    """Remembers of each topic whether its last message stayed: the next one then goes."""

    def __init__(self) -> None:
        self._stayed: set[bytes] = set()

    def stays(self, topic: bytes) -> bool:
        """Return whether the next message of a topic stays."""
        if topic in self._stayed:
            self._stayed.discard(topic)
            return False
        if len(self._stayed) >= _MOST_TOPICS:
            self._stayed.clear()
        self._stayed.add(topic)
        return True


def drop_oldest(db: sqlite3.Connection, after: int, need: int, name: str) -> Left:
    """Delete the first rows of a lane behind an id until so many bytes are free."""
    going = _Going("drop-oldest", name, after)
    for row in _rows(db, after):
        if going.size >= need:
            break
        going.upto = row.row_id
        going.add(row.chunks, row.messages, row.size)
        db.execute("DELETE FROM batch WHERE id = ?", (row.row_id,))
    return going.left


def drop_aged(db: sqlite3.Connection, after: int, before_ts: int, name: str, most: int) -> Left:
    """Delete rows of a lane, at most so many, whose messages came before a time (ms).

    Those that came while the clock was not set have no age yet, and stay.
    """
    going = _Going("age", name, after)
    for row in itertools.islice(_rows(db, after), most):
        chunks = row.chunks
        if max((stored.chunk.received_ts for stored in chunks), default=0) >= before_ts:
            break
        going.upto = row.row_id
        if not any(stored.chunk.flags & UNSYNCED for stored in chunks):
            going.add(chunks, row.messages, row.size)
            db.execute("DELETE FROM batch WHERE id = ?", (row.row_id,))
    return going.left


def thin(db: sqlite3.Connection, rows: range, need: int, name: str, alternate: Alternate) -> Left:
    """Take every second message of each topic out of rows of a lane, until so many bytes are free.

    A damaged row is left as it is.
    """
    going = _Going("thin", name, rows.start - 1)
    for row in _rows(db, going.upto):
        if going.size >= need or row.row_id not in rows:
            break
        going.upto = row.row_id
        opened = unseal(row.row_id, row.messages, row.blob)
        parted = [] if opened.damage else [_parted(stored, alternate) for stored in opened.chunks]
        if gone := [stored for part in parted for stored in part.gone]:
            kept = [stored for part in parted for stored in part.kept]
            left = _rewritten(db, row, kept)
            going.add(gone, sum(stored.chunk.messages for stored in gone), row.size - left)
    else:
        going.upto = max(rows.stop - 1, going.upto)
    return going.left


class _Parted(NamedTuple):
    kept: list[Stored]
    gone: list[Stored]


def _parted(stored: Stored, alternate: Alternate) -> _Parted:
    """Cut a chunk into runs of messages that stay and that go; each keeps its numbers."""
    parted = _Parted([], [])
    run: list[Span] = []
    staying = True
    for span in spans(stored.chunk.packets):
        stays = alternate.stays(span.topic)
        if run and stays != staying:
            (parted.kept if staying else parted.gone).append(_cut(stored, run))
            stored, run = _behind(stored, run), []
        staying = stays
        run.append(span)
    (parted.kept if staying else parted.gone).append(_cut(stored, run))
    return parted


def _cut(stored: Stored, run: list[Span]) -> Stored:
    """Return the chunk of a run, the first of ``stored`` that was not cut off before."""
    chunk = stored.chunk
    packets = chunk.packets[run[0].begin : run[-1].end]
    return stored._replace(chunk=chunk._replace(packets=packets, messages=len(run)))


def _behind(stored: Stored, run: list[Span]) -> Stored:
    return stored._replace(seq=stored.seq + len(run))


def _rewritten(db: sqlite3.Connection, row: _Row, kept: list[Stored]) -> int:
    """Leave only these chunks in a row, and no row where there are none; return its bytes."""
    # Not an update: that takes room for the new blob before it frees the old one's.
    db.execute("DELETE FROM batch WHERE id = ?", (row.row_id,))
    if not kept:
        return 0
    blob = seal(kept)
    count = sum(stored.chunk.messages for stored in kept)
    db.execute(
        "INSERT INTO batch (id, n, bytes, first_ts, given, blob) VALUES (?, ?, ?, ?, ?, ?)",
        (row.row_id, count, len(blob), row.first_ts, row.given or row.messages, blob),
    )
    return len(blob)


def _rows(db: sqlite3.Connection, after: int) -> Iterator[_Row]:
    """Return a lane's rows behind an id that may go, in pages: they may be changed meanwhile.

    A row that says what went before is never one of them.
    """
    end = first_row(lane_of(after) + 1)
    while True:
        page = db.execute(
            "SELECT id, n, bytes, first_ts, given, blob FROM batch"
            " WHERE id > ? AND id < ? ORDER BY id LIMIT ?",
            (after, end, _PAGE_ROWS),
        ).fetchall()
        if not page:
            return
        yield from (row for row in map(_Row._make, page) if not is_loss(row.blob))
        after = page[-1][0]
