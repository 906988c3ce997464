"""The rules' benchmark: recorded series on one core, beside plain Python on the same files.

    CSV ─┬─▶ the engine, as `rules test` runs it       each in a process of its own,
         └─▶ readings and a rolling mean of an hour    by turns, in CPU time

The mean is the least that anybody would write for the question: no panes, no baselines, no alerts.
"""

import csv
import multiprocessing
import os
import random
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from gateway.bench.measure import usage
from schemas.failure import Failure
from schemas.records import Alert
from simulators.clock import DAY_MS, HOUR_MS
from simulators.nab import DATA
from simulators.pump import samples, traits
from stream.backtest import decisions, read_series, run
from stream.rules import load_rules

PACK = "generic"
_START_MS = 20_000 * DAY_MS
_DENSE_MS = 10_000
_TROUBLE = 0.002


class Cost(NamedTuple):
    """What one run took: CPU seconds, the process's peak of memory, and what came out, as bytes."""

    cpu_s: float
    rss_mb: float
    made: bytes


def measure(runs: int, dense_days: int) -> dict[str, object]:
    """Return the figures of the shipped NAB series and of a machine that reports every 10 s.

    Args:
        runs: of the engine and of the baseline, in turn; times are medians.
        dense_days: how long the machine reports.

    Raises:
        Failure: a timed run gave other alerts than one that nobody timed.
    """
    with tempfile.TemporaryDirectory() as folder:
        write_dense(Path(folder) / "pump.csv", dense_days)
        return {**figures("nab", DATA, runs), **figures("dense", Path(folder), runs)}


def write_dense(path: Path, days: int) -> None:
    """Write what a pump measures every 10 s, with a jump now and then, so that something fires."""
    times = range(_START_MS, _START_MS + days * DAY_MS, _DENSE_MS)
    rng = random.Random(1)
    jump = 0.0
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("timestamp", "temperature", "vibration_rms", "current"))
        for each in samples(traits(1, 1), times, start_ms=_START_MS):
            jump = rng.gauss(0, 40) if rng.random() < _TROUBLE else 0.99 * jump
            rows.writerow((each.ts_ms, each.temperature + jump, each.vibration_rms, each.current))


def plain(path: Path) -> bytes:
    """Read CSV and keep the mean of each column's last hour, reading by reading."""
    last = []
    for file in sorted(path.glob("*.csv")):
        with file.open(encoding="utf-8", newline="") as lines:
            rows = csv.reader(lines)
            columns = [_Rolling(deque()) for _ in next(rows)[1:]]
            for stamp, *cells in rows:
                at = int(stamp) if stamp.isdigit() else _ms(stamp)
                for column, cell in zip(columns, cells, strict=True):
                    column.take(at, float(cell))
        last.append([column.mean for column in columns])
    return msgspec.json.encode(last)


class _Rolling(msgspec.Struct):
    """The last hour's readings and their sum."""

    readings: deque[tuple[int, float]]
    total: float = 0.0
    mean: float = 0.0

    def take(self, at: int, value: float) -> None:
        self.readings.append((at, value))
        self.total += value
        while self.readings[0][0] <= at - HOUR_MS:
            self.total -= self.readings.popleft()[1]
        self.mean = self.total / len(self.readings)


def _ms(stamp: str) -> int:
    return round(datetime.fromisoformat(f"{stamp}+00:00").timestamp() * 1000)


def engine(path: Path) -> bytes:
    """Read CSV and run the rules over it; return the alerts."""
    return _told(run(load_rules(PACK), read_series(path)))


def _told(alerts: Sequence[Alert]) -> bytes:
    return msgspec.json.encode(alerts)


def figures(name: str, path: Path, runs: int) -> dict[str, object]:
    """Return the figures of the CSV of a folder, their keys behind a name.

    Raises:
        Failure: a timed run gave other alerts than one that nobody timed.
    """
    series = read_series(path)
    readings = sum(len(each.points) for each in series)
    made = list(decisions(load_rules(PACK), series))
    windows = sum(len(each.windows) for each in made)
    alerts = [alert for each in made for alert in each.alerts]
    pairs = [(_alone(engine, path), _alone(plain, path)) for _ in range(runs)]
    if any(ours.made != _told(alerts) for ours, _ in pairs):
        raise Failure(f"{name}: the timed run gave other alerts than the untimed one")
    cpu_s = statistics.median(ours.cpu_s for ours, _ in pairs)
    found = {
        "readings": readings,
        "windows": windows,
        "alerts": len(alerts),
        "readings_per_s": round(readings / cpu_s),
        "cpu_us_per_reading": round(cpu_s / readings * 1e6, 2),
        "cpu_us_per_window": round(cpu_s / windows * 1e6, 2),
        "rss_mb": round(max(ours.rss_mb for ours, _ in pairs), 1),
        "plain_readings_per_s": round(readings / statistics.median(p.cpu_s for _, p in pairs)),
        "plain_rss_mb": round(max(p.rss_mb for _, p in pairs), 1),
        "ratio": round(statistics.median(p.cpu_s / ours.cpu_s for ours, p in pairs), 3),
    }
    return {f"{name}_{key}": figure for key, figure in found.items()}


def _alone(work: Callable[[Path], bytes], path: Path) -> Cost:
    """Do it in a process of its own: its peak of memory is nobody else's."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_cost, work, path).result()


def _cost(work: Callable[[Path], bytes], path: Path) -> Cost:
    began = time.process_time()
    made = work(path)
    took = time.process_time() - began
    return Cost(took, usage(os.getpid()).peak_rss_mb, made)
