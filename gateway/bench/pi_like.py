"""``python -m gateway.bench.pi_like WORDS…``: the command ``tidegate WORDS…`` as on a small device.

One core, 256 MiB of memory of its own, and a disk that takes 50 ms longer for every sync.
"""

import ctypes
import os
import resource
import runpy
import sys
import time
from typing import Any

from gateway.bench.sqlite_tables import OPEN, SYNC, File, Methods, P, Table, library, usual

MEMORY = 256 << 20
SYNC_S = 0.05
# SQLite has pointers into it until the process ends.
_ALIVE: list[object] = []


def _delay_syncs(seconds: float) -> None:
    """Make every sync of SQLite's and of Python's so much slower."""
    lib = library()
    real = usual(lib)
    tables: dict[int, tuple[Methods, object]] = {}

    def slow(methods: Methods) -> tuple[Methods, object]:
        def sync(file: int, how: int) -> int:
            time.sleep(seconds)
            code: int = SYNC(methods.sync)(file, how)
            return code

        table, callback = Methods.from_buffer_copy(methods), SYNC(sync)
        table.sync = ctypes.cast(callback, P).value
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
    own.open = ctypes.cast(callback, P).value
    lib.sqlite3_vfs_register(ctypes.byref(own), 1)
    _ALIVE.extend((own, callback, tables))
    fsync = os.fsync

    def slow_fsync(fd: Any) -> None:
        time.sleep(seconds)
        fsync(fd)

    os.fsync = slow_fsync


def main(words: list[str]) -> None:
    """Take the limits and run the command."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    # Of the kernel's limits on memory the one that needs no rights: all that is written to.
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    _delay_syncs(SYNC_S)
    sys.argv = ["tidegate", *words]
    runpy.run_module("compose.cli", run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
