"""A SQLite VFS that writes down what reaches the disk, and can fail or dawdle on demand.

It is laid over SQLite's own, in the very library that Python's ``sqlite3`` uses: ``xOpen`` opens
the file as ever and then exchanges the table of its methods, so that writes, truncations and syncs
come by here and everything else goes straight to SQLite's own functions.
"""

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Self

from gateway.bench.sqlite_tables import OPEN, SYNC, File, Methods, P, Table, library, usual

OK = 0
IOERR_FSYNC = 10 | 4 << 8
IOERR_WRITE = 10 | 3 << 8
FULL = 13


class Event(NamedTuple):
    """One thing done to one file: ``write`` (offset, data), ``truncate`` (size), ``sync``, ``delete``."""

    file: str
    kind: str
    offset: int = 0
    data: bytes = b""


_WRITE = ctypes.CFUNCTYPE(ctypes.c_int, P, P, ctypes.c_int, ctypes.c_int64)
_TRUNCATE = ctypes.CFUNCTYPE(ctypes.c_int, P, ctypes.c_int64)
_DELETE = ctypes.CFUNCTYPE(ctypes.c_int, P, P, ctypes.c_int)


_MADE: list["Vfs"] = []


class Vfs:
    """The VFS, registered under a name; ``events`` fill up, ``fault`` may fail what is done."""

    def __init__(self, name: str) -> None:
        self.events: list[Event] = []
        self.fault: Callable[[Event], int] = lambda _event: OK
        self._lib = library()
        self._real = usual(self._lib)
        self._open, self._delete = OPEN(self._on_open), _DELETE(self._on_delete)
        self._own = Table.from_buffer_copy(self._real)
        self._own.name = name.encode()
        self._own.open = ctypes.cast(self._open, P).value
        self._own.delete = ctypes.cast(self._delete, P).value
        self._own.version = 1
        self._tables: dict[int, Any] = {}
        self._files: dict[int, str] = {}
        self.name = name
        # SQLite keeps pointers into it as long as anything is open under it.
        _MADE.append(self)

    def __enter__(self) -> Self:
        """Register it."""
        assert self._lib.sqlite3_vfs_register(ctypes.byref(self._own), 0) == OK
        return self

    def __exit__(self, *_: object) -> None:
        """Take it away again."""
        self._lib.sqlite3_vfs_unregister(ctypes.byref(self._own))

    def uri(self, path: Path) -> str:
        """Return the URI of a database under it."""
        return f"file:{path}?vfs={self.name}"

    def _on_open(self, _vfs: int, name: int | None, file: int, flags: int, out: int) -> int:
        code = OPEN(self._real.open)(ctypes.addressof(self._real), name, file, flags, out)
        slot = File.from_address(file)
        if code != OK or not slot.methods or not name:
            return code
        self._files[file] = _file_name(name)
        slot.methods = ctypes.addressof(self._table(slot.methods))
        return code

    def _table(self, real_at: int) -> Methods:
        """Return the exchanged table for one of SQLite's own; made once for each."""
        if real_at not in self._tables:
            real = Methods.from_address(real_at)
            table = Methods.from_buffer_copy(real)
            write, truncate, sync = (
                _WRITE(lambda f, p, n, at: self._write(real, f, p, n, at)),
                _TRUNCATE(lambda f, size: self._truncate(real, f, size)),
                SYNC(lambda f, how: self._sync(real, f, how)),
            )
            table.write = ctypes.cast(write, P).value
            table.truncate = ctypes.cast(truncate, P).value
            table.sync = ctypes.cast(sync, P).value
            self._tables[real_at] = (table, write, truncate, sync)
        return self._tables[real_at][0]  # type: ignore[no-any-return]

    def _note(self, event: Event) -> int:
        code = self.fault(event)
        if code == OK:
            self.events.append(event)
        return code

    def _write(self, real: Methods, file: int, data: int, size: int, at: int) -> int:
        event = Event(self._files[file], "write", at, ctypes.string_at(data, size))
        return self._note(event) or _WRITE(real.write)(file, data, size, at)

    def _truncate(self, real: Methods, file: int, size: int) -> int:
        event = Event(self._files[file], "truncate", size)
        return self._note(event) or _TRUNCATE(real.truncate)(file, size)

    def _sync(self, real: Methods, file: int, how: int) -> int:
        return self._note(Event(self._files[file], "sync")) or SYNC(real.sync)(file, how)

    def _on_delete(self, _vfs: int, name: int, sync_folder: int) -> int:
        code = self._note(Event(_file_name(name), "delete"))
        return code or _DELETE(self._real.delete)(ctypes.addressof(self._real), name, sync_folder)


def _file_name(name: int) -> str:
    return Path(ctypes.string_at(name).decode()).name
