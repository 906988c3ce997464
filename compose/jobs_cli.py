"""`tidegate jobs`: submit, list, stop and cancel the Flink jobs of a stack."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import click
import msgspec

from compose.intents import Named, alone, intents, named, read_intent, write_intent
from compose.local.endpoints import read
from compose.local.flink import BRIEF_CLIENT, flink_env
from compose.options import Duration, prefix_option, sinks_option, state_option
from compose.sinks import postgres_of, sinks_file
from compose.sql_cli import plan, sql
from compose.submissions import Asked, cluster_of, remember, snapshot
from schemas.failure import Failure
from stream.jobs.checkpoints import SAVEPOINTS
from stream.jobs.cluster import FlinkJob, await_running, cancel, live_job
from stream.jobs.cluster import jobs as flink_jobs
from stream.jobs.cluster import stop as stop_job
from stream.jobs.settings import Cluster, Database, Tuning
from stream.rules import rules_text
from stream.sinks.config import jdbc_url, password

JOBS = ("lake", "alerts", "warehouse")
_any_job = click.argument("name", metavar="lake|alerts|warehouse|sql-NAME")


@click.group()
def jobs() -> None:
    """Submit and watch the Flink jobs."""


jobs.add_command(sql)
jobs.add_command(plan)


@jobs.command()
@click.argument("names", nargs=-1, required=True, type=click.Choice(JOBS))
@click.option("--rules", default="generic", show_default=True, help="A rule file or a pack's name.")
@prefix_option
@click.option("--parallelism", type=click.IntRange(1, 720), default=2, show_default=True)
@click.option(
    "--checkpoint-interval",
    type=Duration(),
    default="10s",
    show_default=True,
    help="Alerts and lake files appear with checkpoints.",
)
@click.option(
    "--lateness",
    type=Duration(),
    default="5s",
    show_default=True,
    help="How long a pane stays open behind its device's own clock.",
)
@click.option(
    "--from",
    "restore",
    default="latest",
    show_default=True,
    metavar="latest|none|URI",
    help="Go on from the newest checkpoint or savepoint, from nothing, or from this one.",
)
@sinks_option
@state_option
def submit(
    names: tuple[str, ...],
    rules: str,
    prefix: str,
    parallelism: int,
    checkpoint_interval: int,
    lateness: int,
    restore: str,
    sinks: Path | None,
    state: Path,
) -> None:
    """Submit jobs to the stack's cluster; one that runs already is left alone."""
    endpoints = read(state)
    text = rules_text(rules)  # wrong rules must not cost a start of the JVM
    database = _database(sinks_file(sinks, state)) if "warehouse" in names else None
    os.environ.update(flink_env(state) | BRIEF_CLIENT)
    starts = _starts(text, database)
    options = [
        f"--rules={Path(rules).resolve() if Path(rules).is_file() else rules}",
        f"--prefix={prefix}",
        f"--parallelism={parallelism}",
        f"--checkpoint-interval={checkpoint_interval}ms",
        f"--lateness={lateness}ms",
        *([] if sinks is None else [f"--sinks={sinks.resolve()}"]),
    ]
    for job in names:
        who = named(job, prefix)
        with alone(state):
            running = live_job(endpoints.flink_url, who.flink)
            if running is not None:
                click.echo(f"{who.name}: runs already as {running.job_id}")
                continue
            tuning = Tuning(
                parallelism=parallelism,
                checkpoint_interval_ms=checkpoint_interval,
                lateness_ms=lateness,
                restore_from=snapshot(state, endpoints, who, restore),
            )
            job_id = starts[job](who.name, cluster_of(endpoints, prefix), tuning)
            remember(state, who, Asked("submit", [job, *options]), job_id)
        await_running(endpoints.flink_url, job_id)
        since = f", from {tuning.restore_from}" if tuning.restore_from else ""
        click.echo(f"{who.name}: runs as {job_id}{since}")


def _database(sinks: Path) -> Database:
    """Return the database of sinks.toml once its schema is this version's."""
    from stream.sinks.postgres import require_migrated  # noqa: PLC0415 - of this job alone

    section = postgres_of(sinks)
    require_migrated(section)
    return Database(jdbc_url(section), section.username, password(section))


def _starts(
    rules: str, database: Database | None
) -> dict[str, Callable[[str, Cluster, Tuning], str]]:
    """Return how each job is submitted."""
    from stream.jobs import submit as by_flink  # noqa: PLC0415 - starts PyFlink

    def warehouse(name: str, cluster: Cluster, tuning: Tuning) -> str:
        assert database is not None
        return by_flink.submit_warehouse(name, cluster, tuning, database)

    return {
        "lake": by_flink.submit_lake,
        "alerts": lambda name, cluster, tuning: by_flink.submit_alerts(
            name, cluster, tuning, rules
        ),
        "warehouse": warehouse,
    }


@jobs.command("list")
@state_option
@click.option("--json", "as_json", is_flag=True)
def list_(state: Path, *, as_json: bool) -> None:
    """List the cluster's jobs, newest first."""
    found = flink_jobs(read(state).flink_url)
    if as_json:
        click.echo(json.dumps([job._asdict() for job in found]))
        return
    for job in found:
        click.echo(f"{job.state:12} {job.job_id}  {job.name}")
    missing = {Named(intent.name).flink for intent in intents(state) if intent.wanted} - {
        job.name for job in found if job.live
    }
    for name in sorted(missing):
        click.echo(f"{'MISSING':12} {'wanted, but the cluster does not run it':32}  {name}")


@jobs.command()
@_any_job
@prefix_option
@state_option
def stop(name: str, prefix: str, state: Path) -> None:
    """Stop a job with a savepoint; the next submit goes on from it."""
    who, running = _running(state, name, prefix)
    endpoints = read(state)
    _no_longer_wanted(state, who)
    uri = stop_job(endpoints.flink_url, running.job_id, f"{endpoints.lake_uri}/{SAVEPOINTS}")
    _no_longer_wanted(state, who, uri)
    click.echo(f"{who.name}: stopped, savepoint {uri}")


@jobs.command("cancel")
@_any_job
@prefix_option
@state_option
def cancel_(name: str, prefix: str, state: Path) -> None:
    """Cancel a job; the next submit goes on from its last checkpoint."""
    who, running = _running(state, name, prefix)
    _no_longer_wanted(state, who)
    cancel(read(state).flink_url, running.job_id)
    click.echo(f"{who.name}: cancelled")


def _running(state: Path, job: str, prefix: str) -> tuple[Named, FlinkJob]:
    who = named(job, prefix)
    running = live_job(read(state).flink_url, who.flink)
    if running is None:
        raise Failure(f"{who.name} does not run; `tidegate jobs list` shows what does")
    return who, running


def _no_longer_wanted(state: Path, who: Named, savepoint: str | None = None) -> None:
    intent = read_intent(state, who.name)
    if intent is not None:
        more = [] if savepoint is None else [savepoint]
        changed = msgspec.structs.replace(
            intent, wanted=False, savepoints=[*intent.savepoints, *more]
        )
        write_intent(state, changed)
