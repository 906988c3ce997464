"""What can still be read of spools and rows that were set aside."""

import re
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from gateway import door, spool_rows
from gateway.blob import LANES, first_row, unseal
from gateway.message import Chunk, Stored
from schemas.failure import Failure

_ROW = re.compile(r".*\.row-(\d+)")
_PORTION_BYTES = 1 << 20
# How many rows are tried of a lane whose last one is not to be found out.
_MOST_UNKNOWN = 1_000_000
# A page of the file that is gone takes some ten rows with it; so many in a row are its end.
_MOST_UNREADABLE = 10_000


class Salvaged(NamedTuple):
    """What was readable, in its order, and a line for what was not."""

    chunks: list[Stored]
    trouble: list[str]


def read(path: Path) -> Salvaged:
    """Read a row's file or a database, as far as it goes.

    Raises:
        Failure: nothing of it can be read.
    """
    if match := _ROW.fullmatch(path.name):
        try:
            chunks = spool_rows.chunks_of(int(match[1]), path.read_bytes())
        except OSError as error:
            raise Failure(f"{path}: {error.strerror}") from error
        return Salvaged(chunks, [] if chunks else ["no chunk of it is sound"])
    with door.database(path) as db:
        return _from_database(db)


def _from_database(db: sqlite3.Connection) -> Salvaged:
    """Read row by row: one that cannot be read costs itself alone."""
    found = Salvaged([], [])
    db.execute("SELECT 1 FROM sqlite_schema").fetchone()
    for lane in range(LANES):
        before, end = first_row(lane), first_row(lane + 1)
        first = _asked(db, "SELECT cursor FROM lane WHERE number = ?", lane) or before
        last = _asked(db, f"SELECT max(id) FROM batch WHERE id > ? AND id < {end}", before)
        _read_lane(
            db, range(first + 1, (first + _MOST_UNKNOWN if last is None else last) + 1), found
        )
    return found


def _read_lane(db: sqlite3.Connection, ids: Iterable[int], found: Salvaged) -> None:
    unreadable = 0
    for row_id in ids:
        try:
            row = db.execute("SELECT n, blob FROM batch WHERE id = ?", (row_id,)).fetchone()
        except sqlite3.DatabaseError as error:
            unreadable += 1
            if unreadable == 1:
                found.trouble.append(f"from row {row_id} on: {error}")
            if unreadable > _MOST_UNREADABLE:
                return
            continue
        unreadable = 0
        if row is not None:
            opened = unseal(row_id, *row)
            found.chunks.extend(opened.chunks)
            if opened.damage:
                found.trouble.append(f"row {row_id}: {opened.damage}")


def _asked(db: sqlite3.Connection, question: str, about: int) -> int | None:
    """Return a number, 0 where there is none, None where it cannot be read."""
    try:
        return int((db.execute(question, (about,)).fetchone() or (0,))[0] or 0)
    except sqlite3.DatabaseError:
        return None


def put(chunks: list[Stored], keep: Callable[[list[Chunk]], None]) -> None:
    """Hand chunks over in portions of a bounded size."""
    portion: list[Chunk] = []
    size = 0
    for stored in chunks:
        # The monotonic clock was another boot's; at its beginning nothing has waited too little.
        portion.append(stored.chunk._replace(received_mono=0))
        size += len(stored.chunk.packets)
        if size >= _PORTION_BYTES:
            keep(portion)
            portion, size = [], 0
    if portion:
        keep(portion)
