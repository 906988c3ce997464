"""Recorded series: CSV of two forms, or the lake's Parquet, and the labels that go with them."""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from schemas.config import nearest
from schemas.failure import Failure
from stream.times import time_ms, times_ms

OFFLINE = "offline"
"""The site of series whose file names none."""
_LONG = ["timestamp", "device", "metric", "value"]
_PARQUET = b"PAR1"
_ROWS_AT_ONCE = 256

Points = list[tuple[int, float]]
Spans = list[tuple[int, int]]


class Series(NamedTuple):
    """One metric of one device: (ms, value) in order of time; NaN is a bad reading."""

    device_id: str
    metric: str
    points: Points
    site: str = OFFLINE
    unit: str | None = None


class Wanted(NamedTuple):
    """Which readings: event times in [from_ms, to_ms), of one site or device or of all."""

    from_ms: int | None = None
    to_ms: int | None = None
    site: str | None = None
    device: str | None = None


ALL = Wanted()


def read_series(path: Path, wanted: Wanted = ALL) -> list[Series]:
    """Read a file or a folder of CSV or of Parquet; a metric of a device is one series.

    Wide CSV: a column ``timestamp``, and one for each metric; the device is named after the file.
    Long CSV: ``timestamp,device,metric,value``. Times are ISO 8601 (UTC unless they say otherwise)
    or ms since the epoch. Empty cells are no readings. Parquet is the lake's; see
    :mod:`stream.recorded_parquet`.

    Raises:
        Failure: nothing there that is wanted, or a line that cannot be read; it names file and
            line.
    """
    if _is_parquet(path):
        from stream.recorded_parquet import read_parquet  # noqa: PLC0415 - Arrow is heavy

        return read_parquet(path, wanted)
    files = sorted(path.glob("*.csv")) if path.is_dir() else [path]
    every = _joined(series for file in files for series in _read_csv(file))
    chosen = [cut for each in every if (cut := _cut(each, wanted)).points]
    if not chosen and wanted != ALL:
        raise Failure(f"{path}: {_none_wanted(every, wanted)}")
    return chosen if wanted != ALL else every


def read_labels(path: Path) -> dict[str, Spans]:
    """Read labelled windows: a JSON object of file or device name to list of [first, last time].

    Returns:
        The windows in ms by device, that is by name without folder and ``.csv``; devices of
        a long file are meant as if each had a file of its own.

    Raises:
        Failure: the file is not of that form.
    """
    try:
        labels = json.loads(path.read_text("utf-8"))
        return {
            Path(name).name.removesuffix(".csv"): [
                (time_ms(first), time_ms(last)) for first, last in windows
            ]
            for name, windows in labels.items()
        }
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{path}: cannot be read: {error}") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise Failure(
            f'{path}: expected {{"file.csv": [["first time", "last time"], …], …}}: {error}'
        ) from error


def device_named(series: Sequence[Series], device: str) -> list[Series]:
    """Return the series of a device.

    Raises:
        Failure: it has none; the message proposes the nearest name.
    """
    found = [each for each in series if each.device_id == device]
    if not found:
        known = sorted({each.device_id for each in series})
        raise Failure(
            f"the data hold no device {device!r}{nearest(device, known)}; they hold "
            f"{len(known)} devices, the first of them {', '.join(known[:5]) or '(none)'}"
        )
    return found


def _is_parquet(path: Path) -> bool:
    if path.is_dir():
        parquet = any(map(_has_mark, _data_files(path)))
        if parquet and any(path.glob("*.csv")):
            raise Failure(f"{path}: holds both CSV and Parquet; name one file, or another folder")
        if not parquet and not any(path.glob("*.csv")):
            raise Failure(f"{path}: holds no .csv file, and no Parquet in it or its folders")
        return parquet
    marked = _has_mark(path)
    if path.suffix == ".parquet" and not marked:
        raise Failure(f"{path}: is no Parquet, which begins with PAR1: cut off, or of another kind")
    return marked


def _data_files(folder: Path) -> Iterable[Path]:
    """Return what may be Parquet: jobs name their files without a suffix, notes begin with _."""
    names = (each for each in folder.rglob("*") if not each.name.startswith(("_", ".")))
    return (each for each in names if each.suffix in (".parquet", "") and each.is_file())


def _has_mark(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_PARQUET)) == _PARQUET
    except OSError as error:
        raise Failure(f"{path}: cannot be read: {error.strerror}") from error


def _cut(each: Series, wanted: Wanted) -> Series:
    if wanted.device not in (None, each.device_id) or wanted.site not in (None, each.site):
        return each._replace(points=[])
    first = (
        wanted.from_ms if wanted.from_ms is not None else each.points[0][0] if each.points else 0
    )
    end = wanted.to_ms
    return each._replace(
        points=[p for p in each.points if p[0] >= first and (end is None or p[0] < end)]
    )


def _none_wanted(every: Sequence[Series], wanted: Wanted) -> str:
    if wanted.device is not None:
        device_named(every, wanted.device)
    if wanted.site not in (None, OFFLINE):
        return f"readings of CSV have the site {OFFLINE!r}, and {wanted.site!r} is wanted"
    return "no reading lies between --from and --to"


def _joined(series: Iterable[Series]) -> list[Series]:
    """Make one series of those that several files hold of one metric of a device."""
    found: dict[tuple[str, str], Series] = {}
    for each in series:
        key = (each.device_id, each.metric)
        if key in found:
            found[key].points.extend(each.points)
            found[key].points.sort(key=lambda point: point[0])
        else:
            found[key] = each
    return list(found.values())


def _read_csv(path: Path) -> list[Series]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file)
            header = next(rows, [])
            if [name.strip().lower() for name in header] == _LONG:
                return _read_long(path, rows)
            metrics = _metrics(path, header)
            points: list[Points] = [[] for _ in metrics]
            _take(dict(zip(metrics, points, strict=True)), path, rows)
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
                own.append((time_ms(timestamp), float(value)))
        except ValueError as error:
            raise Failure(f"{path}:{line}: {_wrong(timestamp, {metric: value}, error)}") from error
    for points in found.values():
        points.sort(key=lambda point: point[0])
    return [Series(device, metric, points) for (device, metric), points in found.items()]


def _wrong(timestamp: str, cells: dict[str, str], error: ValueError) -> str:
    """Say which cell of a row cannot be read, and what belongs there."""
    try:
        time_ms(timestamp)
    except ValueError:
        return (
            f"timestamp: {timestamp!r} is no time; expected ISO 8601, such as 2026-01-31T06:00Z, "
            "or ms since the epoch"
        )
    for metric, cell in cells.items():
        try:
            float(cell.strip() or "0")
        except ValueError:
            return f"{metric}: expected a number, got {cell!r}"
    return str(error)


def _metrics(path: Path, header: list[str]) -> list[str]:
    names = [name.strip() for name in header]
    if len(names) < 2 or names[0].lower() != "timestamp":
        raise Failure(
            f"{path}:1: expected a header timestamp,<metric>[,<metric>…], got {','.join(header)!r}"
        )
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise Failure(f"{path}:1: the column {twice[0]!r} is there twice")
    return names[1:]


def _take(points: dict[str, Points], path: Path, rows: Iterator[list[str]]) -> None:
    line = 2
    while some := list(islice(rows, _ROWS_AT_ONCE)):
        if not _take_columns(list(points.values()), some):
            _take_rows(points, path, line, some)
        line += len(some)


def _take_columns(points: Sequence[Points], rows: Sequence[list[str]]) -> bool:
    """Take rows all of whose cells are readings, in half the time; nothing of any others."""
    if set(map(len, rows)) != {len(points) + 1}:
        return False
    stamps, *columns = zip(*rows, strict=True)
    try:
        times = times_ms(stamps)
        values = [list(map(float, cells)) for cells in columns]
    except ValueError:
        return False
    for own, numbers in zip(points, values, strict=True):
        own.extend(zip(times, numbers, strict=True))
    return True


def _take_rows(
    points: dict[str, Points], path: Path, first: int, rows: Iterable[list[str]]
) -> None:
    width = len(points) + 1
    for line, row in enumerate(rows, start=first):
        if not row:
            continue
        if len(row) != width:
            raise Failure(f"{path}:{line}: expected {width} fields, got {len(row)}")
        try:
            at = time_ms(row[0])
            for own, cell in zip(points.values(), row[1:], strict=True):
                if cell.strip():
                    own.append((at, float(cell)))
        except ValueError as error:
            cells = dict(zip(points, row[1:], strict=True))
            raise Failure(f"{path}:{line}: {_wrong(row[0], cells, error)}") from error
