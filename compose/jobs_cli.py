"""`tidegate jobs`: submit, list, stop and cancel the Flink jobs of a stack."""

import json
from pathlib import Path
from typing import Any

import click
import msgspec

from compose.backends import BACKENDS, check_move
from compose.backfill_cli import backfill_
from compose.bundle import package
from compose.choosing import Wanted, elsewhere, former, here
from compose.given_up import lost_with
from compose.intents import Named, alone, intents, named, read_intent, write_intent
from compose.job_logs import logs_command
from compose.job_rules import DEFAULT_RULES, Begun, rules_of
from compose.kubernetes_cli import kubernetes_options, surroundings, to_kubernetes
from compose.local.endpoints import read
from compose.options import Duration, prefix_option, sinks_option, state_option
from compose.parallelism import await_room
from compose.sql_cli import plan, sql
from compose.starting import (
    JOBS,
    check_snapshot,
    kept_rules,
    pane_bounds,
    prepare,
    start,
)
from compose.status_cli import status
from compose.submissions import snapshot
from compose.upgrade_cli import upgrade_command
from schemas.failure import Failure
from stream.jobs.checkpoints import savepoints_of
from stream.jobs.cluster import (
    FlinkJob,
    await_running,
    cancel,
    live_job,
    savepoint,
)
from stream.jobs.cluster import jobs as flink_jobs
from stream.jobs.cluster import stop as stop_job
from stream.pane_sizes import no_larger

_any_job = click.argument("name", metavar="lake|alerts|warehouse|archive|sql-NAME")


@click.group()
def jobs() -> None:
    """Submit and watch the Flink jobs."""


jobs.add_command(backfill_)
jobs.add_command(sql)
jobs.add_command(plan)
jobs.add_command(status)
jobs.add_command(upgrade_command)
jobs.add_command(logs_command)
jobs.add_command(package)


def _bounds(_context: click.Context, _option: click.Parameter, panes: str | None) -> str | None:
    try:
        return panes if panes is None else no_larger(panes, panes)
    except (ValueError, KeyError) as error:
        raise click.BadParameter("expected METRIC=MS,…,*=MS") from error


@jobs.command()
@click.argument("names", nargs=-1, required=True, type=click.Choice(JOBS))
@click.option(
    "--rules",
    help="A rule file or a pack's name, in place of what was pushed so far; those that the job "
    "had, or generic, unless said.",
)
@prefix_option
@click.option(
    "--parallelism",
    type=click.IntRange(1, 720),
    help="As many as the readings topic has partitions unless said.",
)
@click.option(
    "--checkpoint-interval",
    "checkpoint_interval_ms",
    type=Duration(),
    show_default="10s; of alerts 1.5s, up to 10s with much state in the heap; of archive 1m",
    help="Alerts and lake files appear with checkpoints.",
)
@click.option(
    "--lateness",
    "lateness_ms",
    type=Duration(),
    default="5s",
    show_default=True,
    help="How long a pane stays open behind its device's own clock.",
)
@click.option(
    "--transaction-timeout",
    "transaction_timeout_ms",
    type=Duration(),
    default="15m",
    show_default=True,
    help="How long the brokers keep alerts that are written and not committed yet: a job that is "
    "down for longer may lose them. At most their transaction.max.timeout.ms.",
)
@click.option(
    "--sensors",
    type=click.IntRange(1),
    help="How many there are, metrics of devices: their state decides the backend of alerts. By "
    "the devices topic unless said.",
)
@click.option(
    "--every",
    "every_ms",
    type=Duration(),
    help="How often one of them reports. By the devices topic, or a minute, unless said.",
)
@click.option(
    "--backend",
    type=click.Choice(BACKENDS),
    help="Where state lives: hashmap is the heap. A job keeps what it had; at first the heap while "
    "the sensors fit in.",
)
@click.option("--panes", hidden=True, callback=_bounds, help="What an upgrade bounds panes by.")
@click.option("--rules-after", type=click.IntRange(0), hidden=True, help="Pushed rules left out.")
@click.option(
    "--from",
    "restore",
    default="latest",
    show_default=True,
    metavar="latest|none|URI",
    help="Go on from the newest checkpoint or savepoint, from nothing, or from this one.",
)
@sinks_option
@kubernetes_options
@state_option
def submit(
    names: tuple[str, ...],
    target: str,
    restore: str,
    state: Path,
    *,
    dry_run: bool,
    **options: Any,
) -> None:
    """Submit jobs to the stack's cluster.

    One that runs already is left alone. With --target kubernetes they become deployments of Flink's
    operator, which upgrades them itself when they change.
    """
    options["sinks"] = options["sinks"] and str(options["sinks"].resolve())
    rules = options.pop("rules"), options.pop("rules_after")
    at = surroundings(options, target, dry_run=dry_run)
    wanted = Wanted(*(options.pop(name) for name in Wanted._fields))
    if at is not None:
        if "warehouse" in names:
            raise click.UsageError("warehouse: not with --target kubernetes yet, only to a session")
        options |= Begun(rules[0] or DEFAULT_RULES, rules[1] or 0)._asdict()
        choices = [elsewhere(job, wanted, options) for job in names]
        to_kubernetes(choices, at, dry_run=dry_run)
        return
    if rules[0] is not None:
        rules = kept_rules(state, rules[0]), rules[1]  # wrong ones must cost nothing
    _submit(names, restore, state, wanted, options | {"rules": rules})


def _submit(
    names: tuple[str, ...], restore: str, state: Path, wanted: Wanted, options: dict[str, Any]
) -> None:
    endpoints = read(state)
    rules = options.pop("rules")
    for job in names:
        who = named(job, options["prefix"])
        with alone(state):
            running = live_job(endpoints.flink_url, who.flink)
            if running is not None:
                click.echo(f"{who.name}: runs already as {running.job_id}")
                continue
            begun = rules_of(state, endpoints, who, job, options["prefix"], rules)
            snapshot_uri = snapshot(state, endpoints, who, restore)
            before = None if snapshot_uri is None else former(state, who)
            choice = here(endpoints, job, wanted, before, options | begun._asdict())
            if before is not None:
                check_move(who.name, before.backend, choice.backend, snapshot_uri)
                choice = choice._replace(panes=pane_bounds(before, choice))
            prepared = prepare(state, endpoints, who, choice)
            if snapshot_uri is not None:
                check_snapshot(endpoints, who, snapshot_uri, prepared)
                if (lost := lost_with(endpoints, before or choice, snapshot_uri)) is not None:
                    click.echo(f"warning: {who.name}: {lost}", err=True)
            await_room(endpoints.flink_url, choice.parallelism)
            job_id = start(state, who, choice, prepared, snapshot_uri)
        await_running(endpoints.flink_url, job_id)
        since = f", from {snapshot_uri}" if snapshot_uri else ""
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
@_any_job
@prefix_option
@state_option
def stop(name: str, prefix: str, state: Path) -> None:
    """Stop a job with a savepoint; the next submit goes on from it."""
    who, running = _running(state, name, prefix)
    endpoints = read(state)
    _no_longer_wanted(state, who)
    folder = savepoints_of(endpoints.lake_uri, running.job_id)
    uri = stop_job(endpoints.flink_url, running.job_id, folder)
    _no_longer_wanted(state, who, uri)
    click.echo(f"{who.name}: stopped, savepoint {uri}")


@jobs.command("savepoint")
@_any_job
@prefix_option
@state_option
def savepoint_(name: str, prefix: str, state: Path) -> None:
    """Take a savepoint of a job that runs on; print where it is."""
    _, running = _running(state, name, prefix)
    endpoints = read(state)
    folder = savepoints_of(endpoints.lake_uri, running.job_id)
    click.echo(savepoint(endpoints.flink_url, running.job_id, folder))


@jobs.command("cancel")
@_any_job
@prefix_option
@state_option
def cancel_(name: str, prefix: str, state: Path) -> None:
    """Cancel a job; the next submit goes on from its last checkpoint.

    A job that is wanted and does not run is no longer wanted then.
    """
    who, endpoints = named(name, prefix), read(state)
    running = live_job(endpoints.flink_url, who.flink)
    intent = read_intent(state, who.name)
    if running is None and intent is not None and intent.wanted:
        _no_longer_wanted(state, who)
        click.echo(f"{who.name}: did not run; nobody will bring it back")
        return
    _, running = _running(state, name, prefix)
    _no_longer_wanted(state, who)
    cancel(endpoints.flink_url, running.job_id)
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
