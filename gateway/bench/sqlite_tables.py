"""The tables of functions that SQLite calls files and file systems by, to lay one's own over them.

``xOpen`` opens a file as ever and then exchanges the table of its methods, so that some calls come
by one's own functions and all others go straight to SQLite's.
"""

import ctypes
import sqlite3
from pathlib import Path

P = ctypes.c_void_p
SYNC = ctypes.CFUNCTYPE(ctypes.c_int, P, ctypes.c_int)
# Names stay pointers: behind its end a name of SQLite's has the parameters of its URI.
OPEN = ctypes.CFUNCTYPE(ctypes.c_int, P, P, P, ctypes.c_int, P)


class File(ctypes.Structure):
    """An open file: sqlite3.h, struct sqlite3_file."""

    _fields_ = [("methods", P)]


class Methods(ctypes.Structure):
    """What is done to open files: sqlite3.h, struct sqlite3_io_methods, up to version 3."""

    _fields_ = [
        ("version", ctypes.c_int),
        ("close", P), ("read", P), ("write", P), ("truncate", P), ("sync", P),
        ("rest", P * 13),
    ]  # fmt: skip


class Table(ctypes.Structure):
    """What is done to a file system: sqlite3.h, struct sqlite3_vfs, version 3."""

    _fields_ = [
        ("version", ctypes.c_int), ("file_size", ctypes.c_int), ("path_size", ctypes.c_int),
        ("next", P), ("name", ctypes.c_char_p), ("data", P),
        ("open", P), ("delete", P), ("rest", P * 14),
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
