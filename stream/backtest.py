"""Rules tried on recorded series: the job's engine, offline, and how well its alerts meet labels.

Offline nothing is late: a series is sorted by time, and every row is a reading of its own.
"""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from heapq import merge
from itertools import groupby
from math import isfinite
from pathlib import Path
from typing import NamedTuple

from schemas.failure import Failure
from schemas.records import Alert
from stream.device_state import DeviceState, HeldPane
from stream.engine import Decision, Engine
from stream.nab import PROFILES, Labelled, in_window, probation, score
from stream.pane_sizes import pane_ms
from stream.panes import Pane, PaneRow, fold_points
from stream.rule import Rules

_LONG = ["timestamp", "device", "metric", "value"]
_WEEK_MS = 7 * 24 * 3600 * 1000
_SITE = "offline"

Points = list[tuple[int, float]]
Spans = list[tuple[int, int]]


class Series(NamedTuple):
    """One metric of one device: (ms, value) in order of time."""

    device_id: str
    metric: str
    points: Points


class Scores(NamedTuple):
    """How alerts meet labelled windows.

    ``event_recall``: of the windows that are scored, the share an alert overlaps at any time.
    ``precision`` and ``false_alerts_per_sensor_week`` look at onsets: an alert is right when it
    starts inside a window. Both leave out what starts before the end of NAB's probation.
    """

    nab: dict[str, float | None]
    event_recall: float | None
    precision: float | None
    false_alerts_per_sensor_week: float | None


def run(rules: Rules, series: Iterable[Series]) -> list[Alert]:
    """Return every transition of every series, device after device, in the order of the job."""
    return [alert for decision in decisions(rules, series) for alert in decision.alerts]


def decisions(rules: Rules, series: Iterable[Series]) -> Iterator[Decision]:
    """Yield what each pane leads to, in the same order."""
    engine = Engine(rules)
    for device_id, own in by_device(rules, series):
        state = DeviceState()
        for metric, pane in own:
            yield engine.on_pane(state, device_id, metric, _SITE, None, pane)


def derived(rules: Rules, series: Iterable[Series]) -> Iterator[PaneRow]:
    """Yield the panes of derived metrics, by device and in order of time."""
    names = {each.metric for each in rules.derived}
    engine = Engine(rules)
    for device_id, own in by_device(rules, series):
        state = DeviceState()
        for metric, pane in own:
            for row in engine.rows(state, device_id, HeldPane(metric, _SITE, None, pane)):
                if row.metric in names:
                    yield PaneRow(device_id, row.metric, row.site, row.unit, row.pane)


def by_device(
    rules: Rules, series: Iterable[Series]
) -> Iterator[tuple[str, Iterator[tuple[str, Pane]]]]:
    """Yield each device with its panes, as the rules want them, in the order of the job."""
    size = pane_ms(rules)
    devices: dict[str, list[Series]] = {}
    for each in series:
        devices.setdefault(each.device_id, []).append(each)
    for device_id, own in devices.items():
        yield device_id, _device_panes(own, size)


def _device_panes(
    own: Sequence[Series], size_ms: Callable[[str], int]
) -> Iterator[tuple[str, Pane]]:
    """Yield the panes of one device's series in order of (end, metric)."""

    def named(each: Series) -> Iterator[tuple[str, Pane]]:
        return ((each.metric, pane) for pane in panes(each.points, size_ms(each.metric)))

    return merge(*map(named, own), key=lambda pair: (pair[1].pane_end, pair[0]))


def panes(points: Points, size_ms: int) -> Iterator[Pane]:
    """Yield the panes of points that are in order of time."""
    for index, group in groupby(points, key=lambda point: point[0] // size_ms):
        inside = list(group)
        good = [point for point in inside if isfinite(point[1])]
        start = index * size_ms
        yield fold_points(start, start + size_ms, good, bad=len(inside) - len(good))


def read_series(path: Path) -> list[Series]:
    """Read a CSV file or all of a folder's, of either form.

    Wide: a column ``timestamp``, and one for each metric; the device is named after the file.
    Long: ``timestamp,device,metric,value``. Times are ISO 8601 (UTC unless they say otherwise) or
    ms since the epoch. Empty cells are no readings.

    Raises:
        Failure: nothing there, or a line that cannot be read; it names file and line.
    """
    files = sorted(path.glob("*.csv")) if path.is_dir() else [path]
    if not files:
        raise Failure(f"{path}: holds no .csv file")
    return [series for file in files for series in _read_csv(file)]


def read_labels(path: Path) -> dict[str, Spans]:
    """Read labelled windows: a JSON object of file name to list of [first time, last time].

    Returns:
        The windows in ms by device, that is by file name without folder and ``.csv``; devices of
        a long file are meant as if each had a file of its own.

    Raises:
        Failure: the file is not of that form.
    """
    try:
        labels = json.loads(path.read_text("utf-8"))
        return {
            Path(name).stem: [(_time_ms(first), _time_ms(last)) for first, last in windows]
            for name, windows in labels.items()
        }
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{path}: cannot be read: {error}") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise Failure(
            f'{path}: expected {{"file.csv": [["first time", "last time"], …], …}}: {error}'
        ) from error


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
        sum(each.met for each in judged) / windows if windows else None,
        right / (right + wrong) if right + wrong else None,
        wrong / weeks if weeks else None,
    )


class _Judged(NamedTuple):
    """One series' part of the scores."""

    onsets: Labelled
    right: int
    wrong: int
    windows: int
    met: int
    scored_ms: int


def _judged(each: Series, alerts: Sequence[Alert], windows: Spans) -> _Judged:
    times = [at for at, _ in each.points]
    from_ms = times[probation(len(times))]
    own = [a for a in alerts if (a.device_id, a.metric) == (each.device_id, each.metric)]
    fired = {a.alert_id: _last_row(times, a.starts_at) for a in own if a.event == "FIRED"}
    ends = {a.alert_id: a.ends_at for a in own if a.ends_at is not None}
    late = {name: at for name, at in fired.items() if at >= from_ms}
    labelled = Labelled(times, windows, list(fired.values()))
    right = sum(in_window(labelled, at) for at in late.values())
    scored = [(first, last) for first, last in windows if last >= from_ms and first <= times[-1]]
    met = sum(
        any(at <= last and ends.get(name, times[-1]) >= first for name, at in late.items())
        for first, last in scored
    )
    return _Judged(labelled, right, len(late) - right, len(scored), met, times[-1] - from_ms)


def _last_row(times: Sequence[int], end: int) -> int:
    """Return the time of the last row before a window's end: what the alert was decided on."""
    low, high = 0, len(times)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if times[middle] < end else (low, middle)
    return times[max(low - 1, 0)]


def _read_csv(path: Path) -> list[Series]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file)
            header = next(rows, [])
            if [name.strip().lower() for name in header] == _LONG:
                return _read_long(path, rows)
            metrics = _metrics(path, header)
            points: list[Points] = [[] for _ in metrics]
            for line, row in enumerate(rows, start=2):
                _take(points, path, line, row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Failure(f"{path}: cannot be read as CSV: {error}") from error
    for each in points:
        each.sort(key=lambda point: point[0])
    return [Series(path.stem, metric, each) for metric, each in zip(metrics, points, strict=True)]


def _read_long(path: Path, rows: Iterable[list[str]]) -> list[Series]:
    found: dict[tuple[str, str], Points] = {}
    for line, row in enumerate(rows, start=2):
        if not row:
            continue
        if len(row) != len(_LONG):
            raise Failure(f"{path}:{line}: expected {len(_LONG)} fields, got {len(row)}")
        timestamp, device, metric, value = row
        try:
            if value.strip():
                own = found.setdefault((device, metric), [])
                own.append((_time_ms(timestamp), float(value)))
        except ValueError as error:
            raise Failure(f"{path}:{line}: {error}") from error
    for points in found.values():
        points.sort(key=lambda point: point[0])
    return [Series(device, metric, points) for (device, metric), points in found.items()]


def _metrics(path: Path, header: list[str]) -> list[str]:
    names = [name.strip() for name in header]
    if len(names) < 2 or names[0].lower() != "timestamp":
        raise Failure(
            f"{path}:1: expected a header timestamp,<metric>[,<metric>…], got {','.join(header)!r}"
        )
    return names[1:]


def _take(points: Sequence[Points], path: Path, line: int, row: list[str]) -> None:
    if not row:
        return
    if len(row) != len(points) + 1:
        raise Failure(f"{path}:{line}: expected {len(points) + 1} fields, got {len(row)}")
    try:
        at = _time_ms(row[0])
        for own, cell in zip(points, row[1:], strict=True):
            if cell.strip():
                own.append((at, float(cell)))
    except ValueError as error:
        raise Failure(f"{path}:{line}: {error}") from error


def _time_ms(text: str) -> int:
    if text.isdigit():
        return int(text)
    at = datetime.fromisoformat(text.strip())
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
