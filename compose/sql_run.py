"""What `tidegate jobs sql` does: answer queries here, submit INSERTs to the cluster."""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from compose.intents import alone, named
from compose.lake_cli import lake_of
from compose.listing import aligned, json_line
from compose.local.endpoints import Endpoints, read
from compose.parallelism import await_room
from compose.planning import flink_ready, stack_or_none, usual_endpoints
from compose.submissions import Asked, cluster_of, remember, snapshot
from schemas.failure import Failure
from stream.jobs.cluster import await_running, live_job
from stream.jobs.settings import Tuning
from stream.lake import answers
from stream.lake_tables import TABLES
from stream.sql_files import Source
from stream.sql_text import Script, script

if TYPE_CHECKING:  # it starts PyFlink
    from stream.jobs.sql import Answer, Mode

# What needs no stack; SHOW lists the lake's tables too.
_PLANS = frozenset({"EXPLAIN", "DESCRIBE", "DESC", "SET", "CREATE", "DROP", "ALTER", "USE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The statements and what was asked to be done with them.

    ``keep`` has the supervisor bring an INSERT's job back; ``restore`` is what that job goes on
    from: latest, none or a URI. ``limit`` bounds each query's rows.
    """

    source: Source
    state: Path
    prefix: str
    parallelism: int
    delay_ms: int
    follow: bool
    limit: int | None
    as_json: bool
    name: str | None
    keep: bool
    restore: str
    checkpoint_interval_ms: int


def run(request: Request) -> None:
    """Plan all statements, then carry them out.

    Raises:
        BadConfig: a statement does not plan; nothing has run.
        Unavailable: there is no stack, and more than a plan was asked for.
        RetryLater: the cluster has too few free slots.
        Failure: a query or the job failed.
    """
    running = stack_or_none(request.state)
    endpoints = running or usual_endpoints(request.state)
    asked = script(request.source.name, request.source.text, _addresses(endpoints))
    _check(request, asked, running)
    with flink_ready(request.state, running):
        if asked.inserts:
            _submit(request, asked, endpoints)
        else:
            _answer(request, asked, endpoints)


def _check(request: Request, asked: Script, running: Endpoints | None) -> None:
    """Refuse what cannot be answered. To Flink, a lake that does not answer is an empty one."""
    names = (f"LAKE_{table.name.upper()}{raw}" for table in TABLES for raw in ("", "_RAW"))
    lake = any(map(asked.says, names))
    if running is None and (lake or not {each.verb for each in asked.statements} <= _PLANS):
        read(request.state)  # says what is missing
    if running is not None and lake:
        answers(lake_of(running))


def _addresses(endpoints: Endpoints) -> dict[str, str]:
    return {name.upper(): value for name, value in asdict(endpoints).items()}


def _answer(request: Request, asked: Script, endpoints: Endpoints) -> None:
    from stream.jobs.sql import mode_of, open_client, plan  # noqa: PLC0415 - starts PyFlink

    mode = mode_of(asked, follow=request.follow)
    cluster = cluster_of(endpoints, request.prefix)
    tuning = Tuning(parallelism=request.parallelism, checkpoint_interval_ms=None)
    opened = open_client("sql", asked, cluster, tuning, mode, request.delay_ms)
    for index, answer in enumerate(plan(opened, asked).answers):
        if index and not request.as_json:
            click.echo()
        for line in _lines(request, answer, mode):
            click.echo(line)


def _lines(request: Request, answer: "Answer", mode: "Mode") -> Iterator[str]:
    """Yield the rows of an answer; those of an endless query say what became of each."""
    columns, rows = answer.columns, _rows(answer, mode)
    if mode == "endless":
        columns = ["op", *columns]
    bounded = islice(rows, request.limit)
    if request.as_json:
        return (json_line(columns, row) for row in bounded)
    return aligned(columns, bounded, at_once=1 if mode == "endless" else 1000)


def _rows(answer: "Answer", mode: "Mode") -> Iterator[tuple[Any, ...]]:
    from stream.jobs.sql import settled  # noqa: PLC0415 - starts PyFlink

    changes = answer.changes()
    if mode == "endless":
        return ((op, *row) for op, row in changes)
    return (row for _, row in (settled(changes) if mode == "bounded" else changes))


def _submit(request: Request, asked: Script, endpoints: Endpoints) -> None:
    from stream.jobs.sql import open_client, plan, submit  # noqa: PLC0415 - starts PyFlink

    who = named(f"sql-{request.name or request.source.job}", request.prefix)
    with alone(request.state):
        if running := live_job(endpoints.flink_url, who.flink):
            raise Failure(
                f"{who.name} runs already as {running.job_id}; end it with `tidegate jobs cancel "
                f"{who.name}`, or give this one another --name"
            )
        tuning = Tuning(
            parallelism=request.parallelism,
            checkpoint_interval_ms=request.checkpoint_interval_ms,
            restore_from=snapshot(request.state, endpoints, who, request.restore),
        )
        cluster = cluster_of(endpoints, request.prefix)
        opened = open_client(who.name, asked, cluster, tuning, "endless", request.delay_ms)
        inserts = plan(opened, asked).inserts
        assert inserts is not None
        await_room(endpoints.flink_url, request.parallelism, within_s=0)
        job_id = submit(opened, who.name, inserts)
        asked_for = Asked("sql", _argv(request), wanted=request.keep)
        remember(request.state, who, asked_for, job_id)
    await_running(endpoints.flink_url, job_id)
    since = f", from {tuning.restore_from}" if tuning.restore_from else ""
    click.echo(f"{who.name}: runs as {job_id}{since}")


def _argv(request: Request) -> list[str]:
    """Return the command that submits it again, whatever has become of the file."""
    return [
        f"-e={request.source.text}",
        f"--name={request.name or request.source.job}",
        f"--prefix={request.prefix}",
        f"--parallelism={request.parallelism}",
        f"--delay={request.delay_ms}ms",
        f"--checkpoint-interval={request.checkpoint_interval_ms}ms",
        "--keep",
    ]


def job_of(text: str) -> str:
    """Return what the job of statements without a file is called: the same for the same text."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]
