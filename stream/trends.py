"""Where a series is going: its rate of change, and lines through the last window values.

Points are (time, value) in order of time; a line is told at time 0, so a trend's times count from
now, backwards: below 0.
"""

from collections.abc import Sequence
from itertools import combinations
from math import inf, log, sqrt
from typing import Literal, NamedTuple

import msgspec

from stream.samples import middle

Fit = Literal["linear", "theil_sen", "exponential"]
LEAST_POINTS = 10
"""A line through fewer says nothing about its own significance."""

Points = Sequence[tuple[float, float]]


class Rate(msgspec.Struct, frozen=True, tag="rate"):
    """The change over ``over_ms``, told per ``unit_ms``."""

    over_ms: int
    unit_ms: int


class Trend(msgspec.Struct, frozen=True, tag="trend"):
    """The time until a line through the last ``points`` windows meets ``limit``.

    ``falling``: the limit is a lower one. ``floor`` is what an exponential line comes from.
    ``least_t`` is how significant the slope must be, ``horizon_ms`` how far ahead the line is
    believed; the time is told in ``unit_ms``.
    """

    fit: Fit
    points: int
    limit: float
    falling: bool
    floor: float
    least_t: float
    horizon_ms: int
    unit_ms: int


class Line(NamedTuple):
    """A line's value at time 0, its slope, and the slope over its standard error or the like."""

    level: float
    slope: float
    t: float


def time_to(spec: Trend, points: Points) -> float:
    """Return when the points' trend meets the limit, in the points' unit of time from 0 on.

    Infinity when it does not lead there or is not significant. 0 when the line, or the newest
    value itself, is there.
    """
    sign = -1.0 if spec.falling else 1.0
    limit, floor = sign * spec.limit, sign * spec.floor
    seen = [(t, sign * y) for t, y in points]
    if seen[-1][1] >= limit:
        return 0.0
    if spec.fit == "exponential":
        line, limit = exponential(seen, floor), log(limit - floor)
    else:
        line = theil_sen(seen) if spec.fit == "theil_sen" else linear(seen)
    if line is None or line.slope <= 0 or line.t <= spec.least_t:
        return inf
    return max(0.0, (limit - line.level) / line.slope)


def linear(points: Points, weights: Sequence[float] | None = None) -> Line | None:
    """Return the least-squares line; None when all times are one.

    ``t`` is the slope over its standard error, infinite for a line without residuals.
    """
    w = [1.0] * len(points) if weights is None else weights
    total = sum(w)
    t_mean = sum(wi * t for wi, (t, _) in zip(w, points, strict=True)) / total
    y_mean = sum(wi * y for wi, (_, y) in zip(w, points, strict=True)) / total
    # Of deviations, or the squares of large values would swallow what differs between them.
    off = [(wi, t - t_mean, y - y_mean) for wi, (t, y) in zip(w, points, strict=True)]
    stt = sum(wi * t * t for wi, t, _ in off)
    if stt <= 0 or len(points) < 3:
        return None
    slope = sum(wi * t * y for wi, t, y in off) / stt
    rest = [(wi, y - slope * t) for wi, t, y in off]
    left = sum(wi * y * y for wi, y in rest)
    error = sqrt(left / (len(points) - 2) / stt)
    return Line(y_mean - slope * t_mean, slope, slope / error if error > 0 else _of_none(slope))


def theil_sen(points: Points) -> Line | None:
    """Return the line with the median of all pairwise slopes; None when all times are one.

    Up to 29 % of wild points do not move it (Sen, JASA 63, 1968). ``t`` is the normal score of the
    Mann-Kendall test for a trend (Mann, Econometrica 13, 1945), with no correction for ties,
    which makes it smaller than it may be.
    """
    slopes, balance = [], 0
    for (t1, y1), (t2, y2) in combinations(points, 2):
        if t2 > t1:
            slopes.append((y2 - y1) / (t2 - t1))
            balance += (y2 > y1) - (y2 < y1)
    if not slopes:
        return None
    slope = middle(slopes)
    n = len(points)
    spread = sqrt(n * (n - 1) * (2 * n + 5) / 18)
    shrunk = max(abs(balance) - 1, 0)
    t = (shrunk if balance > 0 else -shrunk) / spread
    return Line(middle([y - slope * t for t, y in points]), slope, t)


def exponential(points: Points, floor: float) -> Line | None:
    """Return the line through ln(y - floor), of the points above the floor.

    Points weigh (y - floor)²: noise of one size shrinks so in the logarithm. None when fewer than
    ``LEAST_POINTS`` are above it.
    """
    above = [(t, y - floor) for t, y in points if y > floor]
    if len(above) < LEAST_POINTS:
        return None
    top = max(y for _, y in above)
    return linear([(t, log(y)) for t, y in above], [(y / top) ** 2 for _, y in above])


def _of_none(slope: float) -> float:
    return 0.0 if slope == 0 else inf if slope > 0 else -inf
