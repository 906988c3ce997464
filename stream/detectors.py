"""What a rule holds against its limits: an aggregate itself, or how it stands to a baseline.

What is made of several windows is in :mod:`stream.methods`.
"""

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Literal

import msgspec

from stream.baselines import Baseline, BaselineSpec, Usual, usual
from stream.windows import Window

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

AGGREGATES: Mapping[Aggregate, Callable[[Window], float]] = {
    "mean": Window.mean,
    "min": lambda w: w.moments().lo,
    "max": lambda w: w.moments().hi,
    "range": lambda w: w.moments().hi - w.moments().lo,
    "rms": lambda w: w.moments().rms,
    "stddev": lambda w: w.moments().stddev,
    "count": lambda w: float(w.count),
    "first": lambda w: w.panes[0].first_value,
    "last": lambda w: w.panes[-1].last_value,
    "delta": lambda w: w.panes[-1].last_value - w.panes[0].first_value,
    "slope": lambda w: w.moments().slope,
}
"""To the bit what a window's row says, of which there may be none."""


class Verdict(msgspec.Struct, frozen=True, array_like=True, gc=False):
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
    return Verdict(signed(op, statistic), value, statistic, known.mean, known.std)


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
