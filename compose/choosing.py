"""What is decided for a job where a person has not: parallelism, interval, where state lives."""

from pathlib import Path
from typing import Any, NamedTuple

import click

from compose.backends import DEFAULT, Backend, Chosen, Sensors, choose, sensors_of, task_heap
from compose.intents import Named, named, read_intent
from compose.local.endpoints import Endpoints
from compose.manifests import pods_heap
from compose.parallelism import chosen, partitions_to_read
from compose.starting import JOBS, Choice, choice_of
from schemas.failure import Unavailable
from stream.jobs.cluster import free_slots
from stream.jobs.cluster import jobs as flink_jobs
from stream.jobs.settings import CHECKPOINT_MS
from stream.state_size import MINUTE_MS

# State in the heap is written whole with each checkpoint: so much of it is no burden each time.
_LIGHT_BYTES = 32 << 20
_RAREST_ALERTS_MS = 10_000


class Wanted(NamedTuple):
    """What a person said, if anything: of every job of a submission."""

    parallelism: int | None
    checkpoint_interval_ms: int | None
    sensors: int | None
    every_ms: int | None
    backend: Backend | None

    def interval_ms(self, job: str, written_bytes: int = 0) -> int:
        """Return how often a job's checkpoints are taken that write so much each time."""
        if self.checkpoint_interval_ms is not None:
            return self.checkpoint_interval_ms
        return alerts_interval_ms(written_bytes) if job == "alerts" else CHECKPOINT_MS[job]


def alerts_interval_ms(written_bytes: int) -> int:
    """Return how often the alerts job's checkpoints are taken that write so much each time."""
    times = max(1, -(-written_bytes // _LIGHT_BYTES))
    return min(CHECKPOINT_MS["alerts"] * times, _RAREST_ALERTS_MS)


def former(state: Path, who: Named) -> Choice | None:
    """Return how a job of ours was submitted last."""
    before = read_intent(state, who.name)
    return choice_of(before.argv) if before is not None and before.verb == "submit" else None


def here(
    endpoints: Endpoints, job: str, wanted: Wanted, before: Choice | None, options: dict[str, Any]
) -> Choice:
    """Return the choice for a job on the stack's cluster; say on stderr what is odd about it.

    Args:
        endpoints: the stack's.
        job: which.
        wanted: what was said.
        before: what the job goes on from was submitted with.
        options: the rest of what it is submitted with.
    """
    chosen = _backend(endpoints, job, wanted, before, options)
    return Choice(
        job=job,
        parallelism=_parallelism(endpoints, job, options["prefix"], wanted.parallelism),
        checkpoint_interval_ms=wanted.interval_ms(job, chosen.written_bytes),
        backend=chosen.backend,
        **options,
    )


def elsewhere(job: str, wanted: Wanted, options: dict[str, Any]) -> Choice:
    """Return the choice for a job that another cluster runs: nobody there is asked."""
    assert wanted.parallelism is not None, "the options of Kubernetes ask for it"
    chosen = Chosen(wanted.backend or DEFAULT)
    if wanted.backend is None and wanted.sensors is not None and job == "alerts":
        said = Sensors(wanted.sensors, wanted.every_ms or MINUTE_MS, "as said")
        chosen = choose(said, options["rules"], pods_heap(wanted.parallelism))
        click.echo(f"{job}: {chosen.why}", err=True)
    return Choice(
        job=job,
        parallelism=wanted.parallelism,
        checkpoint_interval_ms=wanted.interval_ms(job, chosen.written_bytes),
        backend=chosen.backend,
        **options,
    )


def _backend(
    endpoints: Endpoints, job: str, wanted: Wanted, before: Choice | None, options: dict[str, Any]
) -> Chosen:
    if wanted.backend is not None:
        return Chosen(wanted.backend)
    if before is not None:
        return Chosen(before.backend)
    if job != "alerts":
        return Chosen(DEFAULT)
    sensors = sensors_of(wanted.sensors, wanted.every_ms, endpoints, options["prefix"])
    found = choose(sensors, options["rules"], task_heap(endpoints.flink_url))
    click.echo(f"{job}: {found.why}", err=True)
    return found


def _parallelism(endpoints: Endpoints, job: str, prefix: str, asked: int | None) -> int:
    if job == "archive":
        return asked or 1  # windows and alerts are few, and so are then its files
    try:
        partitions = partitions_to_read(endpoints.kafka_bootstrap, prefix)
    except Unavailable:
        if asked is None:
            raise
        return asked  # a job that comes back waits for its brokers by itself
    found = chosen(f"{prefix}readings", partitions, asked, _room(endpoints.flink_url, prefix))
    if found.warning is not None:
        click.echo(f"warning: {found.warning}", err=True)
    return found.parallelism


def _room(flink_url: str, prefix: str) -> int:
    """Return the slots that one job may take and leave as many to the others of this prefix."""
    free = free_slots(flink_url)
    live = {job.name for job in flink_jobs(flink_url) if job.live}
    to_come = [job for job in JOBS if named(job, prefix).flink not in live]
    wide = [job for job in to_come if job != "archive"]
    return max((free - ("archive" in to_come)) // max(1, len(wide)), min(1, free))
