"""Durations, sizes and times as a person writes them: ``"2m"``, ``"1GiB"``."""

import re
from datetime import UTC, datetime

_DURATION_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SIZE = {
    "B": 1,
    "kB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "TiB": 1 << 40,
}
_LONGEST_MS = 36_500 * _DURATION_MS["d"]
"""A century: what is longer is a slip, and no time can be told that lies so far off."""
_LARGEST = 2**63 - 1
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)")


class DurationMs(int):
    """Milliseconds, written in a file as ``"500ms"``, ``"30s"``, ``"2m"``, ``"1.5h"``, ``"2d"``."""

    __slots__ = ()


class ByteSize(int):
    """Bytes, written in a file as ``"256KiB"``, ``"1GiB"`` or ``"20MB"``."""

    __slots__ = ()


def duration(text: str) -> DurationMs:
    """Return the milliseconds in a text such as ``"2m"``.

    Raises:
        ValueError: it is none.
    """
    ms = _amount(text, _DURATION_MS, 'a duration such as "500ms", "30s", "2m", "1d"')
    if ms > _LONGEST_MS:
        raise ValueError(f"expected a duration of at most {told_ms(_LONGEST_MS)}, got {text!r}")
    return DurationMs(round(ms))


def told_ms(ms: int) -> str:
    """Return milliseconds as a person writes them: ``90m``, and ``1500ms`` where it is no more."""
    for name in ("d", "h", "m", "s"):
        if ms and ms % _DURATION_MS[name] == 0:
            return f"{ms // _DURATION_MS[name]}{name}"
    return f"{ms}ms"


def told_at(ms: int) -> str:
    """Return a time of ms since the epoch to the minute, UTC; one of no year we know as its ms."""
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError, OSError):  # a device or a file may say anything
        return f"{ms} ms"


def byte_size(text: str) -> ByteSize:
    """Return the bytes in a text such as ``"1GiB"``.

    Raises:
        ValueError: it is none.
    """
    size = _amount(text, _SIZE, 'a size such as "256KiB", "20MB", "1GiB"')
    if size > _LARGEST:
        raise ValueError(f"expected a size of at most {_LARGEST} bytes, got {text!r}")
    return ByteSize(round(size))


def _amount(text: str, units: dict[str, int], expected: str) -> float:
    match = _AMOUNT.fullmatch(text.strip())
    if match is None or match[2] not in units:
        raise ValueError(f"expected {expected}, got {text!r}")
    return float(match[1]) * units[match[2]]
