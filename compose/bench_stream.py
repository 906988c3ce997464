"""The stream benchmark: the jobs against stock ones of Flink, on one topic, in one run."""

import os
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from statistics import median
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

BARE = {"panes": "bare", "alerts": "bare", "lake": "bare_lake"}
"""Our jobs, and the stock one that each is held against."""


def measure(
    state: Path, load: Load, runs: int, backend: str, asked: Collection[str], *, peers: bool = False
) -> dict[str, Any]:
    """Fill topics of their own, drain them with each job in turn, and return the figures.

    With ``peers`` other engines answer the alerts job's question in the same run.

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
    took = _drained(_jobs(load, asked), name, Bench(state, tuning), topics, runs)
    figures = _figures(load, took)
    if "alerts" in took:
        written = sum(ends(whole.kafka_bootstrap, whole.topic("windows")).values())
        check("windows", written, runs * windows(load, start_ms))
        told = sum(ends(whole.kafka_bootstrap, whole.topic("alerts")).values())
        figures |= {"windows": written // runs, "alerts": told}
    if "lake" in took:
        drained = load.readings // 4 + runs * (load.readings // 4 + load.readings)
        check("lake rows", size(lake_of(endpoints), name).rows, drained)
    if peers:
        rates = measure_peers(endpoints, state)
        figures |= _beside(rates, figures["readings_per_s"], tuning)
    return figures | {
        "state_backend": backend,
        "checkpoint_interval_ms": tuning.checkpoint_interval_ms,
        "parallelism": tuning.parallelism,
        "bare_sql": " ".join(BARE_SQL.split()),
    }


def _jobs(load: Load, asked: Collection[str]) -> dict[str, Submit]:
    from stream.jobs.bench import (  # noqa: PLC0415 - starts PyFlink
        submit_bare_lake,
        submit_hop,
        submit_panes,
    )
    from stream.jobs.submit import submit_lake  # noqa: PLC0415

    jobs = {
        "bare": submit_hop,
        "panes": submit_panes,
        "alerts": alerts_job(load.rules),
        "bare_lake": _rarely(submit_bare_lake),
        "lake": _rarely(submit_lake),
    }
    wanted = {*asked, *(BARE[each] for each in asked)}
    return {job: submit for job, submit in jobs.items() if job in wanted}


def _rarely(submit: Submit) -> Submit:
    """Return a job with the lake's checkpoints, each of which closes files."""

    def rarely(name: str, where: Cluster, tuning: Tuning) -> str:
        every = replace(tuning, checkpoint_interval_ms=CHECKPOINT_MS["lake"])
        return submit(name, where, every)

    return rarely


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


def _figures(load: Load, took: Mapping[str, list[Took]]) -> dict[str, Any]:
    figures: dict[str, Any] = load._asdict()
    for job, runs in took.items():
        # The alerts job's are the bench's own figures: scripts know them without a name in front.
        own = "readings" if job == "alerts" else job
        figures[f"{own}_per_s"] = round(median(each.steady(load.readings) for each in runs))
        figures[f"{job}_cpu_us_per_reading"] = round(_cpu_us(load, runs), 3)
        if job in BARE:
            beside, of = took[BARE[job]], "" if job == "alerts" else f"{job}_"
            ratios = _ratios(load, runs, beside)
            figures[f"{of}ratio_vs_bare"] = round(median(ratios), 3)
            figures[f"{of}ratios_vs_bare"] = ratios
            cpu = _cpu_us(load, beside) / _cpu_us(load, runs)
            figures[f"{of}cpu_ratio_vs_bare"] = round(cpu, 3)
    spent = {job: [[*each.quarter, *each.whole] for each in runs] for job, runs in took.items()}
    return figures | {"spent": spent}


def _cpu_us(load: Load, runs: list[Took]) -> float:
    return median(each.cpu_us(load.readings) for each in runs)


def _ratios(load: Load, runs: list[Took], beside: list[Took]) -> list[float]:
    """Pair each run with the bare one beside it: the machine is not the same all day."""
    pairs = zip(runs, beside, strict=True)
    each = (own.steady(load.readings) / bare.steady(load.readings) for own, bare in pairs)
    return sorted(round(one, 3) for one in each)
