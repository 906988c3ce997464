"""Making room in the spool: the oldest rows dropped, or every second message of each topic.

Each of these runs inside a transaction and returns what went, which is to be noted in it.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from gateway.blob import first_row, first_seq, lane_of, seal, unseal
from gateway.gaps import Gap, Going, is_gap
from gateway.message import UNSYNCED, Stored
from gateway.packets import Span, spans

_MOST_TOPICS = 50_000
# Of up to 1 MiB each.
_PAGE_ROWS = 8


class Left(NamedTuple):
    """What went, how many messages and bytes that is, and up to which row was looked."""

    gaps: list[Gap]
    messages: int
    size: int
    upto: int


class _Row(NamedTuple):
    row_id: int
    messages: int
    size: int
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
    going = Going("drop-oldest", name)
    messages = size = 0
    upto = after
    for row in _rows(db, after):
        if size >= need:
            break
        upto = row.row_id
        going.add(row.row_id, row.chunks)
        db.execute("DELETE FROM batch WHERE id = ?", (row.row_id,))
        messages, size = messages + row.messages, size + row.size
    return Left(going.gaps, messages, size, upto)


def drop_aged(db: sqlite3.Connection, after: int, before_ts: int, name: str, most: int) -> Left:
    """Delete rows of a lane, at most so many, whose messages came before a time (ms).

    Those that came while the clock was not set have no age yet, and stay.
    """
    going = Going("age", name)
    messages = size = count = 0
    upto = after
    for row in _rows(db, after):
        chunks = row.chunks
        times = [stored.chunk.received_ts for stored in chunks]
        if count >= most or max(times, default=0) >= before_ts:
            break
        count, upto = count + 1, row.row_id
        if any(stored.chunk.flags & UNSYNCED for stored in chunks):
            continue
        going.add(row.row_id, chunks)
        db.execute("DELETE FROM batch WHERE id = ?", (row.row_id,))
        messages, size = messages + row.messages, size + row.size
    return Left(going.gaps, messages, size, upto)


def thin(db: sqlite3.Connection, after: int, need: int, name: str, alternate: Alternate) -> Left:
    """Take every second message of each topic out of a lane's rows behind an id.

    It ends once so many bytes are free, or at the lane's end. A damaged row is left as it is.
    """
    going = Going("thin", name)
    messages = size = 0
    upto = after
    for row in _rows(db, after):
        if size >= need:
            break
        upto = row.row_id
        opened = unseal(row.row_id, row.messages, row.blob)
        parted = [] if opened.damage else [_parted(stored, alternate) for stored in opened.chunks]
        gone = [stored for part in parted for stored in part.gone]
        if not gone:
            continue
        going.add(row.row_id, gone, _bits(row.row_id, gone))
        kept = [stored for part in parted for stored in part.kept]
        left = _rewritten(db, row.row_id, kept)
        messages += sum(stored.chunk.messages for stored in gone)
        size += row.size - left
    return Left(going.gaps, messages, size, upto)


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


def _bits(row_id: int, gone: Iterable[Stored]) -> str:
    bits = 0
    for stored in gone:
        at = stored.seq - first_seq(row_id)
        bits |= ((1 << stored.chunk.messages) - 1) << at
    return bits.to_bytes((bits.bit_length() + 7) // 8, "little").hex()


def _rewritten(db: sqlite3.Connection, row_id: int, kept: list[Stored]) -> int:
    """Leave only these chunks in a row, and no row where there are none; return its bytes."""
    if not kept:
        db.execute("DELETE FROM batch WHERE id = ?", (row_id,))
        return 0
    blob = seal(kept)
    count = sum(stored.chunk.messages for stored in kept)
    db.execute(
        "UPDATE batch SET n = ?, bytes = ?, blob = ? WHERE id = ?",
        (count, len(blob), blob, row_id),
    )
    return len(blob)


def _rows(db: sqlite3.Connection, after: int) -> Iterator[_Row]:
    """Return a lane's rows behind an id that may go, in pages: they may be changed meanwhile.

    A row that says what went before is never one of them.
    """
    end = first_row(lane_of(after) + 1)
    while True:
        page = db.execute(
            "SELECT id, n, bytes, blob FROM batch WHERE id > ? AND id < ? ORDER BY id LIMIT ?",
            (after, end, _PAGE_ROWS),
        ).fetchall()
        if not page:
            return
        yield from (row for row in map(_Row._make, page) if not is_gap(row.blob))
        after = page[-1][0]
