"""A series of one sensor: read from CSV, shifted by whole weeks, cut, closed, made messages."""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import isfinite
from pathlib import Path
from statistics import median

from schemas.failure import Failure
from simulators.clock import DAY_MS, FIRST_MONDAY_MS, HOUR_MS, parse_time, safe_name, weeks_to
from simulators.message import Message

CLOSING_MS = 2 * HOUR_MS
_HEADER = ["timestamp", "value"]
_MAX_MAGNITUDE = 1e300


@dataclass(frozen=True, slots=True)
class Series:
    """The readings of one metric of one device as (ms UTC, value), in event-time order."""

    device: str
    metric: str
    unit: str | None
    points: tuple[tuple[int, float], ...]

    @property
    def interval_ms(self) -> int:
        """The usual time between two readings; 1 minute for a series too short to tell."""
        steps = [b - a for (a, _), (b, _) in pairwise(self.points) if b > a]
        return round(median(steps)) if steps else 60_000


def read_csv(path: Path, *, device: str, metric: str, unit: str | None = None) -> Series:
    """Read a file of ``timestamp,value`` rows under a header of these names.

    Times without an offset are UTC. Rows need not be in order, and equal timestamps stay apart:
    a logger whose clock was set back writes both.

    Raises:
        Failure: the file cannot be read, or a row is wrong; it names file and line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            points = list(_points(path, csv.reader(file)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Failure(f"{path}: cannot be read as CSV: {error}") from error
    if not points:
        raise Failure(f"{path}: has no readings; write rows of timestamp,value under that header")
    points.sort(key=lambda point: point[0])
    return Series(safe_name(device), metric, unit, tuple(points))


def _points(path: Path, rows: Iterable[list[str]]) -> Iterator[tuple[int, float]]:
    numbered = enumerate(rows, start=1)
    header = [name.strip().lower() for name in next(numbered, (1, []))[1]]
    if header != _HEADER:
        raise Failure(f"{path}:1: expected the header timestamp,value, got {','.join(header)!r}")
    for line, row in numbered:
        if not row:
            continue
        if len(row) != 2:
            raise Failure(f"{path}:{line}: expected 2 fields, timestamp,value, got {len(row)}")
        yield _time(path, line, row[0]), _number(path, line, row[1])


def _time(path: Path, line: int, text: str) -> int:
    try:
        at_ms = parse_time(text)
    except ValueError as error:
        raise Failure(
            f"{path}:{line}: {text!r} is no time; write it like 2014-02-19 15:25:00 (UTC)"
        ) from error
    if at_ms < 0:
        raise Failure(f"{path}:{line}: {text!r} is before 1970, which no gateway accepts")
    return at_ms


def _number(path: Path, line: int, text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise Failure(f"{path}:{line}: {text!r} is no number") from error
    if not isfinite(value) or abs(value) > _MAX_MAGNITUDE:
        raise Failure(f"{path}:{line}: {text!r} is no finite number within ±{_MAX_MAGNITUDE:g}")
    return value


def shifted(series: Series, start_ms: int, days: float | None = None) -> Series:
    """Move a series by whole weeks into the week from ``start_ms``; keep ``days`` from there."""
    shift = weeks_to(series.points[0][0], start_ms)
    end = float("inf") if days is None else start_ms + days * DAY_MS
    points = tuple((at + shift, value) for at, value in series.points if at + shift < end)
    return replace(series, points=points)


def closed(series: Series, closing_ms: int = CLOSING_MS) -> Series:
    """Add readings of the last value until ``closing_ms`` after the last time has passed.

    A device's own clock closes its panes, so the last windows need readings beyond them. There
    is at least one closing reading, at the series' own interval; 0 adds none.
    """
    if not closing_ms or not series.points:
        return series
    (last, value), step = series.points[-1], series.interval_ms
    count = -(-closing_ms // step)
    extra = tuple((last + step * i, value) for i in range(1, count + 1))
    return replace(series, points=series.points + extra)


def series_messages(series: Series, site: str) -> Iterator[Message]:
    """Yield a series on ``sensors/{site}/{device}/{metric}``, one reading a message."""
    topic = f"sensors/{site}/{series.device}/{series.metric}"
    device_id = f"{site}.{series.device}"
    unit = json.dumps(series.unit, ensure_ascii=False)
    for seq, (ts, value) in enumerate(series.points):
        payload = f'{{"value":{value!r},"ts":{ts},"unit":{unit},"seq":{seq}}}'
        yield Message(ts, topic, payload.encode(), device_id, seq, ((series.metric, value),))


def span_ms(all_series: Sequence[Series], days: float | None, closing_ms: int) -> int:
    """Return how long after a Monday 00:00 start the last of the (closing) readings comes."""
    placed = (closed(shifted(each, FIRST_MONDAY_MS, days), closing_ms) for each in all_series)
    ends = (each.points[-1][0] for each in placed if each.points)
    return max(ends, default=FIRST_MONDAY_MS) - FIRST_MONDAY_MS
