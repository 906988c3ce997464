"""Small files: replaced whole by us, and noticed when others replace them."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class _Stamp(NamedTuple):
    """What tells one state of a file from another; links are followed to what they point at."""

    device: int
    inode: int
    changed_ns: int
    size: int


class Watched:
    """A set of files, compared by what the file system says of them."""

    def __init__(self, paths: Iterable[Path]) -> None:
        """Take their present state as known; a file that is missing has none."""
        self._paths = tuple(paths)
        self._known = self._seen = self._stamps()

    def changed(self) -> bool:
        """Look; return True once for each new state.

        It counts only when two looks have seen the same: a certificate and its key are two files,
        and one of them is written first.
        """
        now = self._stamps()
        settled = now == self._seen != self._known
        self._seen = now
        if settled:
            self._known = now
        return settled

    def differ(self) -> bool:
        """Return whether any is another than is known, settled or not."""
        return self._stamps() != self._known

    def _stamps(self) -> tuple[_Stamp | None, ...]:
        return tuple(map(_stamp, self._paths))


def set_aside(database: Path) -> Path:
    """Rename a database and its log; salvaging them is a person's business. Return the new path."""
    stem = f"{database.name}.corrupt-{time.time_ns() // 1_000_000}"
    for suffix in ("", "-wal", "-shm"):
        part = database.with_name(database.name + suffix)
        if part.exists():
            part.rename(database.with_name(stem + suffix))
    return database.with_name(stem)


def _stamp(path: Path) -> _Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return _Stamp(found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
