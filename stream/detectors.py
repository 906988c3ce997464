"""What a rule holds against its limits: an aggregate itself, or how it stands to a baseline.

What is made of several windows is in :mod:`stream.methods`.
"""

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Literal, NamedTuple

from schemas.records import WindowFeatures
from stream.baselines import Baseline, BaselineSpec, Usual, usual

Op = Literal[">=", "<=", "abs>="]
Compare = Literal[
    "value",
    "zscore",
    "robust_z",
    "ratio",
    "offset",
    "rate",
    "ewma",
    "cusum",
    "time_to_limit",
]
Aggregate = Literal[
    "mean", "min", "max", "range", "rms", "stddev", "count", "first", "last", "delta", "slope"
]

AGGREGATES: Mapping[Aggregate, Callable[[WindowFeatures], float]] = {
    "mean": lambda w: w.mean,
    "min": lambda w: w.min,
    "max": lambda w: w.max,
    "range": lambda w: w.max - w.min,
    "rms": lambda w: w.rms,
    "stddev": lambda w: w.stddev,
    "count": lambda w: float(w.count),
    "first": lambda w: w.first,
    "last": lambda w: w.last,
    "delta": lambda w: w.last - w.first,
    "slope": lambda w: w.slope,
}


class Verdict(NamedTuple):
    """One comparison: ``score`` is signed so that more is worse.

    ``statistic`` is the z-score or whatever else is compared, None for the aggregate itself.
    """

    score: float
    value: float
    statistic: float | None = None
    baseline_mean: float | None = None
    baseline_std: float | None = None


def signed(op: Op, number: float) -> float:
    """Turn a number so that more is worse."""
    if op == ">=":
        return number
    return -number if op == "<=" else abs(number)


def against_value(op: Op, value: float) -> Verdict | None:
    """Compare the aggregate itself; None when it is not finite."""
    return Verdict(signed(op, value), value) if isfinite(value) else None


def against_baseline(
    op: Op,
    value: float,
    spec: BaselineSpec,
    baseline: Baseline,
    at: int,
    to: Compare = "zscore",
) -> Verdict | None:
    """Compare by how the value stands to the baseline; see :func:`relative`.

    ``at`` is the time that the value stands for, ms. None when that is not defined: not known yet,
    or not finite.
    """
    known = usual(spec, baseline, at)
    if known is None:
        return None
    statistic = relative(to, value, known)
    if statistic is None or not isfinite(statistic):
        return None
    return Verdict(signed(op, statistic), value, statistic, *known)


def relative(to: Compare, value: float, known: Usual) -> float | None:
    """Return how a value stands to what is usual; None when that is not defined.

    A ``ratio`` is defined above a mean of 0, an ``offset`` always, in the unit of the value. All
    others are the distance in standard deviations, of which there must be some. Against a median
    that is the robust z-score 0.6745·(x - median)/MAD (Iglewicz and Hoaglin, How to Detect and
    Handle Outliers, ASQC 1993).
    """
    if to == "ratio":
        return value / known.mean if known.mean > 0 else None
    if to == "offset":
        return value - known.mean
    return (value - known.mean) / known.std if known.std > 0 else None
