"""The score of the Numenta Anomaly Benchmark, for the onsets of alerts.

Lavin and Ahmad, "Evaluating Real-time Anomaly Detection Algorithms: the Numenta Anomaly Benchmark"
(ICMLA 2015): the first part of a series is not scored; in each labelled window only the best, that
is the earliest, detection counts; a detection outside costs, and least right behind a window.
Positions are row numbers of the series.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from math import exp
from typing import NamedTuple

_PROBATION_SHARE = 0.15
_PROBATION_ROWS = 750
_FAR_BEHIND = 3.0


class Profile(NamedTuple):
    """What a false alert and a missed window cost; a window found at once earns 1."""

    false_alert: float
    miss: float


PROFILES = {
    "standard": Profile(0.11, 1.0),
    "low_fp": Profile(0.22, 1.0),
    "low_fn": Profile(0.11, 2.0),
}


class Labelled(NamedTuple):
    """A series as the benchmark sees it: times in ms, windows as (first ms, last ms), onsets in ms.

    Every onset is the time of one of the series' rows.
    """

    times: Sequence[int]
    windows: Sequence[tuple[int, int]]
    onsets: Sequence[int]


def probation(rows: int) -> int:
    """Return how many rows at the start of a series are not scored."""
    return min(int(_PROBATION_SHARE * rows), _PROBATION_ROWS)


def score(series: Iterable[Labelled], profile: Profile) -> float | None:
    """Return the score of a set of series: 100 is perfect, 0 is finding nothing.

    None when no window is left to find.
    """
    raw = null = perfect = 0.0
    for each in series:
        spans = [span for span in _spans(each) if span[1] >= probation(len(each.times))]
        raw += _raw(each, spans, profile)
        null -= profile.miss * len(spans)
        perfect += len(spans)
    if perfect == null:
        return None
    return 100 * (raw - null) / (perfect - null)


def in_window(each: Labelled, onset: int) -> bool:
    """Say whether an onset's row lies inside a labelled window."""
    row = bisect_left(each.times, onset)
    return any(first <= row <= last for first, last in _spans(each))


def _raw(each: Labelled, spans: Sequence[tuple[int, int]], profile: Profile) -> float:
    best: dict[int, float] = {}
    cost = 0.0
    for row in (bisect_left(each.times, onset) for onset in each.onsets):
        if row < probation(len(each.times)):
            continue
        inside = next((i for i, (first, last) in enumerate(spans) if first <= row <= last), None)
        if inside is None:
            cost += profile.false_alert * _sigmoid(_behind(row, _spans(each)))
        else:
            first, last = spans[inside]
            earned = _sigmoid(-(last - row + 1) / (last - first + 1)) / _sigmoid(-1.0)
            best[inside] = max(best.get(inside, -profile.miss), earned)
    return cost + sum(best.values()) - profile.miss * (len(spans) - len(best))


def _spans(each: Labelled) -> list[tuple[int, int]]:
    """Return the windows as (first row, last row), without those that hold none."""
    found = (
        (bisect_left(each.times, start), bisect_right(each.times, end) - 1)
        for start, end in sorted(each.windows)
    )
    return [(first, last) for first, last in found if first <= last]


def _behind(row: int, spans: Sequence[tuple[int, int]]) -> float:
    """Return how far a row lies behind the last window before it, in lengths of that window."""
    before = [(first, last) for first, last in spans if last < row]
    if not before:
        return _FAR_BEHIND
    first, last = before[-1]
    return (row - last) / max(last - first, 1)


def _sigmoid(position: float) -> float:
    return -1.0 if position >= _FAR_BEHIND else 2 / (1 + exp(5 * position)) - 1
