"""A spool's rows and figures, for those who look at it."""

import base64
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from gateway.blob import LANES, MAX_MESSAGES, first_row, unseal
from gateway.classes import REST, remembered
from gateway.message import INTERNAL, UNSYNCED, Stored
from gateway.packets import DUP, RETAIN, packets_of

PAGE_BYTES = 1 << 20


class Facts(msgspec.Struct, frozen=True):
    """What a spool holds; times in ms, ``oldest_ts`` None when it is empty.

    ``classes`` counts the messages of each priority class that has any.
    """

    messages: int
    bytes: int
    rows: int
    oldest_ts: int | None
    used_bytes: int
    classes: dict[str, int]


class Row(msgspec.Struct, frozen=True):
    """A row as it is stored."""

    row_id: int
    messages: int
    blob: bytes


class Verified(NamedTuple):
    """What a check of rows found; ``damage`` has a line for each row that is not sound."""

    rows: int
    messages: int
    damage: list[str]


def facts(db: sqlite3.Connection) -> Facts:
    """Return a spool's figures; the whole table is looked through."""
    messages, size, rows, oldest = db.execute(
        "SELECT coalesce(sum(n), 0), coalesce(sum(bytes), 0), count(*), min(first_ts) FROM batch"
    ).fetchone()
    return Facts(messages, size, rows, oldest, used_bytes(db), classes(db))


def classes(db: sqlite3.Connection) -> dict[str, int]:
    """Return how many messages each priority class has, without those that have none."""
    doc = db.execute("SELECT doc FROM classes").fetchone()
    names = [REST, *(section.name for section in remembered("[]" if doc is None else doc[0]))]
    found = {}
    for lane, name in enumerate(names):
        waiting = db.execute(
            "SELECT sum(n) FROM batch WHERE id > ? AND id < ?",
            (first_row(lane), first_row(lane + 1)),
        ).fetchone()[0]
        if waiting:
            found[name] = waiting
    return found


def oldest_ts(db: sqlite3.Connection) -> int | None:
    """Return when the oldest message still here was received (ms), None when empty."""
    firsts = [
        row[0]
        for lane in range(LANES)
        for row in db.execute(
            "SELECT first_ts FROM batch WHERE id > ? AND id < ? ORDER BY id LIMIT 1",
            (first_row(lane), first_row(lane + 1)),
        )
    ]
    return min(firsts, default=None)


def used_bytes(db: sqlite3.Connection) -> int:
    """Return how much of the file is taken; freed pages are free again."""
    pages, free, page = (
        db.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * page)


def rows(db: sqlite3.Connection, after: int, most_bytes: int = PAGE_BYTES) -> list[Row]:
    """Return the rows behind an id, at least one if there is any, up to a size."""
    found: list[Row] = []
    size = 0
    cursor = db.execute("SELECT id, n, blob FROM batch WHERE id > ? ORDER BY id", (after,))
    for row_id, messages, blob in cursor:
        found.append(Row(row_id, messages, blob))
        size += len(blob)
        if size >= most_bytes:
            break
    cursor.close()
    return found


def verified(pages: Iterable[list[Row]]) -> Verified:
    """Check every checksum and every number."""
    count = messages = 0
    damage: list[str] = []
    for page in pages:
        for row in page:
            count += 1
            opened = unseal(row.row_id, row.messages, row.blob)
            messages += sum(stored.chunk.messages for stored in opened.chunks)
            if opened.damage is not None:
                damage.append(f"row {row.row_id}: {opened.damage}")
    return Verified(count, messages, damage)


def messages(pages: Iterable[list[Row]]) -> Iterator[dict[str, Any]]:
    """Return every readable message as a plain dict, its payload in base64 and as text if it is."""
    for page in pages:
        for row in page:
            for stored in unseal(row.row_id, row.messages, row.blob).chunks:
                yield from plain(stored)


def chunks_of(row_id: int, blob: bytes) -> list[Stored]:
    """Return what is readable of a row's blob of which nothing else is known."""
    return unseal(row_id, MAX_MESSAGES, blob).chunks


def plain(stored: Stored) -> Iterator[dict[str, Any]]:
    """Return the messages of a chunk as plain dicts."""
    chunk = stored.chunk
    for seq, (first, topic, payload) in enumerate(packets_of(chunk), stored.seq):
        yield {
            "gateway_seq": seq,
            "gateway_epoch": stored.epoch,
            "received_ts": chunk.received_ts,
            "topic": topic.decode("utf-8", "backslashreplace"),
            "payload": base64.b64encode(payload).decode(),
            "text": _text(payload),
            "retained": bool(first & RETAIN),
            "dup": bool(first & DUP),
            "clock_synced": not chunk.flags & UNSYNCED,
            "internal": bool(chunk.flags & INTERNAL),
        }


def _text(payload: bytes) -> str | None:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return None
