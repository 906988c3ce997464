"""`tidegate jobs`: submit, list, stop and cancel the Flink jobs of a stack."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import click
import msgspec

from compose.intents import Intent, Named, alone, intents, named, read_intent, write_intent
from compose.lake_cli import lake_of
from compose.local.endpoints import Endpoints, read
from compose.local.flink import flink_env
from compose.options import Duration, prefix_option, state_option
from schemas.failure import BadConfig, Failure
from schemas.topics import DEFAULT_PREFIX
from stream.jobs.checkpoints import SAVEPOINTS, newest
from stream.jobs.cluster import FlinkJob, await_running, cancel, live_job
from stream.jobs.cluster import jobs as flink_jobs
from stream.jobs.cluster import stop as stop_job
from stream.jobs.settings import Cluster, Tuning
from stream.rules import rules_text

JOBS = ("lake", "alerts")
_job = click.argument("name", type=click.Choice(JOBS))


@click.group()
def jobs() -> None:
    """Submit and watch the Flink jobs."""


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
@state_option
def submit(
    names: tuple[str, ...],
    rules: str,
    prefix: str,
    parallelism: int,
    checkpoint_interval: int,
    lateness: int,
    restore: str,
    state: Path,
) -> None:
    """Submit jobs to the stack's cluster; one that runs already is left alone."""
    endpoints = read(state)
    text = rules_text(rules)  # wrong rules must not cost a start of the JVM
    os.environ.update(flink_env(state))
    from stream.jobs.submit import submit_alerts, submit_lake  # noqa: PLC0415 - starts PyFlink

    starts: dict[str, Callable[[str, Cluster, Tuning], str]] = {
        "lake": submit_lake,
        "alerts": lambda name, cluster, tuning: submit_alerts(name, cluster, tuning, text),
    }
    options = [
        f"--rules={Path(rules).resolve() if Path(rules).is_file() else rules}",
        f"--prefix={prefix}",
        f"--parallelism={parallelism}",
        f"--checkpoint-interval={checkpoint_interval}ms",
        f"--lateness={lateness}ms",
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
                restore_from=_snapshot(state, endpoints, who, restore),
            )
            job_id = starts[job](who.name, cluster_of(endpoints, prefix), tuning)
            _remember(state, who, [job, *options], job_id)
        await_running(endpoints.flink_url, job_id)
        since = f", from {tuning.restore_from}" if tuning.restore_from else ""
        click.echo(f"{who.name}: runs as {job_id}{since}")


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
@_job
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
@_job
@prefix_option
@state_option
def cancel_(name: str, prefix: str, state: Path) -> None:
    """Cancel a job; the next submit goes on from its last checkpoint."""
    who, running = _running(state, name, prefix)
    _no_longer_wanted(state, who)
    cancel(read(state).flink_url, running.job_id)
    click.echo(f"{who.name}: cancelled")


def cluster_of(endpoints: Endpoints, prefix: str = DEFAULT_PREFIX) -> Cluster:
    """Return the local stack as a job sees it."""
    return Cluster(
        flink_url=endpoints.flink_url,
        kafka_bootstrap=endpoints.kafka_bootstrap,
        registry_url=endpoints.registry_url,
        lake_uri=endpoints.lake_uri,
        topic_prefix=prefix,
        python=sys.executable,
    )


def _running(state: Path, job: str, prefix: str) -> tuple[Named, FlinkJob]:
    who = named(job, prefix)
    running = live_job(read(state).flink_url, who.flink)
    if running is None:
        raise Failure(f"{who.name} does not run; `tidegate jobs list` shows what does")
    return who, running


def _snapshot(state: Path, endpoints: Endpoints, who: Named, restore: str) -> str | None:
    if restore == "none":
        return None
    if restore != "latest":
        if "://" not in restore:
            raise BadConfig(
                f"--from {restore}: expected latest, none, or a URI such as s3://…/chk-7"
            )
        return restore
    intent = read_intent(state, who.name)
    if intent is None:
        return None
    return newest(lake_of(endpoints).files, endpoints.lake_uri, intent.job_ids, intent.savepoints)


def _remember(state: Path, who: Named, argv: list[str], job_id: str) -> None:
    before = read_intent(state, who.name)
    write_intent(
        state,
        Intent(
            name=who.name,
            argv=argv,
            wanted=True,
            job_ids=[*(before.job_ids if before else []), job_id],
            savepoints=before.savepoints if before else [],
        ),
    )


def _no_longer_wanted(state: Path, who: Named, savepoint: str | None = None) -> None:
    intent = read_intent(state, who.name)
    if intent is not None:
        more = [] if savepoint is None else [savepoint]
        changed = msgspec.structs.replace(
            intent, wanted=False, savepoints=[*intent.savepoints, *more]
        )
        write_intent(state, changed)
