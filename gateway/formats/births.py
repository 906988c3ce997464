"""Birth certificates of Sparkplug nodes and devices on disk: what their aliases stood for, when.

A message decoded again after a crash needs the certificate that held at its place, not the newest.
So each is kept under the gateway's sequence number of the message that brought it, as long as a
message behind it can still come again. Writing one means that all later ones come again, too: they
are dropped, which also clears what a spool with other numbers has left.
"""

import logging
import sqlite3
from bisect import bisect_left
from pathlib import Path
from typing import NamedTuple

import msgspec

from gateway.files import set_aside
from gateway.pacing import Trouble

_log = logging.getLogger("tidegate.sparkplug")
_MOST_BYTES = 64 << 20
_PAGE_BYTES = 4096
_MOST_KNOWN = 20_000
_MOST_VERSIONS = 64
# A spool's row has 2^12 numbers; far fewer rows than these are on their way to Kafka at a time.
_REACH = 1 << 28
_SCHEMA = """
CREATE TABLE IF NOT EXISTS birth (
    node TEXT NOT NULL, member TEXT NOT NULL, seq INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (node, member, seq)) WITHOUT ROWID;
"""


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a certificate says of a metric."""

    name: str
    alias: int | None
    datatype: int
    unit: str | None


_decode = msgspec.msgpack.Decoder(tuple[Entry, ...]).decode


class Certificate(NamedTuple):
    """The entries of a certificate, by name and by alias."""

    names: dict[str, Entry]
    aliases: dict[int, Entry]

    @classmethod
    def of(cls, entries: tuple[Entry, ...]) -> "Certificate":
        """Return the certificate with these entries."""
        aliases = {e.alias: e for e in entries if e.alias is not None}
        return cls({e.name: e for e in entries}, aliases)


class _Versions(NamedTuple):
    seqs: list[int]
    certificates: list[Certificate]

    def before(self, seq: int) -> int:
        return bisect_left(self.seqs, seq) - 1


class Births:
    """The certificates; every method is for one thread. Without a path they live in memory."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None
        self._known: dict[tuple[str, str], _Versions] = {}
        self._trouble = Trouble(_log, "keeping birth certificates")

    def at(self, node: str, member: str, seq: int) -> Certificate | None:
        """Return the certificate that holds for a message, None if there is none.

        A node's new certificate ends those of its devices.

        Args:
            node: the edge node, with its group.
            member: its device, empty for the node itself.
            seq: the message's number.
        """
        own = self._versions(node, member)
        index = own.before(seq)
        if index < 0:
            return None
        if member:
            nodes = self._versions(node, "")
            last = nodes.before(seq)
            if last >= 0 and nodes.seqs[last] > own.seqs[index]:
                return None
        return own.certificates[index]

    def record(self, node: str, member: str, seq: int, entries: tuple[Entry, ...]) -> None:
        """Keep a certificate, on disk before this returns.

        A disk that fails is told, and the certificate is in force in memory alone: readings go on,
        and after a crash they would be dead letters until the node has been asked again.
        """
        own = self._versions(node, member)
        del own.seqs[bisect_left(own.seqs, seq) :], own.certificates[len(own.seqs) :]
        own.seqs.append(seq)
        own.certificates.append(Certificate.of(entries))
        out = max(own.before(seq - _REACH), len(own.seqs) - _MOST_VERSIONS, 0)
        del own.seqs[:out], own.certificates[:out]
        body = msgspec.msgpack.encode(entries)
        try:
            self._write(node, member, own.seqs[0], seq, body)
            self._trouble.over()
        except sqlite3.Error as error:
            self._trouble.seen(str(error))

    def _write(self, node: str, member: str, first: int, seq: int, body: bytes) -> None:
        db = self._opened()
        try:
            self._insert(db, node, member, first, seq, body)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_FULL:
                raise
            # Who has not been born for the longest time is asked again, should it still be there.
            with db:
                db.execute(
                    "DELETE FROM birth WHERE seq <= (SELECT seq FROM birth ORDER BY seq"
                    " LIMIT 1 OFFSET (SELECT count(*) / 2 FROM birth))"
                )
            self._insert(db, node, member, first, seq, body)

    @staticmethod
    def _insert(
        db: sqlite3.Connection, node: str, member: str, first: int, seq: int, body: bytes
    ) -> None:
        with db:
            db.execute(
                "DELETE FROM birth WHERE node = ? AND member = ? AND (seq >= ? OR seq < ?)",
                (node, member, seq, first),
            )
            db.execute("INSERT INTO birth VALUES (?, ?, ?, ?)", (node, member, seq, body))

    def _versions(self, node: str, member: str) -> _Versions:
        known = self._known.get((node, member))
        if known is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            known = self._known[node, member] = self._read(node, member)
        return known

    def _read(self, node: str, member: str) -> _Versions:
        rows: list[tuple[int, bytes]] = []
        try:
            rows = self._opened().execute(
                "SELECT seq, body FROM birth WHERE node = ? AND member = ? ORDER BY seq",
                (node, member),
            ).fetchall()  # fmt: skip
        except sqlite3.Error as error:
            self._trouble.seen(str(error))
        return _Versions(
            [seq for seq, _ in rows], [Certificate.of(_decode(body)) for _, body in rows]
        )

    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            try:
                self._db = _connected(self._path)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError as error:
                aside = None if self._path is None else set_aside(self._path)
                self._trouble.seen(f"{error}; set aside as {aside}")
                self._db = _connected(self._path)
        return self._db


def _connected(path: Path | None) -> sqlite3.Connection:
    db = sqlite3.connect(path or ":memory:")
    try:
        for pragma in (
            f"page_size={_PAGE_BYTES}",
            "journal_mode=TRUNCATE",
            "synchronous=FULL",
            f"max_page_count={_MOST_BYTES // _PAGE_BYTES}",
        ):
            db.execute(f"PRAGMA {pragma}")
        db.executescript(_SCHEMA)
    except sqlite3.DatabaseError:
        db.close()
        raise
    return db
