"""``python -m gateway.bench.pi_like WORDS…``: the command ``tidegate WORDS…`` as on a small device.

One core, 256 MiB of memory of its own, and a disk that takes 50 ms longer for every sync.
"""

import ctypes
import os
import resource
import runpy
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

MEMORY = 256 << 20
SYNC_S = 0.05

_P = ctypes.c_void_p
_SYNC = ctypes.CFUNCTYPE(ctypes.c_int, _P, ctypes.c_int)
# Names stay pointers: behind its end a name of SQLite's has the parameters of its URI.
OPEN = ctypes.CFUNCTYPE(ctypes.c_int, _P, _P, _P, ctypes.c_int, _P)


class File(ctypes.Structure):
    """An open file: sqlite3.h, struct sqlite3_file."""

    _fields_ = [("methods", _P)]


class Methods(ctypes.Structure):
    """What is done to open files: sqlite3.h, struct sqlite3_io_methods, up to version 3."""

    _fields_ = [
        ("version", ctypes.c_int),
        ("close", _P), ("read", _P), ("write", _P), ("truncate", _P), ("sync", _P),
        ("rest", _P * 13),
    ]  # fmt: skip


class Table(ctypes.Structure):
    """What is done to a file system: sqlite3.h, struct sqlite3_vfs, version 3."""

    _fields_ = [
        ("version", ctypes.c_int), ("file_size", ctypes.c_int), ("path_size", ctypes.c_int),
        ("next", _P), ("name", ctypes.c_char_p), ("data", _P),
        ("open", _P), ("delete", _P), ("rest", _P * 14),
    ]  # fmt: skip


def library() -> ctypes.CDLL:
    """Return the SQLite that Python's module runs on.

    Raises:
        OSError: it is built into the module and cannot be reached.
    """
    sqlite3.connect(":memory:").close()
    maps = Path("/proc/self/maps").read_text()
    paths = {line.split()[-1] for line in maps.splitlines() if "sqlite3" in line}
    for path in sorted(paths, key=lambda p: "_sqlite3" in p):
        found = ctypes.CDLL(path)
        if hasattr(found, "sqlite3_vfs_register"):
            return found
    raise OSError("no SQLite of its own is loaded; it is linked into Python's module")


def usual(lib: ctypes.CDLL) -> Table:
    """Return SQLite's own file system."""
    lib.sqlite3_vfs_find.restype = ctypes.POINTER(Table)
    lib.sqlite3_vfs_find.argtypes = [ctypes.c_char_p]
    return lib.sqlite3_vfs_find(None).contents  # type: ignore[no-any-return]


def _delay_syncs(seconds: float) -> list[object]:
    """Make every sync of SQLite's and of Python's so much slower; return what must stay alive."""
    lib = library()
    real = usual(lib)
    tables: dict[int, tuple[Methods, object]] = {}

    def slow(methods: Methods) -> tuple[Methods, object]:
        def sync(file: int, how: int) -> int:
            time.sleep(seconds)
            code: int = _SYNC(methods.sync)(file, how)
            return code

        table, callback = Methods.from_buffer_copy(methods), _SYNC(sync)
        table.sync = ctypes.cast(callback, _P).value
        return table, callback

    def opened(_vfs: int, name: int | None, file: int, flags: int, out: int) -> int:
        code: int = OPEN(real.open)(ctypes.addressof(real), name, file, flags, out)
        slot = File.from_address(file)
        if slot.methods:
            if slot.methods not in tables:
                tables[slot.methods] = slow(Methods.from_address(slot.methods))
            slot.methods = ctypes.addressof(tables[slot.methods][0])
        return code

    own, callback = Table.from_buffer_copy(real), OPEN(opened)
    own.name, own.version = b"slow-disk", 1
    own.open = ctypes.cast(callback, _P).value
    lib.sqlite3_vfs_register(ctypes.byref(own), 1)
    fsync = os.fsync

    def slow_fsync(fd: Any) -> None:
        time.sleep(seconds)
        fsync(fd)

    os.fsync = slow_fsync
    return [lib, own, callback, tables]


def main(words: list[str]) -> None:
    """Take the limits and run the command."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    # Of the kernel's limits on memory the one that needs no rights: all that is written to.
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    kept = _delay_syncs(SYNC_S)
    sys.argv = ["tidegate", *words]
    runpy.run_module("compose.cli", run_name="__main__")
    del kept


if __name__ == "__main__":
    main(sys.argv[1:])
