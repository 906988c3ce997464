"""What can still be read of spools and rows that were set aside."""

import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from gateway import door, spool_rows
from gateway.blob import unseal
from gateway.message import Chunk, Stored
from schemas.failure import Failure

_ROW = re.compile(r".*\.row-(\d+)")
_PORTION_BYTES = 1 << 20


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
    chunks: list[Stored] = []
    trouble: list[str] = []
    last = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'batch'").fetchone()
    first = _first(db)
    for row_id in range(first, (last or (first - 1,))[0] + 1):
        try:
            row = db.execute("SELECT n, blob FROM batch WHERE id = ?", (row_id,)).fetchone()
        except sqlite3.DatabaseError as error:
            trouble.append(f"row {row_id}: {error}")
            continue
        if row is not None:
            opened = unseal(row_id, *row)
            chunks += opened.chunks
            trouble += [f"row {row_id}: {opened.damage}"] if opened.damage else []
    return Salvaged(chunks, trouble)


def _first(db: sqlite3.Connection) -> int:
    try:
        return int(db.execute("SELECT id FROM cursor").fetchone()[0]) + 1
    except (sqlite3.DatabaseError, TypeError):
        return 1


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
