"""`tidegate jobs status`: how the jobs do, for people and for programs."""

import json
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from compose.intents import named
from compose.job_health import Health, healths, report
from compose.listing import aligned
from compose.local.endpoints import read
from compose.options import prefix_option, state_option
from simulators.options import a_number

_COLUMNS = (
    "JOB", "STATE", "X", "UPTIME", "RESTARTS", "IN/s", "OUT/s", "LAG", "CHECKPOINT", "SIZE", "TOOK",
)  # fmt: skip
_CLEAR = "\x1b[H\x1b[2J"


@click.command()
@click.argument("name", required=False, metavar="[lake|alerts|warehouse|archive|sql-NAME]")
@prefix_option
@click.option("--json", "as_json", is_flag=True, help="One list of objects.")
@click.option("--watch", is_flag=True, help="Again and again, until Ctrl-C.")
@click.option(
    "--every",
    type=click.FloatRange(0.5, 3600),
    default=5.0,
    callback=a_number("seconds"),
    help="Seconds, in --watch.",
)
@state_option
def status(
    name: str | None, prefix: str, state: Path, every: float, *, as_json: bool, watch: bool
) -> None:
    """Show how the jobs do: throughput, lag, and what is wrong.

    Their checkpoints are shown, too, and how fresh is what they make. LAG counts the records of
    Kafka not read yet. Rates and lag are up to 10 s old. Freshness is the age of a site's newest
    pane or window, by event time.
    """
    only = None if name is None else named(name, prefix).name
    try:
        while True:
            found = healths(state, read(state), only)
            if watch and not as_json:
                click.echo(_CLEAR, nl=False)
            _print(found, as_json=as_json, details=only is not None)
            if not watch:
                return
            time.sleep(every)
    except KeyboardInterrupt:  # how one stops watching
        raise click.exceptions.Exit(130) from None


def _print(found: Sequence[Health], *, as_json: bool, details: bool) -> None:
    now_ms = time.time_ns() // 1_000_000
    rows = [report(each, now_ms) for each in found]
    if as_json:
        click.echo(json.dumps(rows))
        return
    for line in table(rows, details=details):
        click.echo(line)


def table(rows: Sequence[dict[str, Any]], *, details: bool) -> Iterator[str]:
    """Yield the lines for a person: a row a job, then sites, then what is wrong with each."""
    yield from aligned(_COLUMNS, [_cells(row) for row in rows])
    for row in rows:
        yield from _below(row, details=details)


def _cells(row: dict[str, Any]) -> list[object]:
    lag = row["lag"]["records"]
    name, state = row["name"], row["state"]
    if "uptime_s" not in row:
        return [name, state, *[None] * 5, lag, None, None, None]
    point = row["checkpoint"]
    return [
        name,
        state,
        row["parallelism"],
        _span(row["uptime_s"]),
        row["restarts"],
        f"{row['in_per_s']:g}",
        f"{row['out_per_s']:g}",
        lag,
        "none" if point["age_s"] is None else f"{_span(point['age_s'])} ago",
        _size(point["bytes"]),
        None if point["duration_ms"] is None else f"{point['duration_ms']} ms",
    ]


def _below(row: dict[str, Any], *, details: bool) -> Iterator[str]:
    name = row["name"]
    if row["freshness_s"]:
        sites = ", ".join(f"{site} {_span(age)}" for site, age in row["freshness_s"].items())
        yield f"{name}: freshness {sites}"
    if row.get("watermark") is not None:
        at = datetime.fromtimestamp(row["watermark"] / 1000, UTC)
        yield f"{name}: watermark {at.isoformat(timespec='seconds')}"
    if details:
        for each in row["lag"]["partitions"]:
            yield (
                f"{name}: {each['topic']}-{each['partition']} at {each['position']} of "
                f"{each['end']}, {each['behind']} behind"
            )
    if row.get("failure"):
        failure = row["failure"]
        when = datetime.fromtimestamp(failure["at"] / 1000, UTC).isoformat(timespec="seconds")
        where = "" if failure["vertex"] is None else f" in {failure['vertex']}"
        yield f"{name}: newest failure {when}{where}: {failure['cause']}"
    for problem in row["problems"]:
        yield f"{name}: ! {problem}"


def _span(seconds: float) -> str:
    whole = int(seconds)
    if whole < 120:
        return f"{max(0, whole)} s"
    if whole < 7200:
        return f"{whole // 60} min"
    return f"{whole // 3600} h" if whole < 172_800 else f"{whole // 86_400} d"


def _size(size: int | None) -> str | None:
    if size is None:
        return None
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size = size / 1000  # type: ignore[assignment]
    return f"{size:.3g} GB"
