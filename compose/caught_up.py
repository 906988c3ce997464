"""Waiting until what the jobs have taken in has come out where others can see it."""

import time
from collections.abc import Callable

from compose.consumed import committed
from compose.intents import named
from compose.local.endpoints import Endpoints
from gateway.follow import ends
from schemas.failure import RetryLater
from stream.jobs.cluster import completed_checkpoints, live_job

_POLL_S = 0.5
# The one at hand may have begun before; the next has not.
_CHECKPOINTS = 2


def await_jobs(endpoints: Endpoints, prefix: str, wait_ms: int) -> None:
    """Wait until the lake has all readings, and readers all alerts, that there are as of now.

    A job that does not run has nothing on its way but what it has not read.

    Raises:
        RetryLater: it takes longer; the message says what.
        Unavailable: Kafka or the cluster does not answer.
    """
    until = time.monotonic() + wait_ms / 1000
    readings = f"{prefix}readings"
    last = ends(endpoints.kafka_bootstrap, readings)

    def behind() -> int:
        group = f"{prefix}lake"
        done = committed(endpoints.kafka_bootstrap, group, readings, sorted(last))
        return sum(max(offset - done[partition], 0) for partition, offset in last.items())

    def lake_is_behind() -> str:
        count = behind()
        if count and live_job(endpoints.flink_url, named("lake", prefix).flink) is None:
            raise RetryLater(
                f"the lake job does not run, and {count} records of {readings} are not in the "
                "lake; start it with `tidegate jobs submit lake`"
            )
        return f"the lake job has still to read {count} records of {readings}" if count else ""

    _wait(lake_is_behind, until)
    targets = {
        who.flink: completed_checkpoints(endpoints.flink_url, job.job_id) + _CHECKPOINTS
        for who in (named("lake", prefix), named("alerts", prefix))
        if (job := live_job(endpoints.flink_url, who.flink)) is not None
    }

    def waits_for_checkpoint() -> str:
        for name, target in targets.items():
            job = live_job(endpoints.flink_url, name)
            if job and completed_checkpoints(endpoints.flink_url, job.job_id) < target:
                return f"{name} has completed no checkpoint"
        return ""

    _wait(waits_for_checkpoint, until)


def _wait(complaint: Callable[[], str], until: float) -> None:
    while told := complaint():
        if time.monotonic() > until:
            raise RetryLater(
                f"{told}; `tidegate jobs list` shows whether the jobs run. "
                "Run this again later, or give it longer with --wait"
            )
        time.sleep(_POLL_S)
