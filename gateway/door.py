"""The way into the spool for commands: through the running daemon, or the file while none runs.

The daemon's is a Unix socket in the data folder, which is its owner's alone. One line of JSON asks,
one answers. SQLite before 3.51.3 may corrupt a WAL database that has two connections, so the file
is opened only while the folder's lock is free, and the lock is held meanwhile.
"""

import fcntl
import os
import socket
import socketserver
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol

import msgspec

from gateway import spool_rows
from gateway.message import Chunk
from gateway.spool import SpoolCorrupt, SpoolFull
from gateway.spool_rows import Facts, Row
from gateway.spooling import Spooling
from schemas.failure import Failure, Unavailable

_NAME = "door"
_TIMEOUT_S = 15.0
_MOST_LINE = 8 << 20


class Ask(msgspec.Struct, frozen=True, omit_defaults=True):
    """A question: the figures, a page of rows behind one, or to keep chunks in the spool."""

    facts: bool = False
    rows_after: int | None = None
    keep: list[Chunk] = []


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """Its answer; ``error`` says why there is none."""

    error: str = ""
    facts: Facts | None = None
    rows: list[Row] = []


class Door(Protocol):
    """The spool, as the commands use it."""

    def facts(self) -> Facts:
        """Return its figures."""

    def rows(self, after: int) -> list[Row]:
        """Return a page of rows behind an id, none at the end."""


def serve(folder: Path, spooling: Spooling) -> socketserver.ThreadingUnixStreamServer:
    """Start answering in a thread of its own, at a socket in the data folder.

    Raises:
        OSError: the socket cannot be made.
    """

    class Line(socketserver.StreamRequestHandler):
        timeout = _TIMEOUT_S

        def handle(self) -> None:
            line = self.rfile.readline(_MOST_LINE)
            self.wfile.write(msgspec.json.encode(_answer(line, spooling)) + b"\n")

    path = folder / _NAME
    path.unlink(missing_ok=True)
    with _short(folder) as short:
        server = socketserver.ThreadingUnixStreamServer(short, Line)
    server.daemon_threads = True
    path.chmod(0o600)
    threading.Thread(target=server.serve_forever, name="door", daemon=True).start()
    return server


def _answer(line: bytes, spooling: Spooling) -> Answer:
    try:
        ask = msgspec.json.decode(line, type=Ask)
        if ask.facts:
            return Answer(facts=spooling.ask(lambda spool: spool.look(spool_rows.facts)))
        if ask.keep:
            spooling.ask(lambda spool: spool.append(ask.keep))
            return Answer()
        after = ask.rows_after or 0
        return Answer(
            rows=spooling.ask(lambda spool: spool.look(lambda db: spool_rows.rows(db, after)))
        )
    except (msgspec.MsgspecError, sqlite3.Error, SpoolFull, SpoolCorrupt, Unavailable) as error:
        return Answer(error=f"{type(error).__name__}: {error}")


@contextmanager
def _short(folder: Path) -> Iterator[str]:
    """Give the socket a path by the folder's descriptor: those of sockets end at 107 bytes."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{_NAME}"
    finally:
        os.close(descriptor)


class Asked:
    """The spool of a daemon that runs."""

    def __init__(self, folder: Path) -> None:
        """Take its data folder."""
        self._folder = folder

    def facts(self) -> Facts:
        """Return its figures."""
        found = self._asked(Ask(facts=True)).facts
        if found is None:
            raise Failure("the gateway gave no figures")
        return found

    def rows(self, after: int) -> list[Row]:
        """Return a page of rows behind an id, none at the end."""
        return self._asked(Ask(rows_after=after)).rows

    def keep(self, chunks: list[Chunk]) -> None:
        """Let the daemon spool these; returns once they are on its disk."""
        self._asked(Ask(keep=chunks))

    def _asked(self, ask: Ask) -> Answer:
        try:
            with closing(socket.socket(socket.AF_UNIX)) as link:
                link.settimeout(_TIMEOUT_S)
                with _short(self._folder) as short:
                    link.connect(short)
                link.sendall(msgspec.json.encode(ask) + b"\n")
                with link.makefile("rb") as answers:
                    answer = msgspec.json.decode(answers.readline(), type=Answer)
        except (OSError, msgspec.MsgspecError) as error:
            raise Unavailable(
                f"{self._folder}: the gateway that holds this folder does not answer: {error}"
            ) from error
        if answer.error:
            raise Failure(f"the gateway's spool: {answer.error}")
        return answer


class Opened:
    """A spool's file that no daemon holds."""

    def __init__(self, db: sqlite3.Connection) -> None:
        """Take a connection."""
        self._db = db

    def facts(self) -> Facts:
        """Return its figures."""
        return spool_rows.facts(self._db)

    def rows(self, after: int) -> list[Row]:
        """Return a page of rows behind an id, none at the end."""
        return spool_rows.rows(self._db, after)


@contextmanager
def spool_of(folder: Path) -> Iterator[Door]:
    """Give the way in to a data folder's spool.

    Raises:
        Failure: there is no spool, or it cannot be read.
        Unavailable: a daemon holds the folder and does not answer.
    """
    path = folder / "spool.db"
    if not path.exists():
        raise Failure(f"{path}: no spool there; is data_dir right, and may you read it?")
    with (folder / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield Asked(folder)
            return
        with database(path) as db:
            yield Opened(db)


@contextmanager
def database(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a spool's file that nobody else has open, without making one.

    Raises:
        Failure: SQLite cannot read it.
    """
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, isolation_level=None)) as db:
            yield db
    except sqlite3.DatabaseError as error:
        raise Failure(f"{path}: SQLite cannot read it: {error}") from error


def pages(door: Door) -> Iterator[list[Row]]:
    """Return all rows, page by page."""
    after = 0
    while found := door.rows(after):
        yield found
        after = found[-1].row_id


def free_name(path: Path, suffix: str) -> Path:
    """Return the path with a suffix, numbered where there is such a file."""
    made, number = path.with_name(path.name + suffix), 1
    while os.path.lexists(made):
        made, number = path.with_name(f"{path.name}{suffix}-{number}"), number + 1
    return made
