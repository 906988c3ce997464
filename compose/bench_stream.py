"""The stream benchmark: the jobs against a bare HOP, on one topic, in one run."""

import os
import statistics
import time
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from compose.bench_drain import Bench, Submit, Took, Topics, alerts_job, check, filled, tuned
from compose.bench_load import Load, windows, yesterday_ms
from compose.bench_peers import measure_peers
from compose.lake_cli import lake_of
from compose.local.endpoints import read
from compose.local.flink import flink_env
from gateway.follow import ends
from stream.jobs.settings import CHECKPOINT_MS, Cluster, Tuning
from stream.lake import size


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
    from stream.jobs.bench import BARE_SQL  # noqa: PLC0415 - starts PyFlink

    name = f"bench{time.time_ns() // 1_000_000}"
    start_ms = yesterday_ms()
    topics = filled(endpoints, load, name, start_ms)
    whole, tuning = topics.whole, tuned(backend)
    took = _drained(_jobs(load), name, Bench(state, tuning), topics, runs)
    written = sum(ends(whole.kafka_bootstrap, whole.topic("windows")).values())
    check("windows", written, runs * windows(load, start_ms))
    drained = load.readings // 4 + runs * (load.readings // 4 + load.readings)
    check("lake rows", size(lake_of(endpoints), name).rows, drained)
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


def _jobs(load: Load) -> dict[str, Submit]:
    from stream.jobs.bench import submit_hop, submit_panes  # noqa: PLC0415 - starts PyFlink
    from stream.jobs.submit import submit_lake  # noqa: PLC0415

    def lake(name: str, where: Cluster, tuning: Tuning) -> str:
        rarely = replace(tuning, checkpoint_interval_ms=CHECKPOINT_MS["lake"])
        return submit_lake(name, where, rarely)

    return {"bare": submit_hop, "panes": submit_panes, "alerts": alerts_job(load), "lake": lake}


def _drained(
    jobs: Mapping[str, Submit], name: str, on: Bench, topics: Topics, runs: int
) -> dict[str, list[Took]]:
    """Drain a quarter and the whole with each job in turn, as often as is asked."""
    # A cluster's first job of a kind loads its classes: that start would not cancel out.
    for job, submit in jobs.items():
        on.drain(f"{name}-{job}-warm", submit, topics.quarter)
    took: dict[str, list[Took]] = {job: [] for job in jobs}
    for run, job in product(range(runs), jobs):
        took[job].append(on.took(f"{name}-{job}-{run}", jobs[job], topics))
    return took


def _beside(rates: Mapping[str, float], own: float, tuning: Tuning) -> dict[str, float]:
    """Return the other engines' rates on one core, and ours on a slot against them."""
    each = own / (tuning.parallelism or 1)
    told: dict[str, float] = {f"{name}_per_s": round(rate) for name, rate in rates.items()}
    return told | {f"per_core_vs_{name}": round(each / rate, 2) for name, rate in rates.items()}


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
