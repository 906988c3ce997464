"""Read the log files of the parts, from their ends."""

import os
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

_READ_AT_MOST = 1 << 20
_POLL_S = 0.2


def tail(path: Path, count: int) -> list[str]:
    """Return the last lines of a file, as text whatever its bytes; none when it is missing."""
    try:
        with path.open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - _READ_AT_MOST))
            lines = deque(log, maxlen=count)
    except FileNotFoundError:
        return []
    return [line.decode(errors="replace").rstrip("\r\n") for line in lines]


def follow(path: Path, *, count: int) -> Iterator[str]:
    """Yield the last lines and then each new one, for ever; goes on in the file's successor."""
    yield from tail(path, count)
    position = path.stat().st_size if path.exists() else 0
    rest = b""
    while True:
        if path.exists():
            size = path.stat().st_size
            position = 0 if size < position else position
            with path.open("rb") as log:
                log.seek(position)
                chunk = log.read(_READ_AT_MOST)
            position += len(chunk)
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                yield line.decode(errors="replace").rstrip("\r")
        time.sleep(_POLL_S)
