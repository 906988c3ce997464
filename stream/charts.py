"""Control charts: small shifts that last, added up from one evaluation to the next.

Both take z-scores and are bounded: a chart that has run far beyond its limit during a fault would
need as long to come back.
"""

from math import sqrt
from typing import NamedTuple

import msgspec


class Ewma(msgspec.Struct, frozen=True, tag="ewma"):
    """An exponentially weighted mean: ``share`` (λ) is what the newest score weighs.

    The chart is kept within ``most`` of its own standard deviations.
    """

    share: float
    most: float


class Cusum(msgspec.Struct, frozen=True, tag="cusum"):
    """Sums of what goes beyond ``slack`` (k) standard deviations, each at most ``most``."""

    slack: float
    most: float


class Sums(NamedTuple):
    """The two sums of a CUSUM: of what lies above what is usual, and below."""

    high: float
    low: float


def next_ewma(spec: Ewma, before: float, z: float) -> float:
    """Return the chart after a score, in its own standard deviations.

    E' = λz + (1 - λ)E has the deviation sqrt(λ/(2 - λ)) once it has run in (Roberts,
    Technometrics 1(3), 1959); early on that is more than it has, so no alert comes too soon.
    """
    mean_of_scores = spec.share * z / sqrt(spec.share / (2 - spec.share))
    moved = mean_of_scores + (1 - spec.share) * before
    return min(max(moved, -spec.most), spec.most)


def next_sums(spec: Cusum, before: Sums, z: float) -> Sums:
    """Return the sums after a score.

    C⁺' = max(0, C⁺ + z - k), C⁻' = max(0, C⁻ - z - k) (Page, Biometrika 41, 1954).
    """
    high = max(0.0, before.high + z - spec.slack)
    low = max(0.0, before.low - z - spec.slack)
    return Sums(min(high, spec.most), min(low, spec.most))
