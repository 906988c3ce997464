"""A topic drained by a bounded job of the local stack, and what that took."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from compose.bench_load import Load, fill
from compose.local.endpoints import Endpoints
from compose.local.layout import Layout
from compose.local.procs import group, group_cpu_s
from compose.local.state import published
from compose.submissions import cluster_of
from schemas.failure import Failure
from stream.jobs.cluster import call, cause
from stream.jobs.settings import CHECKPOINT_MS, Cluster, Tuning

_POLL_S = 0.5
_REST_S = 30.0

Submit = Callable[[str, Cluster, Tuning], str]
"""Starts a bounded job of a name on a cluster; returns Flink's id."""


class Spent(NamedTuple):
    """Seconds that a job's tasks ran, and of CPU that the TaskManager and its workers used."""

    wall_s: float
    cpu_s: float
    job_id: str = ""


class Took(NamedTuple):
    """What a job spent on a quarter of the load and on all of it."""

    quarter: Spent
    whole: Spent

    @property
    def wall_s(self) -> float:
        """Return how long the last three quarters took: starts of JVM and Python cancel out."""
        return self.whole.wall_s - self.quarter.wall_s

    @property
    def cpu_s(self) -> float:
        """Return the CPU time of the same three quarters."""
        return self.whole.cpu_s - self.quarter.cpu_s

    def steady(self, readings: int) -> float:
        """Return the readings/s of a load so many readings long, without starts."""
        return 0.75 * readings / self.wall_s

    def cpu_us(self, readings: int) -> float:
        """Return the CPU time of a reading of such a load, µs."""
        return self.cpu_s * 1e6 / (0.75 * readings)


class Topics(NamedTuple):
    """Where a quarter of a load and all of it is read."""

    quarter: Cluster
    whole: Cluster


def filled(endpoints: Endpoints, load: Load, name: str, start_ms: int) -> Topics:
    """Produce a quarter of a load, and all of it, to topics of their own; its site is the name."""
    topics = Topics(cluster_of(endpoints, f"{name}q."), cluster_of(endpoints, f"{name}."))
    fill(topics.quarter, load._replace(readings=load.readings // 4), name, start_ms)
    fill(topics.whole, load, name, start_ms)
    return topics


def tuned(backend: str) -> Tuning:
    """Return how jobs are timed: a job's end waits for a checkpoint, so these are frequent."""
    often = CHECKPOINT_MS["alerts"]
    return Tuning(parallelism=2, bounded=True, state_backend=backend, checkpoint_interval_ms=often)


def alerts_job(rules: str) -> Submit:
    """Return the alerts job with the rules of a text."""
    from stream.jobs.submit import submit_alerts  # noqa: PLC0415 - starts PyFlink

    return lambda name, where, tuning: submit_alerts(name, where, tuning, rules)


class Bench(NamedTuple):
    """Where jobs are timed, and how they are tuned."""

    state: Path
    tuning: Tuning

    def took(self, name: str, submit: Submit, topics: Topics) -> Took:
        """Drain a quarter and the whole, one after the other.

        Raises:
            Failure: a job failed, the stack is not up, or the load is so small that a job's start
                hides what its readings cost.
        """
        spent = [self.drain(f"{name}-{part}", submit, where) for part, where in enumerate(topics)]
        took = Took(*spent)
        if took.wall_s <= 0 or took.cpu_s <= 0:
            raise Failure(
                f"{name}: all readings took no longer than a quarter of them, so a job's start "
                "hides what they cost; give it more to drain"
            )
        return took

    def drain(self, name: str, submit: Submit, where: Cluster) -> Spent:
        """Start a job and wait for its end.

        Raises:
            Failure: it failed, or the stack is not up.
        """
        pid = _task_manager(self.state)
        _let_rest(pid)
        job_id = submit(name, where, self.tuning)
        before, used = group_cpu_s(pid), 0.0
        while (wall_s := _seconds(where.flink_url, job_id)) is None:
            # What a worker has used nobody says any more once it has been killed.
            used = max(used, group_cpu_s(pid) - before)
            print(".", end="", file=sys.stderr, flush=True)
            time.sleep(_POLL_S)
        return Spent(wall_s, used, job_id)


def _let_rest(pid: int) -> None:
    """Wait for the end of the workers of the job before: what they used goes with them."""
    until = time.monotonic() + _REST_S
    while group(pid) != [pid] and time.monotonic() < until:
        time.sleep(_POLL_S)


def _task_manager(state: Path) -> int:
    """Return the process whose CPU time a job's is, its Python workers' included."""
    stack = published(Layout.of(state))
    part = None if stack is None else stack.part("taskmanager")
    if part is None or part.pid is None:
        raise Failure("the local stack's TaskManager is not up; run tidegate local up")
    return part.pid


def check(what: str, found: int, expected: int) -> None:
    """Raise a Failure unless the benchmark's jobs wrote what they should have written."""
    if found != expected:
        raise Failure(f"the benchmark's jobs wrote {found} {what}, expected {expected}")


def _seconds(flink_url: str, job_id: str) -> float | None:
    """Return how long the tasks of a bounded job ran, None while they do."""
    job = call(flink_url, f"/jobs/{job_id}")
    if job["state"] == "FINISHED":
        starts = [vertex["start-time"] for vertex in job["vertices"]]
        ends_ = [vertex["end-time"] for vertex in job["vertices"]]
        return float(max(ends_) - min(starts)) / 1000
    if job["state"] in ("FAILED", "CANCELED", "RESTARTING", "FAILING"):
        raise Failure(f"{job['name']} failed: {cause(flink_url, job_id)}")
    return None
