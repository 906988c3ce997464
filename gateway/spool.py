"""The spool: acknowledged messages on disk until Kafka has them.

SQLite in WAL mode with ``synchronous=FULL``: a commit is one fsync of the log, and what was
committed is there after a crash. One row is one batch. There is exactly one connection, used by
exactly one thread: SQLite before 3.51.3 can corrupt a WAL database that has two.

Each priority class has a *lane*: a range of row ids, counted up by one and never given twice, for
a number that comes again would make a consumer take a new reading for a known one.

The quota is SQLite's ``max_page_count``. A full database refuses new pages and still deletes, so
space comes back; a full *disk* would refuse both.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from gateway import gaps, spool_file
from gateway.blob import first_row, lane_of, numbered, rows_of, seal, unseal
from gateway.files import set_aside
from gateway.gaps import Why
from gateway.message import INTERNAL, Batch, Chunk, Stored
from gateway.spool_file import PAGE_BYTES, DeviceRow, Place, Told, places, prepared
from gateway.thinning import Left

T = TypeVar("T")
_NOTHING: Mapping[int, Sequence[Chunk]] = MappingProxyType({})


class SpoolFull(Exception):
    """The quota, or the disk, has no room for more; nothing of the call was written."""


class SpoolCorrupt(Exception):
    """The database cannot be read and was set aside; the process must start again."""


class Spool:
    """The database; every method is for the one thread that opened it."""

    def __init__(
        self,
        path: Path,
        quota_bytes: int,
        epoch: int,
        *,
        connect: Callable[[Path], sqlite3.Connection] = spool_file.connected,
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
        self._quota_pages = max(quota_bytes // PAGE_BYTES, 64)
        self.set_aside = 0
        self.damaged = len(list(path.parent.glob(f"{path.name}.row-*")))
        self.dropped: Counter[Why] = Counter()
        """Messages that went by policy, since this was opened."""
        try:
            self._connect()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            set_aside(path)
            self.set_aside = 1
            self._connect()

    def _connect(self) -> None:
        self._db = prepared(self._path, self._quota_pages, self._open)
        try:
            self.messages, self.bytes = self._db.execute(
                "SELECT coalesce(sum(n), 0), coalesce(sum(bytes), 0) FROM batch"
            ).fetchone()
            self.places = places(self._db)
            self.has_lost = bool(gaps.untold(self._db))
        except sqlite3.DatabaseError:
            self._db.close()
            raise

    @property
    def folder(self) -> Path:
        """Return where it is."""
        return self._path.parent

    def append(
        self, chunks: Sequence[Chunk], ahead: Mapping[int, Sequence[Chunk]] = _NOTHING
    ) -> list[Batch]:
        """Write chunks and return once they are on the disk: all of them, or none.

        Args:
            chunks: those of lane 0.
            ahead: those of other lanes.

        Returns:
            The rows written, as :meth:`read` would give them.

        Raises:
            SpoolFull: there is no room.
            sqlite3.OperationalError: the disk failed. What SQLite then has in memory is not
                to be trusted: the process must end without acknowledging.
        """
        written: list[Batch] = []
        with self._transaction():
            for lane, its in ((0, chunks), *ahead.items()):
                for row_id, row in enumerate(rows_of(its), self.places[lane].last_id + 1):
                    stored = numbered(row_id, self._epoch, row)
                    written.append(self._insert(row_id, stored))
        self._count(written)
        return written

    def read(self, after: int, max_bytes: int) -> list[Batch]:
        """Return a lane's batches behind a row id, at least one if there is any, up to a size.

        A damaged row gives the chunks that can still be read; its bytes are kept in a file
        beside the database and counted. Where messages are gone by policy, a record in front of
        the first batch says which, see :mod:`gateway.gaps`.

        Raises:
            SpoolCorrupt: SQLite cannot read its file; it has been set aside.
        """
        batches: list[Batch] = []
        # Before the cursor rows are gone because Kafka has them.
        seen = gaps.Seen(max(after, self.places[lane_of(after)].cursor))
        size = 0
        try:
            rows = self._db.execute(
                "SELECT id, n, given, blob FROM batch WHERE id > ? AND id < ? ORDER BY id",
                (after, first_row(lane_of(after) + 1)),
            )
            for row_id, count, given, blob in rows:
                opened = unseal(row_id, count, blob)
                seen.row(row_id, given, opened.chunks)
                batches.append(Batch(row_id, len(blob), *opened))
                if opened.damage is not None:
                    self._keep_damaged(row_id, blob)
                size += len(blob)
                if size >= max_bytes:
                    break
            rows.close()
        except sqlite3.DatabaseError as error:
            raise self._named(error) from error
        if not batches:
            seen.end(self.places[lane_of(after)].last_id)
        return seen.told(batches)

    def discard(
        self, upto: Sequence[int], devices: Iterable[DeviceRow] = (), told: Iterable[Told] = ()
    ) -> None:
        """Delete the rows up to and with an id each of a lane; remember the rest; all or nothing.

        Devices are left out when there is no room for them: deleting must always be possible.
        """
        reached = {lane_of(row_id): row_id for row_id in sorted(upto)}
        gone = [spool_file.weight(self._db, row_id) for row_id in reached.values()]
        try:
            self._discard(reached, devices, told)
        except SpoolFull:
            self._discard(reached, (), told)
        self.messages -= sum(messages for messages, _ in gone)
        self.bytes -= sum(size for _, size in gone)

    def take_out(self, work: Callable[[sqlite3.Connection], Left]) -> Left:
        """Let a policy take messages out, see :mod:`gateway.thinning`; note in one with it what.

        Raises:
            SpoolFull: there is not even room to say what went; all is as it was.
        """
        with self._transaction():
            left = work(self._db)
            if left.loss is not None:
                gaps.note(self._db, left.loss)
            lane = lane_of(left.upto)
            spool_file.set_place(self._db, lane, self.places[lane])
        self.messages -= left.messages
        self.bytes -= left.size
        if left.loss is not None:
            self.dropped[left.loss.why] += left.messages
            self.has_lost = True
        return left

    def tell_loss(self, ts: int, mono: int) -> list[Batch]:
        """Spool how much went as messages of the gateway's own; now in ms, on both clocks.

        Raises:
            SpoolFull: there is no room; they can wait.
        """
        chunks = [Chunk(packet, 1, ts, mono, INTERNAL) for packet in gaps.untold(self._db)]
        if not chunks:
            return []
        row_id = self.places[0].last_id + 1
        with self._transaction():
            batch = self._insert(row_id, numbered(row_id, self._epoch, chunks))
            self._db.execute("DELETE FROM loss")
        self._count([batch])
        self.has_lost = False
        return [batch]

    def classes(self) -> str | None:
        """Return what the lanes stand for, as it was remembered."""
        row = self._db.execute("SELECT doc FROM classes").fetchone()
        return None if row is None else str(row[0])

    def remember_classes(self, doc: str) -> None:
        """Remember what the lanes stand for from now on."""
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO classes VALUES (1, ?)", (doc,))

    def may_grow(self, allowed: bool) -> None:
        """Let the file grow up to its quota, or no further than it is: freed pages serve then."""
        # SQLite takes a limit below the present size for the present size.
        self._db.execute(f"PRAGMA max_page_count={self._quota_pages if allowed else 1}")

    def look(self, about: Callable[[sqlite3.Connection], T]) -> T:
        """Return what is found out about the database, see :mod:`gateway.spool_rows`."""
        return about(self._db)

    def close(self) -> None:
        """Close the database; its log is folded in."""
        self._db.close()

    def _insert(self, row_id: int, stored: list[Stored]) -> Batch:
        blob = seal(stored)
        count = sum(one.chunk.messages for one in stored)
        self._db.execute(
            "INSERT INTO batch (id, n, bytes, first_ts, blob) VALUES (?, ?, ?, ?, ?)",
            (row_id, count, len(blob), stored[0].chunk.received_ts, blob),
        )
        return Batch(row_id, len(blob), stored, None)

    def _count(self, written: Iterable[Batch]) -> None:
        for batch in written:
            lane = lane_of(batch.row_id)
            self.places[lane] = self.places[lane]._replace(last_id=batch.row_id)
            self.messages += sum(stored.chunk.messages for stored in batch.chunks)
            self.bytes += batch.size

    def _discard(
        self, reached: Mapping[int, int], devices: Iterable[DeviceRow], told: Iterable[Told]
    ) -> None:
        places = {
            lane: Place(max(self.places[lane].cursor, row_id), self.places[lane].last_id)
            for lane, row_id in reached.items()
        }
        with self._transaction():
            for lane, place in places.items():
                self._db.execute(
                    "DELETE FROM batch WHERE id > ? AND id <= ?", (first_row(lane), place.cursor)
                )
                spool_file.set_place(self._db, lane, place)
            spool_file.keep_told(self._db, told)
            spool_file.keep_devices(self._db, devices)
        for lane, place in places.items():
            self.places[lane] = place

    def _keep_damaged(self, row_id: int, blob: bytes) -> None:
        aside = self._path.with_name(f"{self._path.name}.row-{row_id}")
        if not aside.exists():
            aside.write_bytes(blob)
            self.damaged += 1

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Commit what is done in it, or nothing; what SQLite raises is named."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise self._named(error) from error

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
