"""`tidegate local`: the whole stack on this machine, without Docker."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from compose.local import control
from compose.local.endpoints import read
from compose.local.layout import Layout
from compose.local.logs import follow, tail
from compose.local.procs import group_rss_mib
from compose.local.settings import ON_DEMAND, PARTS, START_ORDER, expand
from compose.local.state import PartState, published
from compose.options import state_option
from schemas.failure import Unavailable

_OTHER_LOGS = ("supervisor", "reaper", "jobs")


class _Parts(click.ParamType[list[str]]):
    """A comma-separated list of parts, as a list in start order."""

    name = "PART,..."

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[str]:
        names = [name.strip() for name in str(value).split(",") if name.strip()]
        try:
            parts = expand(names)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return parts or self.fail("names no part", param, ctx)


def _say(line: str) -> None:
    click.echo(line, err=True)


@click.group()
def local() -> None:
    """The whole stack on this machine: Kafka, registry, S3, MQTT, Flink."""


@local.command()
@click.option("--only", type=_Parts(), help="Bring up these parts only; `flink` is both of its.")
@click.option(
    "--with", "more", type=_Parts(), help=f"Bring up these as well: {', '.join(ON_DEMAND)}."
)
@state_option
def up(only: list[str] | None, more: list[str] | None, state: Path) -> None:
    """Bring the stack up and return when all of it is ready."""
    layout = Layout.of(state)
    began = time.monotonic()
    try:
        current = control.up(layout, expand([*(only or PARTS), *(more or ())]), _say)
    except KeyboardInterrupt:
        _say("the stack goes on starting in the background; stop it with: tidegate local down")
        raise
    ready = ", ".join(part.name for part in current.parts if part.state == "ready")
    _say(f"up after {time.monotonic() - began:.1f} s: {ready}")
    _say(f"state in {layout.root}")
    _say(f"console {current.endpoints['console_url']}  Flink {current.endpoints['flink_url']}")


@local.command()
@state_option
def down(state: Path) -> None:
    """Stop the stack; what it keeps stays."""
    layout = Layout.of(state)
    was_up = control.down(layout, _say)
    _say("down" if was_up else f"no stack is up in {layout.root}")


@local.command()
@click.option("--json", "as_json", is_flag=True)
@state_option
def status(state: Path, *, as_json: bool) -> None:
    """Show the parts: state, process, port, uptime, memory.

    Also how often each was restarted. Memory is with that of children.
    """
    layout = Layout.of(state)
    current = published(layout)
    if current is None:
        raise Unavailable(f"no stack is up in {layout.root}; start it with: tidegate local up")
    rows = [_row(part, time.time()) for part in current.parts]
    if as_json:
        about = {
            "state": str(layout.root),
            "supervisor": current.pid,
            "endpoints": current.endpoints,
            "resuming": current.resuming,
            "parts": rows,
        }
        click.echo(json.dumps(about))
        return
    for line in _table(rows):
        click.echo(line)
    if current.resuming:
        click.echo(f"jobs to bring back: {', '.join(current.resuming)} {current.resuming_why}")


def _row(part: PartState, now_s: float) -> dict[str, object]:
    up_s = None if part.started_ms is None else round(now_s - part.started_ms / 1000, 1)
    rss = None if part.pid is None else group_rss_mib(part.pid)
    return {**msgspec.to_builtins(part), "uptime_s": up_s, "rss_mib": rss}


def _table(rows: Sequence[dict[str, object]]) -> list[str]:
    columns = ("name", "state", "pid", "port", "uptime_s", "restarts", "rss_mib", "why")
    heads = ("PART", "STATE", "PID", "PORT", "UPTIME s", "RESTARTS", "RSS MiB", "")
    cells = [heads, *[tuple(_cell(row[name]) for name in columns) for row in rows]]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]


def _cell(value: object) -> str:
    return "-" if value is None else str(value)


@local.command()
@click.argument("part", required=False, type=click.Choice([*START_ORDER, *_OTHER_LOGS]))
@click.option("-n", "count", type=click.IntRange(0, 100_000), default=40, show_default=True)
@click.option("-f", "following", is_flag=True, help="Go on with new lines; needs PART.")
@state_option
def logs(part: str | None, count: int, state: Path, *, following: bool) -> None:
    """Print the last lines of one part's log, or of every part's."""
    layout = Layout.of(state)
    if part is None:
        if following:
            raise click.UsageError("-f follows one log: name the part")
        _print_all(layout, count)
        return
    if not layout.log(part).exists() and not following:
        raise Unavailable(f"{part} has no log in {layout.logs}: it was never started there")
    lines = follow(layout.log(part), count=count) if following else tail(layout.log(part), count)
    try:
        for line in lines:
            click.echo(line)
    except KeyboardInterrupt:  # how one stops following
        raise click.exceptions.Exit(130) from None


def _print_all(layout: Layout, count: int) -> None:
    found = [name for name in (*START_ORDER, *_OTHER_LOGS) if layout.log(name).exists()]
    if not found:
        raise Unavailable(f"no logs in {layout.logs}: no stack was ever started there")
    for name in found:
        for line in tail(layout.log(name), count):
            click.echo(f"{name}: {line}")


@local.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@state_option
def reset(state: Path, *, yes: bool) -> None:
    """Remove topics, schemas, lake, queues and logs of a stopped stack."""
    layout = Layout.of(state)
    if not layout.root.is_dir():
        _say(f"nothing to remove: {layout.root} does not exist")
        return
    if not yes:
        click.confirm(f"Remove everything the stack keeps in {layout.root}?", abort=True, err=True)
    control.reset(layout)
    _say(f"removed what was kept in {layout.root}")


@local.command()
@state_option
def env(state: Path) -> None:
    """Print the stack's endpoints as KEY=VALUE lines."""
    for line in read(state).env():
        click.echo(line)
