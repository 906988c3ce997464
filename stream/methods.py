"""Comparisons that look at several windows: control charts, rates of change, time to a limit."""

from math import inf, isfinite

import msgspec
from msgspec.structs import replace

from stream.charts import Cusum, Ewma, Sums, next_ewma, next_sums
from stream.detectors import Op, Verdict, signed
from stream.trends import Rate, Trend, time_to

Chart = Ewma | Cusum
Course = Rate | Trend
Method = Chart | Course
CHARTS = (Ewma, Cusum)


class Memory(msgspec.Struct, array_like=True):
    """What a method remembers of one series; new fields go to the end, with a default.

    ``high`` is an EWMA, or a CUSUM's upper sum, ``low`` its lower one. ``points`` are the middle
    (ms) and value of windows, in order of time.
    """

    high: float = 0.0
    low: float = 0.0
    points: list[tuple[int, float]] = []


def on_chart(method: Chart, op: Op, memory: Memory, verdict: Verdict) -> Verdict:
    """Put a z-score on a chart, whose memory changes in place, and return what the chart says.

    A CUSUM says the sum of the side that ``op`` asks, the larger one for both; the lower one is
    told below 0, as z-scores are.
    """
    z = verdict.statistic or 0.0
    if isinstance(method, Ewma):
        told = memory.high = next_ewma(method, memory.high, z)
    else:
        sums = next_sums(method, Sums(memory.high, memory.low), z)
        memory.high, memory.low = sums
        upper = op == ">=" or (op == "abs>=" and sums.high >= sums.low)
        told = sums.high if upper else -sums.low
    return replace(verdict, score=signed(op, told), statistic=told)


def on_course(
    method: Course, op: Op, memory: Memory, value: float, middle: int, end: int
) -> Verdict | None:
    """Take a window's value into what is remembered, in place, and say where it is going.

    Args:
        method: what is asked.
        op: which direction is worse.
        memory: changed in place.
        value: of the window.
        middle: of the window, ms.
        end: of the window, ms.

    Returns:
        None while too little is remembered. A trend that does not lead to its limit within its
        horizon is as good as can be: it has no statistic, and ends an alert.
    """
    if not isfinite(value):
        return None
    points = memory.points
    points.append((middle, value))
    if isinstance(method, Rate):
        return _changed(method, op, points)
    if len(points) > method.points:
        del points[: len(points) - method.points]
    if len(points) < method.points:
        return None
    ahead = time_to(method, [((at - end) / method.unit_ms, y) for at, y in points])
    if ahead * method.unit_ms > method.horizon_ms:
        return Verdict(-inf, value)
    return Verdict(signed(op, ahead), value, ahead)


def _changed(method: Rate, op: Op, points: list[tuple[int, float]]) -> Verdict | None:
    """Return the change since the window that was then; None when there was none."""
    at, value = points[-1]
    then = at - method.over_ms
    gone = 0
    while points[gone][0] < then:
        gone += 1
    del points[:gone]
    if points[0][0] != then:
        return None
    rate = (value - points[0][1]) * (method.unit_ms / method.over_ms)
    return Verdict(signed(op, rate), value, rate) if isfinite(rate) else None


def rested(method: Method, memory: Memory) -> None:
    """Forget what a rest makes meaningless: a rate across a stop of the machine."""
    if isinstance(method, Rate):
        memory.points = []


def over(method: Method, memory: Memory) -> None:
    """Start a chart anew after an alert has ended."""
    if isinstance(method, CHARTS):
        memory.high = memory.low = 0.0
