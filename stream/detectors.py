"""What a rule holds against its limits: an aggregate itself, or its distance from a baseline."""

from collections.abc import Callable, Mapping, Sequence
from math import isfinite, sqrt
from typing import Literal, NamedTuple

import msgspec

from schemas.records import WindowFeatures
from stream.lifecycle import Phase
from stream.panes import Pane

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


class Decayed(msgspec.Struct, frozen=True):
    """A baseline that forgets exponentially, lagged by one window.

    ``n0`` is its memory in readings, those closer than ``counted_every_ms`` counting as one:
    6400 at 5 min are 22 days. Nothing is compared before ``warmup`` readings. The standard
    deviation is taken as at least ``floor_rel`` times the mean. While the rule's alert is in a
    phase of ``freeze_while``, nothing is learned.
    """

    n0: float = 6400.0
    counted_every_ms: int = 300_000
    warmup: float = 50.0
    floor_rel: float = 1e-3
    freeze_while: tuple[Phase, ...] = ()


class Baseline(msgspec.Struct, array_like=True):
    """What a decayed baseline remembers; ``taken_to`` is the end of the newest pane it has seen."""

    weight: float = 0.0
    mean: float = 0.0
    variance: float = 0.0
    taken_to: int | None = None


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


def against_baseline(op: Op, value: float, spec: Decayed, baseline: Baseline) -> Verdict | None:
    """Compare by the distance from the baseline in its standard deviations.

    None when that is not defined: not warmed up, no spread at all, or not finite.
    """
    if baseline.weight < spec.warmup:
        return None
    std = max(sqrt(baseline.variance), spec.floor_rel * abs(baseline.mean))
    z = (value - baseline.mean) / std if std > 0 else float("nan")
    return Verdict(signed(op, z), value, z, baseline.mean, std) if isfinite(z) else None


def learn(
    baseline: Baseline, spec: Decayed, panes: Sequence[Pane], upto: int, *, frozen: bool
) -> None:
    """Take the panes that ended by ``upto`` and are new into the baseline, in place.

    The weighted form of a decayed mean and variance, O(1) in state: a pane of weight w moves the
    mean by a = w / min(N + w, n0) of its distance δ, and S' = (1-a)(S + aδ²) + a·(variance inside
    the pane). Fed reading by reading it is that of one reading a time. A pane weighs its readings,
    but no more than the time since the last one allows (``counted_every_ms``).
    """
    for pane in panes:
        if pane.pane_end > upto:
            break
        before = pane.pane_start if baseline.taken_to is None else baseline.taken_to
        if pane.pane_end <= before:
            continue
        baseline.taken_to = pane.pane_end
        if frozen:
            continue
        weight = min(float(pane.n), (pane.pane_end - before) / spec.counted_every_ms)
        total = min(baseline.weight + weight, max(spec.n0, weight))
        a = weight / total
        delta = pane.mean - baseline.mean
        variance = (1 - a) * (baseline.variance + a * delta * delta) + a * pane.m2 / pane.n
        if not isfinite(variance):
            continue  # it would never be forgotten
        baseline.weight = total
        baseline.mean += a * delta
        baseline.variance = variance
