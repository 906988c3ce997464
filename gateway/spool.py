"""The spool: acknowledged messages on disk until Kafka has them.

SQLite in WAL mode with ``synchronous=FULL``: a commit is one fsync of the log, and what was
committed is there after a crash. One row is one batch. There is exactly one connection, used by
exactly one thread: SQLite before 3.51.3 can corrupt a WAL database that has two.

The quota is SQLite's ``max_page_count``. A full database refuses new pages and still deletes, so
space comes back; a full *disk* would refuse both.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from gateway import spool_rows
from gateway.blob import numbered, seal, unseal
from gateway.files import set_aside
from gateway.message import Chunk, Stored
from gateway.spool_rows import Facts, Row

_PAGE_BYTES = 4096
_MAX_ROW_BYTES = 1 << 20
_MAX_ROW_MESSAGES = 2000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS batch (
    id INTEGER PRIMARY KEY AUTOINCREMENT, n INTEGER NOT NULL, bytes INTEGER NOT NULL,
    first_ts INTEGER NOT NULL, blob BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS cursor (one INTEGER PRIMARY KEY CHECK (one = 1), id INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS device (
    device_id TEXT NOT NULL, own_clock INTEGER NOT NULL, site TEXT NOT NULL,
    last_ts INTEGER NOT NULL, heard_ts INTEGER NOT NULL, interval_ms INTEGER NOT NULL,
    PRIMARY KEY (device_id, own_clock)) WITHOUT ROWID;
INSERT OR IGNORE INTO cursor VALUES (1, 0);
"""


class SpoolFull(Exception):
    """The quota, or the disk, has no room for more; nothing of the call was written."""


class SpoolCorrupt(Exception):
    """The database cannot be read and was set aside; the process must start again."""


class Batch(NamedTuple):
    """One row as read back."""

    row_id: int
    size: int
    chunks: list[Stored]
    damage: str | None


class DeviceRow(NamedTuple):
    """What must outlive a restart for a quiet device's markers; times in ms, wall clock."""

    device_id: str
    own_clock: bool
    site: str
    last_ts: int
    heard_ts: int
    interval_ms: int


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


class Spool:
    """The database; every method is for the one thread that opened it."""

    def __init__(
        self,
        path: Path,
        quota_bytes: int,
        epoch: int,
        *,
        connect: Callable[[Path], sqlite3.Connection] = _connect,
    ) -> None:
        """Open or create it; a file that is no sound database is set aside, never deleted.

        Args:
            path: the database file.
            quota_bytes: how large the file may grow.
            epoch: this process's random number, stored with every record.
            connect: opens the database, in autocommit mode.
        """
        self._path = path
        self._open = connect
        self._epoch = epoch
        self.set_aside = 0
        self.damaged = len(list(path.parent.glob(f"{path.name}.row-*")))
        try:
            self._connect(quota_bytes)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            set_aside(path)
            self.set_aside = 1
            self._connect(quota_bytes)

    def _connect(self, quota_bytes: int) -> None:
        self._db = self._open(self._path)
        try:
            for pragma in (
                f"page_size={_PAGE_BYTES}",
                "journal_mode=WAL",
                "synchronous=FULL",
                f"journal_size_limit={4 << 20}",
                "wal_autocheckpoint=1000",
                f"cache_size=-{4 << 10}",
                f"max_page_count={max(quota_bytes // _PAGE_BYTES, 64)}",
            ):
                self._db.execute(f"PRAGMA {pragma}")
            self._db.executescript(_SCHEMA)
            self.messages, self.bytes = self._db.execute(
                "SELECT coalesce(sum(n), 0), coalesce(sum(bytes), 0) FROM batch"
            ).fetchone()
            self.cursor: int = self._db.execute("SELECT id FROM cursor").fetchone()[0]
            last = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'batch'")
            self.last_id: int = (last.fetchone() or (0,))[0]
        except sqlite3.DatabaseError:
            self._db.close()
            raise

    def append(self, chunks: Sequence[Chunk]) -> list[Batch]:
        """Write chunks and return once they are on the disk: all of them, or none.

        Returns:
            The rows written, as :meth:`read` would give them.

        Raises:
            SpoolFull: there is no room.
            sqlite3.OperationalError: the disk failed. What SQLite then has in memory is not
                to be trusted: the process must end without acknowledging.
        """
        last_id = self.last_id
        written: list[Batch] = []
        messages = 0
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for row in _cut(chunks):
                last_id += 1
                blob = seal(last_id, self._epoch, row)
                count = sum(chunk.messages for chunk in row)
                given = self._db.execute(
                    "INSERT INTO batch (n, bytes, first_ts, blob) VALUES (?, ?, ?, ?)",
                    (count, len(blob), row[0].received_ts, blob),
                ).lastrowid
                # The messages' numbers come from the id, so it must be the one they were made with.
                if given != last_id:
                    raise SpoolCorrupt(f"{self._path}: row {given} where {last_id} was due")
                written.append(Batch(last_id, len(blob), numbered(last_id, self._epoch, row), None))
                messages += count
            self._db.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            self._roll_back()
            raise self._named(error) from error
        self.last_id = last_id
        self.messages += messages
        self.bytes += sum(batch.size for batch in written)
        return written

    def read(self, after: int, max_bytes: int) -> list[Batch]:
        """Return the batches behind a row id, at least one if there is any, up to a size.

        A damaged row gives the chunks that can still be read; its bytes are kept in a file
        beside the database and counted.

        Raises:
            SpoolCorrupt: SQLite cannot read its file; it has been set aside.
        """
        batches: list[Batch] = []
        size = 0
        try:
            rows = self._db.execute(
                "SELECT id, n, blob FROM batch WHERE id > ? ORDER BY id", (after,)
            )
            for row_id, count, blob in rows:
                opened = unseal(row_id, count, blob)
                batches.append(Batch(row_id, len(blob), *opened))
                if opened.damage is not None:
                    self._keep_damaged(row_id, blob)
                size += len(blob)
                if size >= max_bytes:
                    break
            rows.close()
        except sqlite3.DatabaseError as error:
            raise self._named(error) from error
        return batches

    def discard(self, upto: int, devices: Iterable[DeviceRow] = ()) -> None:
        """Delete the rows up to and with an id, and remember devices, in one transaction.

        Devices are left out when there is no room for them: deleting must always be possible.
        """
        keep = "SELECT coalesce(sum(n), 0), coalesce(sum(bytes), 0) FROM batch WHERE id <= ?"
        messages, size = self._db.execute(keep, (upto,)).fetchone()
        try:
            self._discard(upto, devices)
        except SpoolFull:
            self._discard(upto, ())
        self.cursor = max(self.cursor, upto)
        self.messages -= messages
        self.bytes -= size

    def devices(self, heard_after: int) -> list[DeviceRow]:
        """Return the devices heard after a time (ms), and forget the others."""
        self._db.execute("DELETE FROM device WHERE heard_ts <= ?", (heard_after,))
        rows = self._db.execute(
            "SELECT device_id, own_clock, site, last_ts, heard_ts, interval_ms FROM device"
        )
        return [DeviceRow(row[0], bool(row[1]), *row[2:]) for row in rows]

    def oldest_ts(self) -> int | None:
        """Return when the oldest message still here was received (ms), None when empty."""
        row = self._db.execute("SELECT first_ts FROM batch ORDER BY id LIMIT 1").fetchone()
        return None if row is None else int(row[0])

    def used_bytes(self) -> int:
        """Return how much of the quota is taken; freed pages are free again."""
        return spool_rows.used_bytes(self._db)

    def facts(self) -> Facts:
        """Return its figures; the whole table is looked through."""
        return spool_rows.facts(self._db)

    def rows(self, after: int) -> list[Row]:
        """Return stored rows as they are, a page of them behind an id."""
        return spool_rows.rows(self._db, after)

    def close(self) -> None:
        """Close the database; its log is folded in."""
        self._db.close()

    def _discard(self, upto: int, devices: Iterable[DeviceRow]) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.execute("DELETE FROM batch WHERE id <= ?", (upto,))
            self._db.execute("UPDATE cursor SET id = max(id, ?)", (upto,))
            self._db.executemany(
                "INSERT OR REPLACE INTO device VALUES (?, ?, ?, ?, ?, ?)", list(devices)
            )
            self._db.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            self._roll_back()
            raise self._named(error) from error

    def _keep_damaged(self, row_id: int, blob: bytes) -> None:
        aside = self._path.with_name(f"{self._path.name}.row-{row_id}")
        if not aside.exists():
            aside.write_bytes(blob)
            self.damaged += 1

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def _named(self, error: sqlite3.DatabaseError) -> Exception:
        """Return the exception that says what an error of SQLite means here."""
        # Of an extended code the low byte is the kind.
        kind = error.sqlite_errorcode & 0xFF
        if kind == sqlite3.SQLITE_FULL:
            return SpoolFull(str(error))
        if kind in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            self._db.close()
            aside = set_aside(self._path)
            return SpoolCorrupt(f"{self._path}: {error}; set aside as {aside}")
        return error


def _cut(chunks: Sequence[Chunk]) -> Iterable[Sequence[Chunk]]:
    """Cut into rows of a bounded number of messages and, roughly, bytes."""
    begin = size = count = 0
    for end, chunk in enumerate(chunks):
        if end > begin and (count + chunk.messages > _MAX_ROW_MESSAGES or size >= _MAX_ROW_BYTES):
            yield chunks[begin:end]
            begin, size, count = end, 0, 0
        size += len(chunk.packets)
        count += chunk.messages
    if begin < len(chunks):
        yield chunks[begin:]
