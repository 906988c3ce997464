"""The spool's file: its tables, how it is opened, and where each lane of it stands."""

import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from gateway.blob import LANES, first_row, lane_of

PAGE_BYTES = 4096
_SCHEMA = """
CREATE TABLE IF NOT EXISTS batch (
    id INTEGER PRIMARY KEY, n INTEGER NOT NULL, bytes INTEGER NOT NULL,
    first_ts INTEGER NOT NULL, given INTEGER NOT NULL DEFAULT 0, blob BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS lane (
    number INTEGER PRIMARY KEY, cursor INTEGER NOT NULL, last INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS loss (
    why TEXT, name TEXT, doc BLOB NOT NULL, PRIMARY KEY (why, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS classes (one INTEGER PRIMARY KEY CHECK (one = 1), doc TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS told (
    lane INTEGER, route TEXT, seq INTEGER NOT NULL, PRIMARY KEY (lane, route)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS device (
    device_id TEXT NOT NULL, own_clock INTEGER NOT NULL, site TEXT NOT NULL,
    last_ts INTEGER NOT NULL, heard_ts INTEGER NOT NULL, interval_ms INTEGER NOT NULL,
    PRIMARY KEY (device_id, own_clock)) WITHOUT ROWID;
"""
# What a spool before there were lanes knew of its only one.
_FORMER = """
INSERT OR IGNORE INTO lane SELECT 0, id, max(id, coalesce(
    (SELECT seq FROM sqlite_sequence WHERE name = 'batch'), 0)) FROM cursor;
DROP TABLE cursor;
ALTER TABLE batch ADD COLUMN given INTEGER NOT NULL DEFAULT 0;
"""


class Place(NamedTuple):
    """Where a lane stands: the last row that Kafka has, and the last that was ever written."""

    cursor: int
    last_id: int


class DeviceRow(NamedTuple):
    """What must outlive a restart for a quiet device's markers; times in ms, wall clock."""

    device_id: str
    own_clock: bool
    site: str
    last_ts: int
    heard_ts: int
    interval_ms: int


class Told(NamedTuple):
    """Up to which message a down-sampled route is told: those of the lane before this number."""

    lane: int
    route: str
    seq: int


class Remembered(NamedTuple):
    """What outlives a process beside the messages."""

    devices: list[DeviceRow]
    told: list[Told]


def connected(path: Path) -> sqlite3.Connection:
    """Return a connection in autocommit mode."""
    return sqlite3.connect(path, isolation_level=None)


def prepared(
    path: Path, most_pages: int, connect: Callable[[Path], sqlite3.Connection]
) -> sqlite3.Connection:
    """Open or create a spool's file.

    Raises:
        sqlite3.DatabaseError: it is none, or cannot be read.
    """
    db = connect(path)
    try:
        for pragma in (
            f"page_size={PAGE_BYTES}",
            "journal_mode=WAL",
            "synchronous=FULL",
            f"journal_size_limit={4 << 20}",
            "wal_autocheckpoint=1000",
            f"cache_size=-{4 << 10}",
            f"max_page_count={most_pages}",
        ):
            db.execute(f"PRAGMA {pragma}")
        db.executescript(_SCHEMA)
        if db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'cursor'").fetchone():
            db.executescript(f"BEGIN IMMEDIATE; {_FORMER} COMMIT;")
    except sqlite3.DatabaseError:
        db.close()
        raise
    return db


def places(db: sqlite3.Connection) -> list[Place]:
    """Return where each lane stands."""
    known = {row[0]: row[1:] for row in db.execute("SELECT number, cursor, last FROM lane")}
    found = []
    for lane in range(LANES):
        before, end = first_row(lane), first_row(lane + 1)
        cursor, last = known.get(lane, (before, before))
        newest = db.execute("SELECT max(id) FROM batch WHERE id > ? AND id < ?", (before, end))
        # Rows that are gone were given out all the same, by the policy even behind the cursor.
        found.append(Place(cursor, max(cursor, last, newest.fetchone()[0] or 0)))
    return found


def weight(db: sqlite3.Connection, upto: int) -> tuple[int, int]:
    """Return how many messages and bytes a lane has up to a row."""
    found = db.execute(
        "SELECT coalesce(sum(n), 0), coalesce(sum(bytes), 0) FROM batch WHERE id > ? AND id <= ?",
        (first_row(lane_of(upto)), upto),
    ).fetchone()
    return found[0], found[1]


def set_place(db: sqlite3.Connection, lane: int, place: Place) -> None:
    """Remember where a lane stands, inside the transaction at hand."""
    db.execute("INSERT OR REPLACE INTO lane VALUES (?, ?, ?)", (lane, *place))


def remembered(db: sqlite3.Connection, heard_after: int) -> Remembered:
    """Return what is remembered, and forget the devices not heard after a time (ms)."""
    told = db.execute("SELECT lane, route, seq FROM told").fetchall()
    return Remembered(devices(db, heard_after), [Told(*row) for row in told])


def devices(db: sqlite3.Connection, heard_after: int) -> list[DeviceRow]:
    """Return the devices heard after a time (ms), and forget the others."""
    db.execute("DELETE FROM device WHERE heard_ts <= ?", (heard_after,))
    rows = db.execute(
        "SELECT device_id, own_clock, site, last_ts, heard_ts, interval_ms FROM device"
    )
    return [DeviceRow(row[0], bool(row[1]), *row[2:]) for row in rows]


def keep_told(db: sqlite3.Connection, told: Iterable[Told]) -> None:
    """Remember up to where routes are told, inside the transaction at hand."""
    db.executemany("INSERT OR REPLACE INTO told VALUES (?, ?, ?)", told)


def keep_devices(db: sqlite3.Connection, rows: Iterable[DeviceRow]) -> None:
    """Remember devices, inside the transaction at hand."""
    db.executemany("INSERT OR REPLACE INTO device VALUES (?, ?, ?, ?, ?, ?)", list(rows))
