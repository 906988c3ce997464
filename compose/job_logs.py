"""`tidegate jobs logs`: what the cluster's logs hold of one job, its failures first."""

import re
import threading
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue

import click

from compose.intents import Named, named, read_intent
from compose.local.endpoints import read
from compose.local.layout import Layout
from compose.local.logs import follow, tail
from compose.options import prefix_option, state_option
from schemas.failure import Failure
from stream.jobs.cluster import Broken, call, failures
from stream.jobs.cluster import jobs as flink_jobs
from stream.jobs.health import short
from stream.jobs.settings import transactions

_PARTS = ("jobmanager", "taskmanager")
_EVERYTHING = 1_000_000
_FAILURES = 3
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ")
# Every few seconds, all day; or a dozen times at each start.
_ROUTINE = re.compile(
    r"CheckpointCoordinator (Triggering|Completed) checkpoint|Marking checkpoint|S3Committer"
    r"|MetricGroup Name collision"
)


@click.command("logs")
@click.argument("name", metavar="lake|alerts|warehouse|archive|sql-NAME")
@click.option("-n", "count", type=click.IntRange(0, 100_000), default=40, show_default=True)
@click.option("--follow", "-f", "following", is_flag=True, help="Go on with new lines.")
@click.option("--all", "everything", is_flag=True, help="Each checkpoint's lines, too.")
@prefix_option
@state_option
def logs_command(
    name: str, count: int, prefix: str, state: Path, *, following: bool, everything: bool
) -> None:
    """Print a job's newest failures, and what the log says of it.

    A failure is told by its own cause, with Python's traceback where there is one; Java's stack is
    in the log below.
    """
    who = named(name, prefix)
    flink_url = read(state).flink_url
    job_id, listed = _job(state, flink_url, who)
    layout = Layout.of(state)
    if listed:
        for broken in reversed(failures(flink_url, job_id, at_most=_FAILURES)):
            click.echo("\n".join(told(broken)))
    marks = [
        job_id,
        f"{who.flink},",
        f"'{who.flink}'",
        *_vertices(flink_url, job_id, listed=listed),
    ]
    if name == "alerts":  # what becomes of a transaction is told by its name alone
        marks.append(f"transactionalId='{transactions(prefix)}-")
    if following:
        _print_new(layout, marks, count, everything=everything)
        return
    found = [
        (record[:23], f"{part}: {record}")
        for part in _PARTS
        for record in concerning(tail(layout.log(part), _EVERYTHING), marks, everything=everything)
    ]
    lines = [line for _, record in sorted(found) for line in record.splitlines()]
    for line in lines[-count:] if count else []:
        click.echo(line)


def _job(state: Path, flink_url: str, who: Named) -> tuple[str, bool]:
    """Return the newest job of that name, and whether the cluster still knows it."""
    for job in flink_jobs(flink_url):
        if job.name == who.flink:
            return job.job_id, True
    intent = read_intent(state, who.name)
    if intent is None or not intent.job_ids:
        raise Failure(f"{who.name} was never submitted; `tidegate jobs list` shows what was")
    return intent.job_ids[-1], False


def _vertices(flink_url: str, job_id: str, *, listed: bool) -> list[str]:
    """Return what attempts of the job's tasks have in their ids."""
    if not listed:
        return []
    return [f"_{each['id']}_" for each in call(flink_url, f"/jobs/{job_id}")["vertices"]]


def told(broken: Broken) -> Iterator[str]:
    """Yield a failure's lines: when, where and why, then Python's traceback."""
    when = datetime.fromtimestamp(broken.at_ms / 1000, UTC).isoformat(timespec="seconds")
    where = "the job" if broken.task is None else short(broken.task)
    yield f"{when} {where} failed: {broken.cause}"
    lines = broken.stack.splitlines()
    starts = [at for at, line in enumerate(lines) if line.startswith("Traceback (most recent")]
    if not starts:
        return
    # The innermost one ends with the cause; Beam wraps others around it.
    for line in lines[starts[-1] :]:
        if not line.strip() or line.startswith(("\tat ", "Caused by: ")):
            return
        yield f"  {line}"


def concerning(
    lines: Iterable[str], marks: Iterable[str], *, everything: bool = False
) -> Iterator[str]:
    """Yield the records that have a mark in them; a record goes on until the next time of day."""
    wanted = tuple(marks)
    for record in _records(lines):
        if any(mark in record for mark in wanted) and (everything or not _ROUTINE.search(record)):
            yield record


def _records(lines: Iterable[str]) -> Iterator[str]:
    record: list[str] = []
    for line in lines:
        if _TIME.match(line) and record:
            yield "\n".join(record)
            record = []
        record.append(line)
    if record:
        yield "\n".join(record)


def _print_new(layout: Layout, marks: list[str], count: int, *, everything: bool) -> None:
    """Print line by line, so a stack trace's lines come only as far as they have a mark."""
    found: SimpleQueue[str] = SimpleQueue()

    def watch(part: str) -> None:
        for line in follow(layout.log(part), count=count):
            for record in concerning([line], marks, everything=everything):
                found.put(f"{part}: {record}")

    for part in _PARTS:
        threading.Thread(target=watch, args=(part,), daemon=True).start()
    try:
        while True:
            click.echo(found.get())
    except KeyboardInterrupt:  # how one stops following
        raise click.exceptions.Exit(130) from None
