"""Readings folded into panes: the offline twin of the job's pane operator, equal to it bit by bit.

A pane is one metric of one device in [pane_start, pane_end), at whole multiples of its length.
Both languages fold one reading after the other in the same order and with the same operations,
so that windows and alerts can be compared to the byte.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from math import isfinite, isnan
from typing import NamedTuple

import msgspec

from schemas.records import Reading, reading_key


class Pane(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One pane, in the order of the operator's columns; times in ms, the ``t_`` terms in s.

    ``m2`` and ``t_m2`` are sums of squared deviations, ``t_c`` that of the products; ``t`` counts
    from ``pane_start``. ``run`` is the longest run of equal values, ``step`` the largest change
    from one reading to the next. ``bad`` readings and ``duplicates`` are counted, not folded; a
    pane of bad readings alone has ``n`` 0. ``lag`` is the least by which a gateway's clock was
    ahead of the time that the device gave a reading, bad ones among them, ms; None if it gave none
    or the gateway did not know the time. New fields go to the end, with a default: panes are state.
    """

    pane_start: int
    pane_end: int
    n: int
    mean: float
    m2: float
    lo: float
    hi: float
    first_value: float
    last_value: float
    first_ts: int
    last_ts: int
    t_mean: float
    t_m2: float
    t_c: float
    run: int
    step: float
    bad: int
    duplicates: int
    lag: int | None = None


class PaneRow(NamedTuple):
    """A pane and whose it is; site and unit are those of its last reading."""

    device_id: str
    metric: str
    site: str
    unit: str | None
    pane: Pane


class _Kept(NamedTuple):
    """What is left of a pane's readings without the bad and the doubled."""

    points: list[tuple[int, float]]
    bad: int
    duplicates: int
    lag: int | None
    last: Reading


def panes_of(readings: Iterable[Reading], pane_ms: Callable[[str], int]) -> Iterator[PaneRow]:
    """Yield the panes of readings in any order: by device, then pane end, then metric.

    Offline nothing is late; markers say nothing more than that and are skipped.

    Args:
        readings: of any devices and metrics.
        pane_ms: the length of a metric's panes, ms.
    """

    def place(reading: Reading) -> tuple[str, int, str]:
        size = pane_ms(reading.metric)
        return reading.device_id, (reading.ts // size + 1) * size, reading.metric

    values = [reading for reading in readings if reading.kind == "READING"]
    values.sort(key=lambda reading: (*place(reading), fold_order(reading)))
    for (device_id, end, metric), group in groupby(values, key=place):
        kept = _keep(group)
        _, bad, duplicates, lag, _ = kept
        start = end - pane_ms(metric)
        pane = fold_points(start, end, kept.points, bad=bad, duplicates=duplicates, lag=lag)
        yield PaneRow(device_id, metric, kept.last.site, kept.last.unit, pane)


def fold_order(reading: Reading) -> tuple[object, ...]:
    """Return what readings of a pane are sorted by; nulls come first and NaN last."""
    return (
        reading.ts,
        reading.device_boot is not None,
        reading.device_boot or "",
        reading.device_seq is not None,
        reading.device_seq or 0,
        isnan(reading.value),
        0.0 if isnan(reading.value) else reading.value,
        reading.repeat,
        reading.gateway_id,
        reading.gateway_epoch,
        reading.gateway_seq,
        reading.part,
    )


def fold_points(
    start: int,
    end: int,
    points: Iterable[tuple[int, float]],
    *,
    bad: int = 0,
    duplicates: int = 0,
    lag: int | None = None,
) -> Pane:
    """Fold (ts, value) pairs, already ordered, into one pane.

    Welford's updates (Technometrics 4(3), 1962) for mean and spread of value and time and for
    their co-moment: exact to rounding for values such as 1e6 ± 0.01, where sums of squares are
    not. The order of the operations is part of the contract with the pane operator.
    """
    n = run = longest = 0
    mean = m2 = lo = hi = first = last = t_mean = t_m2 = t_c = step = 0.0
    first_ts = last_ts = start
    for ts, x in points:
        if n == 0:
            lo = hi = first = x
            first_ts = ts
        else:
            change = abs(x - last)
            if change > step:  # noqa: PLR1730 - half the time of max(), for every reading
                step = change
        run = run + 1 if n > 0 and x == last else 1
        if run > longest:  # noqa: PLR1730
            longest = run
        if x < lo:  # noqa: PLR1730
            lo = x
        if x > hi:  # noqa: PLR1730
            hi = x
        last, last_ts = x, ts
        t = (ts - start) / 1000.0
        n += 1
        dx = x - mean
        dt = t - t_mean
        mean += dx / n
        t_mean += dt / n
        m2 += dx * (x - mean)
        t_m2 += dt * (t - t_mean)
        t_c += dt * (x - mean)
    return Pane(
        start, end, n, mean, m2, lo, hi, first, last, first_ts, last_ts,
        t_mean, t_m2, t_c, longest, step, bad, duplicates, lag,
    )  # fmt: skip


def fold_one(start: int, end: int, ts: int, value: float) -> Pane:
    """Fold a single reading into a pane, to the bit as :func:`fold_points`, in a third of its time.

    Many sensors report no more often than windows slide.
    """
    mean = value + 0.0  # or it would be -0.0 for a reading of that
    return Pane(
        start, end, 1, mean, 0.0, value, value, value, value, ts, ts,
        (ts - start) / 1000.0, 0.0, 0.0, 1, 0.0, 0, 0,
    )  # fmt: skip


def _keep(ordered: Iterable[Reading]) -> _Kept:
    """Drop what came twice and count what is bad.

    A set and not a look at the neighbour: a clamped reading that is sent again has another ts.
    """
    seen: set[tuple[object, ...]] = set()
    points: list[tuple[int, float]] = []
    bad = duplicates = 0
    lag = last = None
    for reading in ordered:
        key = _comparable(reading)
        if key in seen:
            duplicates += 1
            continue
        seen.add(key)
        last = reading
        if reading.device_ts is not None and reading.clock != "UNSYNCED":
            behind = reading.received_ts - reading.device_ts
            lag = behind if lag is None else min(lag, behind)
        if reading.quality == "BAD" or not isfinite(reading.value):
            bad += 1
        else:
            points.append((reading.ts, reading.value))
    assert last is not None, "groups are never empty"
    return _Kept(points, bad, duplicates, lag, last)


def _comparable(reading: Reading) -> tuple[object, ...]:
    """Return the reading key with NaN made equal to itself, as the operator has it."""
    key = reading_key(reading)
    return tuple("NaN" if part != part else part for part in key)  # noqa: PLR0124
