"""Few sensors and many at one rate of readings: what the alerts job makes of the number alone."""

import os
import time
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

from compose.bench_drain import Bench, Took, alerts_job, check, filled, tuned
from compose.bench_load import Load, windows, yesterday_ms
from compose.local.endpoints import read
from compose.local.flink import flink_env
from gateway.follow import ends
from schemas.failure import Failure
from stream.jobs.cluster import call

_AS_LONG = (10, 120)
"""Of the 30 s of the question these are panes that rules can have, 5 minutes and an hour."""


def measure(state: Path, few: Load, many: int, runs: int, backend: str) -> dict[str, Any]:
    """Drain the readings of few sensors and those of many with the alerts job, in turn.

    The many report so much more rarely that their readings are as many a second, and their panes
    are so much longer that one holds as many: pane rows, windows and readings are equal.

    Raises:
        Failure: no panes are so much longer, a job failed, or what it wrote is not what it should
            have written.
    """
    endpoints = read(state)
    os.environ.update(flink_env(state))
    slower = many // few.devices
    if slower not in _AS_LONG or many % few.devices:
        known = " or ".join(str(times * few.devices) for times in _AS_LONG)
        raise Failure(
            f"{many} sensors beside {few.devices}: panes are no whole times as long; try {known}"
        )
    loads = (few, few._replace(devices=many, hz=few.hz / slower, slower=slower))
    start_ms, now_ms = yesterday_ms(), time.time_ns() // 1_000_000
    fleets = [
        (load, filled(endpoints, load, f"scale{load.devices}x{now_ms}", start_ms)) for load in loads
    ]
    bench = Bench(state, tuned(backend))
    bench.drain("scale-warm", alerts_job(few), fleets[0][1].quarter)  # it loads the classes
    took: dict[int, list[Took]] = {load.devices: [] for load in loads}
    for run, (load, topics) in product(range(runs), fleets):
        name = f"scale-{load.devices}-{run}"
        took[load.devices].append(bench.took(name, alerts_job(load), topics))
    for load, topics in fleets:
        whole = topics.whole
        written = sum(ends(whole.kafka_bootstrap, whole.topic("windows")).values())
        check("windows", written, runs * windows(load, start_ms))
    return _figures(took, loads, start_ms, endpoints.flink_url) | {"state_backend": backend}


def _figures(
    took: Mapping[int, list[Took]], loads: Sequence[Load], start_ms: int, flink_url: str
) -> dict[str, Any]:
    # Of panes as long as an hour, the last three quarters hold more than three quarters, or fewer.
    rows = [_rows(load, start_ms) for load in loads]
    walls = [median(each.wall_s for each in of) for of in took.values()]
    cpus = [median(each.cpu_s for each in of) for of in took.values()]
    rates = [count / wall for count, wall in zip(rows, walls, strict=True)]
    costs = [1e6 * cpu / count for count, cpu in zip(rows, cpus, strict=True)]
    return {
        "readings": loads[0].readings,
        "sensors": list(took),
        "windows": windows(loads[0], start_ms),
        "windows_timed": rows,
        "windows_per_s": [round(each) for each in rates],
        "ratio": round(rates[1] / rates[0], 3),
        "cpu_us_per_window": [round(each) for each in costs],
        "cpu_ratio": round(costs[0] / costs[1], 3),
        "state_bytes_per_sensor": [
            round(_state_bytes(flink_url, of[-1].whole.job_id) / sensors)
            for sensors, of in took.items()
        ],
    }


def _rows(load: Load, start_ms: int) -> int:
    """Return how many windows, and so panes, are over in the last three quarters of a load."""
    quarter = load._replace(readings=load.readings // 4)
    return windows(load, start_ms) - windows(quarter, start_ms)


def _state_bytes(flink_url: str, job_id: str) -> int:
    """Return the largest checkpoint that is remembered of a job."""
    history = call(flink_url, f"/jobs/{job_id}/checkpoints")["history"]
    return max((int(each["state_size"]) for each in history), default=0)
