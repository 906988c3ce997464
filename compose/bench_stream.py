"""The stream benchmark: the jobs against a bare HOP, on one topic, in one run."""

import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import Producer

from compose.local.endpoints import read
from compose.local.flink import flink_env
from compose.schemas_cli import register_contracts
from compose.submissions import cluster_of
from compose.topics import apply_topics
from gateway.follow import ends
from schemas.codec import ReadingEncoder
from schemas.failure import Failure
from schemas.records import Reading
from schemas.topics import subject
from stream.jobs.cluster import call, cause
from stream.jobs.settings import Cluster, Tuning

_POLL_S = 0.5
_RULES = """
version: 1
rules:
  - name: bench
    match: {metric: vibration_rms}
    window: {size: 5m, slide: 30s}
    aggregate: mean
    compare: {op: ">=", to: value}
    severities: [{level: WARNING, enter: 4.5, exit: 4.0}]
"""


class Load(NamedTuple):
    """What is read: devices at a rate, for as long as the readings last."""

    readings: int
    devices: int
    hz: float


def measure(state: Path, load: Load, runs: int) -> dict[str, object]:
    """Fill a topic of its own, drain it with each job in turn, and return the figures.

    A job's time runs from its tasks' start to its end; starts of Python workers are in it.

    Raises:
        Failure: a job failed; the message says why.
    """
    endpoints = read(state)
    os.environ.update(flink_env(state))
    from stream.jobs.bench import submit_hop, submit_panes  # noqa: PLC0415 - starts PyFlink
    from stream.jobs.submit import submit_alerts, submit_lake  # noqa: PLC0415

    cluster = cluster_of(endpoints, f"bench{time.time_ns() // 1_000_000}.")
    apply_topics(cluster.kafka_bootstrap, cluster.topic_prefix, 4)
    ids = register_contracts(cluster.registry_url, cluster.topic_prefix)
    fill(cluster, ids[subject(cluster.topic("readings"))], load)
    jobs: dict[str, Callable[[str, Cluster, Tuning], str]] = {
        "bare": submit_hop,
        "panes": submit_panes,
        "alerts": lambda name, where, tuning: submit_alerts(name, where, tuning, _RULES),
        "lake": submit_lake,
    }
    took: dict[str, list[float]] = {name: [] for name in jobs}
    for run in range(runs):
        for name, submit in jobs.items():
            tuning = Tuning(parallelism=2, checkpoint_interval_ms=10_000, bounded=True)
            job_id = submit(f"bench-{name}-{run}", cluster, tuning)
            took[name].append(_seconds(cluster.flink_url, job_id))
    written = sum(ends(cluster.kafka_bootstrap, cluster.topic("windows")).values())
    return _figures(load, {name: statistics.median(each) for name, each in took.items()}, written)


def fill(cluster: Cluster, schema_id: int, load: Load) -> None:
    """Produce the load, device after device within each tick, as live traffic would come."""
    producer = Producer(
        {
            "bootstrap.servers": cluster.kafka_bootstrap,
            "partitioner": "murmur2_random",
            "compression.type": "zstd",
            "linger.ms": 20,
            "acks": "all",
        }
    )
    encoder = ReadingEncoder(schema_id)
    rng = random.Random(1)
    start_ms = time.time_ns() // 1_000_000 - 86_400_000
    keys = [f"bench.device-{device}" for device in range(load.devices)]
    for index in range(load.readings):
        tick, device = divmod(index, load.devices)
        ts = start_ms + round(tick * 1000 / load.hz)
        value = encoder.encode(_reading(keys[device], ts, index, rng.gauss(2.0, 0.3)))
        while True:
            try:
                producer.produce(cluster.topic("readings"), value, keys[device].encode())
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    if producer.flush(60):
        raise Failure("the benchmark's readings did not all reach Kafka")


def _reading(device: str, ts: int, index: int, value: float) -> Reading:
    return Reading(
        device, "vibration_rms", "bench", "READING", "mm/s", "bench", 1, value, ts, ts, None, index,
        "GOOD", index, 0, 0, ts + 50, "SYNCED", False,
    )  # fmt: skip


def _seconds(flink_url: str, job_id: str) -> float:
    """Wait for a bounded job and return how long its tasks ran."""
    while True:
        job = call(flink_url, f"/jobs/{job_id}")
        if job["state"] == "FINISHED":
            starts = [vertex["start-time"] for vertex in job["vertices"]]
            ends_ = [vertex["end-time"] for vertex in job["vertices"]]
            return float(max(ends_) - min(starts)) / 1000
        if job["state"] in ("FAILED", "CANCELED", "RESTARTING", "FAILING"):
            raise Failure(f"{job['name']} failed: {cause(flink_url, job_id)}")
        print(".", end="", file=sys.stderr, flush=True)
        time.sleep(_POLL_S)


def _figures(load: Load, seconds: dict[str, float], windows: int) -> dict[str, object]:
    def rate(name: str) -> float:
        return round(load.readings / seconds[name])

    return {
        "readings": load.readings,
        "devices": load.devices,
        "hz": load.hz,
        "readings_per_s": rate("alerts"),
        "bare_per_s": rate("bare"),
        "panes_per_s": rate("panes"),
        "lake_per_s": rate("lake"),
        "ratio_vs_bare": round(seconds["bare"] / seconds["alerts"], 3),
        "panes_ratio_vs_bare": round(seconds["bare"] / seconds["panes"], 3),
        "lake_ratio_vs_bare": round(seconds["bare"] / seconds["lake"], 3),
        "windows": windows,
    }
