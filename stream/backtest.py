"""Rules tried on recorded series: the job's engine, offline, and how well its alerts meet labels.

Offline nothing is late: a series is sorted by time, and every row is a reading of its own.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from heapq import merge
from math import isfinite
from statistics import median
from typing import NamedTuple

from schemas.records import Alert
from stream.device_state import DeviceState, HeldPane
from stream.engine import Decision, Engine
from stream.fleet import Fleet
from stream.look import Watch
from stream.nab import PROFILES, Labelled, in_window, probation, score
from stream.pane_sizes import pane_ms
from stream.panes import Pane, PaneRow, fold_one, fold_points
from stream.recorded import Points, Series, Spans, read_labels, read_series
from stream.rule import Rules

__all__ = ["Scores", "Series", "panes", "rate", "read_labels", "read_series", "run"]

_WEEK_MS = 7 * 24 * 3600 * 1000


class Scores(NamedTuple):
    """How alerts meet labelled windows.

    ``event_recall``: of the windows that are scored, the share an alert overlaps at any time.
    ``precision`` and ``false_alerts_per_sensor_week`` look at onsets: an alert is right when it
    starts inside a window. Both leave out what starts before the end of NAB's probation.
    The medians are over the windows that an alert overlaps, each by the earliest that does:
    ``median_delay_s`` from the window's start to the alert's (negative when it began before), and
    ``median_lead_s`` from the alert's start to the window's end.
    """

    nab: dict[str, float | None]
    event_recall: float | None
    precision: float | None
    false_alerts_per_sensor_week: float | None
    median_delay_s: float | None
    median_lead_s: float | None


def run(
    rules: Rules,
    series: Iterable[Series],
    watch: Watch | None = None,
    fleet: Fleet | None = None,
) -> list[Alert]:
    """Return every transition of every series, device after device, in the order of the job.

    ``watch`` is told of every window and rule what was compared, see :class:`Look`; ``fleet`` knows
    what the devices are.
    """
    made = _decisions(Engine(rules, watch, fleet, rows=False), rules, series)
    return [alert for decision in made for alert in decision.alerts]


def decisions(rules: Rules, series: Iterable[Series]) -> Iterator[Decision]:
    """Yield what each pane leads to, rows of windows and alerts, in the same order."""
    return _decisions(Engine(rules), rules, series)


def _decisions(engine: Engine, rules: Rules, series: Iterable[Series]) -> Iterator[Decision]:
    for own in _by_device(rules, series):
        state = DeviceState()
        for one, pane in own:
            yield engine.on_pane(state, one.device_id, one.metric, one.site, one.unit, pane)


def derived(rules: Rules, series: Iterable[Series]) -> Iterator[PaneRow]:
    """Yield the panes of derived metrics, by device and in order of time."""
    names = {each.metric for each in rules.derived}
    engine = Engine(rules)
    for own in _by_device(rules, series):
        state = DeviceState()
        for one, pane in own:
            held = HeldPane(one.metric, one.site, one.unit, pane)
            for row in engine.rows(state, one.device_id, held):
                if row.metric in names:
                    yield PaneRow(one.device_id, row.metric, row.site, row.unit, row.pane)


def _by_device(rules: Rules, series: Iterable[Series]) -> Iterator[Iterator[tuple[Series, Pane]]]:
    """Yield the panes of each device, as the rules want them, in the order of the job."""
    size = pane_ms(rules)
    devices: dict[str, list[Series]] = {}
    for each in series:
        devices.setdefault(each.device_id, []).append(each)
    for own in devices.values():
        yield _device_panes(own, size)


def _device_panes(
    own: Sequence[Series], size_ms: Callable[[str], int]
) -> Iterator[tuple[Series, Pane]]:
    """Yield the panes of one device's series in order of (end, metric)."""

    def named(each: Series) -> Iterator[tuple[Series, Pane]]:
        return ((each, pane) for pane in panes(each.points, size_ms(each.metric)))

    return merge(*map(named, own), key=lambda pair: (pair[1].pane_end, pair[0].metric))


def panes(points: Points, size_ms: int) -> Iterator[Pane]:
    """Yield the panes of points that are in order of time."""
    times = [at for at, _ in points]
    sound = all(isfinite(value) for _, value in points)
    first, count = 0, len(times)
    while first < count:
        start = times[first] // size_ms * size_ms
        end = start + size_ms
        behind = first + 1
        if sound and (behind == count or times[behind] >= end):
            yield fold_one(start, end, *points[first])
        else:
            behind = bisect_left(times, end, behind)
            inside = points[first:behind]
            good = inside if sound else [point for point in inside if isfinite(point[1])]
            yield fold_points(start, end, good, bad=len(inside) - len(good))
        first = behind


def rate(series: Sequence[Series], alerts: Sequence[Alert], labels: Mapping[str, Spans]) -> Scores:
    """Hold the alerts of labelled series against their windows; others are left out."""
    scored = [each for each in series if each.device_id in labels and each.points]
    judged = [_judged(each, alerts, labels[each.device_id]) for each in scored]
    nab = {name: score((each.onsets for each in judged), p) for name, p in PROFILES.items()}
    right = sum(each.right for each in judged)
    wrong = sum(each.wrong for each in judged)
    windows = sum(each.windows for each in judged)
    weeks = sum(each.scored_ms for each in judged) / _WEEK_MS
    return Scores(
        nab,
        sum(len(each.met) for each in judged) / windows if windows else None,
        right / (right + wrong) if right + wrong else None,
        wrong / weeks if weeks else None,
        _median_s([first.starts_at - span[0] for each in judged for span, first in each.met]),
        _median_s([span[1] - first.starts_at for each in judged for span, first in each.met]),
    )


def _median_s(spans_ms: Sequence[int]) -> float | None:
    return median(spans_ms) / 1000 if spans_ms else None


class _Judged(NamedTuple):
    """One series' part of the scores; ``met`` has the windows met, with the earliest alert."""

    onsets: Labelled
    right: int
    wrong: int
    windows: int
    met: list[tuple[tuple[int, int], Alert]]
    scored_ms: int


def _judged(each: Series, alerts: Sequence[Alert], windows: Spans) -> _Judged:
    times = [at for at, _ in each.points]
    from_ms = times[probation(len(times))]
    own = [a for a in alerts if (a.device_id, a.metric) == (each.device_id, each.metric)]
    began = [a for a in own if a.event == "FIRED"]
    onsets = {a.alert_id: _last_row(times, a.starts_at) for a in began}
    ends = {a.alert_id: a.ends_at for a in own if a.ends_at is not None}
    late = {name: at for name, at in onsets.items() if at >= from_ms}
    labelled = Labelled(times, windows, list(onsets.values()))
    right = sum(in_window(labelled, at) for at in late.values())
    scored = [(first, last) for first, last in windows if last >= from_ms and first <= times[-1]]
    met = []
    for first, last in scored:
        over = [
            a
            for a in began
            if late.get(a.alert_id, last + 1) <= last and ends.get(a.alert_id, times[-1]) >= first
        ]
        if over:
            met.append(((first, last), min(over, key=lambda a: a.starts_at)))
    span_ms = times[-1] - from_ms
    return _Judged(labelled, right, len(late) - right, len(scored), met, span_ms)


def _last_row(times: Sequence[int], end: int) -> int:
    """Return the time of the last row before a window's end: what the alert was decided on."""
    low, high = 0, len(times)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if times[middle] < end else (low, middle)
    return times[max(low - 1, 0)]
