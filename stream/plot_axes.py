"""Scales, ticks and thinned lines: what a chart needs before anything is drawn."""

from collections.abc import Sequence
from datetime import UTC, datetime
from math import ceil, floor, log10
from typing import NamedTuple

_SECOND = 1000
_HOUR = 3_600 * _SECOND
_DAY = 24 * _HOUR
_STEPS_MS = (
    _SECOND, 10 * _SECOND, 60 * _SECOND, 300 * _SECOND, 900 * _SECOND, _HOUR, 3 * _HOUR, 6 * _HOUR,
    12 * _HOUR, _DAY, 2 * _DAY, 7 * _DAY, 14 * _DAY, 28 * _DAY, 91 * _DAY, 365 * _DAY, 3650 * _DAY,
)  # fmt: skip
_MOST_TIMES = 11
_DRAWN = 1e150
"""Values beyond, and NaN, are not drawn: their differences overflow."""


class Scale(NamedTuple):
    """A line from values [low, high] to pixels [start, end]; ``high`` is above ``low``."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return the pixel of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def holds(self, value: float) -> bool:
        """Say whether a value is on the scale."""
        return self.low <= value <= self.high


class Bucket(NamedTuple):
    """What one column of pixels holds: the first time, and the least and greatest value."""

    at: int
    low: float
    high: float


def thinned(
    points: Sequence[tuple[int, float]], first: int, last: int, columns: int
) -> list[Bucket]:
    """Return at most one bucket for each column of pixels; extremes are kept.

    Args:
        points: (ms, value) in order of time, from ``first`` to ``last``.
        first: ms of the left edge.
        last: ms of the right edge.
        columns: how many columns there are, at least 1.
    """
    width = max(1, ceil((last - first + 1) / columns))
    made: dict[int, Bucket] = {}
    for at, value in points:
        if not abs(value) < _DRAWN:
            continue
        column = (at - first) // width
        old = made.get(column)
        if old is None:
            made[column] = Bucket(at, value, value)
        else:
            made[column] = Bucket(old.at, min(old.low, value), max(old.high, value))
    return list(made.values())


def value_range(values: Sequence[float], limits: Sequence[float]) -> tuple[float, float]:
    """Return what a scale of values shows: all of them, limits that are near, and some air."""
    known = [value for value in values if abs(value) < _DRAWN] or [0.0]
    low, high = min(known), max(known)
    span = (high - low) or abs(high) or 1.0
    near = [limit for limit in limits if low - span <= limit <= high + span]
    low, high = min([low, *near]), max([high, *near])
    air = (high - low) * 0.06 or abs(high) * 0.06 or 1.0
    return low - air, high + air


def value_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Return round values in [low, high]: multiples of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / most
    power = 10.0 ** floor(log10(rough))
    step = next(power * n for n in (1, 2, 5, 10) if power * n >= rough)
    return [index * step for index in range(ceil(low / step), floor(high / step) + 1)]


def time_ticks(first: int, last: int) -> list[tuple[int, str]]:
    """Return round times in [first, last], ms, with what to write beside them, UTC."""
    step = next((s for s in _STEPS_MS if (last - first) / s <= _MOST_TIMES), _STEPS_MS[-1])
    form = "%Y-%m-%d" if step >= _DAY else "%m-%d %H:%M" if step >= 60 * _SECOND else "%H:%M:%S"
    times = range(-(-first // step) * step, last + 1, step)
    return [(at, datetime.fromtimestamp(at / 1000, UTC).strftime(form)) for at in times]
