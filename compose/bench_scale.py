"""Few sensors and many at one rate of readings: what the alerts job makes of the number alone."""

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from compose.backends import Sensors, fitting, task_heap
from compose.bench_drain import Bench, Spent, Took, Topics, alerts_job, check, filled, tuned
from compose.bench_load import Load, windows, yesterday_ms
from compose.choosing import alerts_interval_ms
from compose.local.endpoints import read
from compose.local.flink import flink_env
from gateway.follow import ends
from schemas.failure import Failure
from stream.jobs.cluster import call
from stream.jobs.settings import Cluster, Tuning
from stream.rules import parse_rules
from stream.state_size import sensor_bytes

_ASK_S = 10.0
_AS_LONG = (10, 120)
"""Of the 30 s of the question these are panes that rules can have, 5 minutes and an hour."""


class Fleet(NamedTuple):
    """Sensors that report, where their readings are, and how their job is started."""

    load: Load
    topics: Topics
    tuning: Tuning


def measure(state: Path, few: Load, many: int, runs: int, backend: str | None) -> dict[str, Any]:
    """Drain the readings of few sensors and those of many with the alerts job, in turn.

    The many report so much more rarely that their readings are as many a second, and their panes
    are so much longer that one holds as many: pane rows, windows and readings are equal. Each job
    is started as `jobs submit` would start it for so many sensors, unless a backend is given.

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
    heap_bytes = task_heap(endpoints.flink_url)
    start_ms, now_ms = yesterday_ms(), time.time_ns() // 1_000_000
    fleets = [
        Fleet(
            load,
            filled(endpoints, load, f"scale{load.devices}x{now_ms}", start_ms),
            _tuning(load, heap_bytes, backend),
        )
        for load in (few, few._replace(devices=many, hz=few.hz / slower, slower=slower))
    ]
    first = fleets[0]
    # It loads the classes.
    Bench(state, first.tuning).drain("scale-warm", alerts_job(few.rules), first.topics.quarter)
    took: list[list[Took]] = [[], []]
    for run, (of, fleet) in product(range(runs), zip(took, fleets, strict=True)):
        name = f"scale-{fleet.load.devices}-{run}"
        spent = Bench(state, fleet.tuning).took(name, alerts_job(fleet.load.rules), fleet.topics)
        of.append(Took(*map(_until_written, spent, fleet.topics)))
    for fleet in fleets:
        whole = fleet.topics.whole
        written = sum(ends(whole.kafka_bootstrap, whole.topic("windows")).values())
        check("windows", written, runs * windows(fleet.load, start_ms))
    return _figures(took, fleets, start_ms, endpoints.flink_url)


def _tuning(load: Load, heap_bytes: int, backend: str | None) -> Tuning:
    sensors = Sensors(load.devices, round(1000 / load.hz), "as said")
    each_bytes = sensor_bytes(parse_rules(load.rules), sensors.interval_ms)
    found = fitting(sensors, each_bytes, heap_bytes)
    written_bytes = found.written_bytes
    if backend is not None:
        written_bytes = each_bytes * load.devices if backend == "hashmap" else 0
    every_ms = alerts_interval_ms(written_bytes)
    return replace(tuned(backend or found.backend), checkpoint_interval_ms=every_ms)


def _until_written(spent: Spent, where: Cluster) -> Spent:
    """Return the same with the seconds until the last window was written.

    The job's end waits for a checkpoint, and these are not equally frequent.
    """
    job = call(where.flink_url, f"/jobs/{spent.job_id}")
    start_ms = min(vertex["start-time"] for vertex in job["vertices"])
    topic = where.topic("windows")
    newest = OffsetSpec.max_timestamp()  # type: ignore[no-untyped-call]
    asked = {TopicPartition(topic, each): newest for each in ends(where.kafka_bootstrap, topic)}
    admin = AdminClient({"bootstrap.servers": where.kafka_bootstrap})
    told = [each.result(_ASK_S) for each in admin.list_offsets(asked).values()]
    return spent._replace(wall_s=(max(each.timestamp for each in told) - start_ms) / 1000)


def _figures(
    took: Sequence[Sequence[Took]], fleets: Sequence[Fleet], start_ms: int, flink_url: str
) -> dict[str, Any]:
    # Of panes as long as an hour, the last three quarters hold more than three quarters, or fewer.
    rows = [_rows(fleet.load, start_ms) for fleet in fleets]
    walls = [median(each.wall_s for each in of) for of in took]
    cpus = [median(each.cpu_s for each in of) for of in took]
    rates = [count / wall for count, wall in zip(rows, walls, strict=True)]
    costs = [1e6 * cpu / count for count, cpu in zip(rows, cpus, strict=True)]
    return {
        "readings": fleets[0].load.readings,
        "sensors": [fleet.load.devices for fleet in fleets],
        "windows": windows(fleets[0].load, start_ms),
        "windows_timed": rows,
        "windows_per_s": [round(each) for each in rates],
        "ratio": round(rates[1] / rates[0], 3),
        "cpu_us_per_window": [round(each) for each in costs],
        "cpu_ratio": round(costs[0] / costs[1], 3),
        "state_bytes_per_sensor": [
            round(_state_bytes(flink_url, of[-1].whole.job_id) / fleet.load.devices)
            for of, fleet in zip(took, fleets, strict=True)
        ],
        "state_backend": [fleet.tuning.state_backend for fleet in fleets],
        "checkpoint_interval_ms": [fleet.tuning.checkpoint_interval_ms for fleet in fleets],
    }


def _rows(load: Load, start_ms: int) -> int:
    """Return how many windows, and so panes, are over in the last three quarters of a load."""
    quarter = load._replace(readings=load.readings // 4)
    return windows(load, start_ms) - windows(quarter, start_ms)


def _state_bytes(flink_url: str, job_id: str) -> int:
    """Return the largest checkpoint that is remembered of a job."""
    history = call(flink_url, f"/jobs/{job_id}/checkpoints")["history"]
    return max((int(each["state_size"]) for each in history), default=0)
