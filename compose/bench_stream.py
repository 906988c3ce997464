"""The stream benchmark: the jobs against a bare HOP, on one topic, in one run."""

import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from compose.bench_load import Load, fill, windows, yesterday_ms
from compose.bench_peers import measure_peers
from compose.lake_cli import lake_of
from compose.local.endpoints import read
from compose.local.flink import flink_env
from compose.local.layout import Layout
from compose.local.procs import cpu_s
from compose.local.state import published
from compose.submissions import cluster_of
from gateway.follow import ends
from schemas.failure import Failure
from stream.jobs.cluster import call, cause
from stream.jobs.settings import Cluster, Tuning
from stream.lake import size

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


Submit = Callable[[str, Cluster, Tuning], str]
"""Starts a bounded job of a name on a cluster; returns Flink's id."""


class Spent(NamedTuple):
    """Seconds that a job's tasks ran, and of CPU that the TaskManager and its workers used."""

    wall_s: float
    cpu_s: float


class Took(NamedTuple):
    """What a job spent on a quarter of the load and on all of it."""

    quarter: Spent
    whole: Spent

    def steady(self, readings: int) -> float:
        """Return readings/s of the last three quarters: starts of JVM and Python cancel out."""
        return 0.75 * readings / max(self.whole.wall_s - self.quarter.wall_s, 1e-3)

    def cpu_us(self, readings: int) -> float:
        """Return the CPU time of a reading in the same three quarters, µs."""
        return max(self.whole.cpu_s - self.quarter.cpu_s, 1e-3) * 1e6 / (0.75 * readings)


def measure(
    state: Path, load: Load, runs: int, backend: str, *, peers: bool = False
) -> dict[str, Any]:
    """Fill topics of their own, drain them with each job in turn, and return the figures.

    With ``peers`` other engines answer the same question in the same run.

    Raises:
        Failure: a job failed, or what it wrote is not what it should have written.
    """
    endpoints = read(state)
    os.environ.update(flink_env(state))
    from stream.jobs.bench import BARE_SQL, submit_hop, submit_panes  # noqa: PLC0415 - PyFlink
    from stream.jobs.submit import submit_alerts, submit_lake  # noqa: PLC0415

    name = f"bench{time.time_ns() // 1_000_000}"
    quarter = cluster_of(endpoints, f"{name}q.")
    whole = cluster_of(endpoints, f"{name}.")
    start_ms = yesterday_ms()
    for cluster, readings in ((quarter, load.readings // 4), (whole, load.readings)):
        fill(cluster, load._replace(readings=readings), name, start_ms)
    jobs: dict[str, Submit] = {
        "bare": submit_hop,
        "panes": submit_panes,
        "alerts": lambda name, where, tuning: submit_alerts(name, where, tuning, _RULES),
        "lake": submit_lake,
    }
    tuning = Tuning(parallelism=2, bounded=True, state_backend=backend)
    pid = _task_manager(state)
    took = _drained(jobs, name, (quarter, whole), tuning, runs, lambda: cpu_s(pid))
    written = sum(ends(whole.kafka_bootstrap, whole.topic("windows")).values())
    _check("windows", written, runs * windows(load, start_ms))
    drained = load.readings // 4 + runs * (load.readings // 4 + load.readings)
    _check("lake rows", size(lake_of(endpoints), name).rows, drained)
    figures = _figures(load, took)
    rates = measure_peers(endpoints, state) if peers else {}
    return (
        figures
        | _beside(rates, figures["readings_per_s"], tuning)
        | {
            "windows": written // runs,
            "alerts": sum(ends(whole.kafka_bootstrap, whole.topic("alerts")).values()),
            "state_backend": backend,
            "checkpoint_interval_ms": tuning.checkpoint_interval_ms,
            "parallelism": tuning.parallelism,
            "bare_sql": " ".join(BARE_SQL.split()),
        }
    )


def _task_manager(state: Path) -> int:
    """Return the process whose CPU time a job's is, its Python workers' included."""
    stack = published(Layout.of(state))
    part = None if stack is None else stack.part("taskmanager")
    if part is None or part.pid is None:
        raise Failure("the local stack's TaskManager is not up; run tidegate local up")
    return part.pid


def _drained(
    jobs: Mapping[str, Submit],
    name: str,
    clusters: Sequence[Cluster],
    tuning: Tuning,
    runs: int,
    cpu: Callable[[], float],
) -> dict[str, list[Took]]:
    """Drain a quarter and the whole with each job in turn, as often as is asked."""

    def spent(job: str, label: str, where: Cluster) -> Spent:
        before = cpu()
        wall_s = _seconds(where.flink_url, jobs[job](f"{name}-{job}-{label}", where, tuning))
        return Spent(wall_s, cpu() - before)

    quarter = clusters[0]
    # A cluster's first job of a kind loads its classes: that start would not cancel out.
    for job in jobs:
        spent(job, "warm", quarter)
    took: dict[str, list[Took]] = {job: [] for job in jobs}
    for run, job in product(range(runs), jobs):
        parts = [spent(job, f"{run}-{part}", where) for part, where in enumerate(clusters)]
        took[job].append(Took(*parts))
    return took


def _beside(rates: Mapping[str, float], own: float, tuning: Tuning) -> dict[str, float]:
    """Return the other engines' rates on one core, and ours on a slot against them."""
    each = own / (tuning.parallelism or 1)
    told: dict[str, float] = {f"{name}_per_s": round(rate) for name, rate in rates.items()}
    return told | {f"per_core_vs_{name}": round(each / rate, 2) for name, rate in rates.items()}


def _check(what: str, found: int, expected: int) -> None:
    if found != expected:
        raise Failure(f"the benchmark's jobs wrote {found} {what}, expected {expected}")


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


def _figures(load: Load, took: dict[str, list[Took]]) -> dict[str, Any]:
    def steady(job: str) -> float:
        return statistics.median(each.steady(load.readings) for each in took[job])

    def cpu_us(job: str) -> float:
        return statistics.median(each.cpu_us(load.readings) for each in took[job])

    def ratios(job: str) -> list[float]:
        """Pair each run with the bare one beside it: the machine is not the same all day."""
        pairs = zip(took[job], took["bare"], strict=True)
        each = (own.steady(load.readings) / bare.steady(load.readings) for own, bare in pairs)
        return sorted(round(one, 3) for one in each)

    def ratio(job: str) -> float:
        return round(statistics.median(ratios(job)), 3)

    return {
        **load._asdict(),
        "readings_per_s": round(steady("alerts")),
        "bare_per_s": round(steady("bare")),
        "panes_per_s": round(steady("panes")),
        "lake_per_s": round(steady("lake")),
        "ratio_vs_bare": ratio("alerts"),
        "ratios_vs_bare": ratios("alerts"),
        "panes_ratio_vs_bare": ratio("panes"),
        "lake_ratio_vs_bare": ratio("lake"),
        **{f"{job}_cpu_us_per_reading": round(cpu_us(job), 3) for job in took},
        "cpu_ratio_vs_bare": round(cpu_us("bare") / cpu_us("alerts"), 3),
        "spent": {job: [[*each.quarter, *each.whole] for each in took[job]] for job in took},
    }
