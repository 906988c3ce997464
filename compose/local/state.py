"""What the supervisor publishes, what is asked of it, and the lock that says it lives."""

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

import msgspec

from compose.local.layout import Layout

PartStatus = Literal["starting", "ready", "waiting", "failed", "stopped"]

# struct flock of Linux: type, whence, start, length, pid.
_FLOCK = "hhqqi4x"


class PartState(msgspec.Struct, frozen=True, kw_only=True):
    """One part as the supervisor sees it.

    ``waiting``: it ended and starts again soon; ``failed``: it did not come up in its bound or
    ended again and again, and is tried on, ever more slowly. ``ready_s`` counts from its start.
    """

    name: str
    state: PartStatus
    port: int
    pid: int | None = None
    started_ms: int | None = None
    ready_s: float | None = None
    restarts: int = 0
    why: str = ""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A request: the parts that are to run; later requests have greater numbers."""

    number: int = 0
    parts: list[str] = []


class StackState(msgspec.Struct, frozen=True, kw_only=True):
    """The stack as a whole; ``endpoints`` are the fields of ``Endpoints``.

    ``resuming``: jobs that a JobManager forgot and that are not submitted again yet. ``asked`` is
    the number of the request answered last, ``refused`` why it cannot be met.
    """

    pid: int
    run: str
    started_ms: int
    endpoints: dict[str, str]
    parts: list[PartState]
    resuming: list[str] = []
    resuming_why: str = ""
    asked: int = 0
    refused: str = ""
    stopping: bool = False

    def part(self, name: str) -> PartState | None:
        """Return the part of that name."""
        return next((part for part in self.parts if part.name == name), None)


def publish(layout: Layout, state: StackState) -> None:
    """Replace the status as a whole, so that a reader never sees half of one."""
    _replace(layout.status, msgspec.json.encode(state))


def published(layout: Layout) -> StackState | None:
    """Return what the living supervisor published last; None when none lives or has yet."""
    pid = holder(layout)
    if pid is None:
        return None
    try:
        state = msgspec.json.decode(layout.status.read_bytes(), type=StackState)
    except (OSError, msgspec.DecodeError):
        return None
    return state if state.pid == pid else None  # else it is its predecessor's


@contextmanager
def asking(layout: Layout) -> Iterator[None]:
    """Be the only one who reads the last request and writes the next; waits for one who is."""
    with layout.requests.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_wanted(layout: Layout, wanted: Wanted) -> None:
    """Leave a request for the supervisor; only while ``asking``."""
    _replace(layout.wanted, msgspec.json.encode(wanted))


def read_wanted(layout: Layout) -> Wanted:
    """Return the last request; an empty one when there is none."""
    try:
        return msgspec.json.decode(layout.wanted.read_bytes(), type=Wanted)
    except (OSError, msgspec.DecodeError):
        return Wanted()


def take_lock(layout: Layout) -> IO[str] | None:
    """Return the lock, held until the file is closed or the process ends; None if another has it.

    It is not inherited by children, so it says exactly whether the supervisor lives. The holder
    must not open the file again, ``holder`` included: closing it would give the lock back.
    """
    lock = layout.lock.open("a")
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    return lock


def holder(layout: Layout) -> int | None:
    """Return the process id of the supervisor that holds the lock."""
    try:
        with layout.lock.open("r+") as lock:
            asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(lock, fcntl.F_GETLK, asked))
    except OSError:
        return None
    return None if kind == fcntl.F_UNLCK else int(pid)


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content)
    temporary.replace(path)
