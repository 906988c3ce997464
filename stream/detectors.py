"""What a rule holds against its limits: an aggregate itself, or its distance from a baseline."""

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Literal, NamedTuple

from schemas.records import WindowFeatures
from stream.baselines import Baseline, BaselineSpec, usual

Op = Literal[">=", "<=", "abs>="]
Compare = Literal["value", "zscore"]
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
    op: Op, value: float, spec: BaselineSpec, baseline: Baseline, at: int
) -> Verdict | None:
    """Compare by the distance from the baseline in its standard deviations.

    ``at`` is the time that the value stands for, ms. None when that is not defined: not known yet,
    no spread at all, or not finite.
    """
    known = usual(spec, baseline, at)
    if known is None or known.std <= 0:
        return None
    z = (value - known.mean) / known.std
    return Verdict(signed(op, z), value, z, *known) if isfinite(z) else None
