"""`tidegate bench`: the hot paths, measured beside a baseline in the same run."""

import json
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import click

from compose.options import state_option
from schemas.failure import Failure

_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
_JOBS = ("panes", "alerts", "lake")
_backend = partial(
    click.option,
    "--backend",
    type=click.Choice(("hashmap", "rocksdb")),
    help="Where the jobs' state lives.",
)
_backend_option = _backend(default="hashmap", show_default=True)


@click.group()
def bench() -> None:
    """Measure the hot paths."""


@bench.command()
@click.option("--readings", default=200_000, show_default=True, help="How many to queue and drain.")
@click.option("--rate", default=5000.0, show_default=True, help="Steady messages a second.")
@click.option("--seconds", default=20.0, show_default=True, help="How long the steady load lasts.")
@click.option("--mqtt", default="", help="A broker's URL; else a mosquitto is started.")
@click.option(
    "--kafka", default="", help="Bootstrap servers; else librdkafka's mock cluster is started."
)
@click.option("--registry", default="", help="A registry's URL; else a stand-in is started.")
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where the spool goes: on a disk, not in memory.",
)
@click.option(
    "--telegraf",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A Telegraf binary, to drain as many beside it.",
)
@click.option("--pi-like", is_flag=True,
              help="One core, 256 MiB of memory, every sync of the disk 50 ms later.")  # fmt: skip
@_json_option
def edge(
    readings: int,
    rate: float,
    seconds: float,
    mqtt: str,
    kafka: str,
    registry: str,
    folder: Path | None,
    telegraf: Path | None,
    *,
    pi_like: bool,
    as_json: bool,
) -> None:
    """Measure CPU, throughput, latency and memory of the edge.

    From MQTT to Kafka; also how many bytes a reading takes. Readings are made up; then the shipped
    NAB series are replayed, for the bytes of real ones.
    """
    from gateway.bench.run import Options, measure  # noqa: PLC0415
    from gateway.bench.servers import Ends  # noqa: PLC0415
    from gateway.online.machine import file_system  # noqa: PLC0415

    where = folder or Path(tempfile.gettempdir())
    if file_system(where) in ("tmpfs", "ramfs"):
        raise Failure(
            f"{where} is in memory, where an fsync costs nothing; name a disk by --folder"
        )
    ends = Ends(mqtt, kafka, registry)
    _print(
        measure(Options(readings, rate, seconds, ends, where, _nab(), telegraf, pi_like)),
        as_json=as_json,
    )


def _nab() -> list[tuple[str, str]]:
    """Return the shipped series as they are replayed, most of them before today."""
    from simulators.clock import DAY_MS  # noqa: PLC0415
    from simulators.nab import nab_messages  # noqa: PLC0415

    start_ms = int(time.time() * 1000) - 300 * DAY_MS
    messages = nab_messages("nab", start_ms=start_ms, closing_ms=0)
    return [(m.topic.partition("/")[2], m.payload.decode()) for m in messages]


def _print(figures: Mapping[str, object], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(figures))
        return
    for name, figure in figures.items():
        click.echo(f"{name:36} {figure}")


@bench.command()
@click.option("--readings", default=6_000_000, show_default=True, help="How many to drain.")
@click.option("--devices", default=1000, show_default=True)
@click.option("--hz", default=10.0, show_default=True, help="Readings a second and device.")
@click.option(
    "--alarming",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Share of the devices that are in alarm.",
)
@_backend_option
@click.option(
    "--job",
    "jobs",
    type=click.Choice(_JOBS),
    multiple=True,
    default=_JOBS,
    show_default="all",
    help="One to measure, beside the stock job that it is held against; may be repeated.",
)
@click.option("--runs", default=1, show_default=True, help="Of each job, in turn.")
@click.option(
    "--peers",
    is_flag=True,
    help="Ask Bytewax and Quix Streams the same, in a process each; installs them once, beside the "
    "stack's data. Ours is compared per core by its readings/s over its slots.",
)
@_json_option
@state_option
def stream(
    readings: int,
    devices: int,
    hz: float,
    alarming: float,
    backend: str,
    jobs: tuple[str, ...],
    runs: int,
    state: Path,
    *,
    peers: bool,
    as_json: bool,
) -> None:
    """Drain a topic with the jobs and with stock ones.

    The local stack must be up. Panes and alerts are held against a bare HOP, the lake job against
    bare source → Parquet.

    Rates are of the steady state: each job also drains a quarter, and the start cancels out. A
    ratio is the median of those of each run with the bare job's beside it; that of CPU time, of
    the TaskManager and its workers, tells the jobs apart where other work goes on beside them.
    """
    from compose.bench_load import Load  # noqa: PLC0415 - edge must do without Flink
    from compose.bench_stream import measure  # noqa: PLC0415

    load = Load(readings, devices, hz, alarming)
    # Peers are asked what the alerts job is asked.
    asked = {*jobs, "alerts"} if peers else set(jobs)
    figures = measure(state, load, runs, backend, asked, peers=peers)
    _print(figures, as_json=as_json)


@bench.command()
@click.option("--readings", default=1_200_000, show_default=True, help="Of either fleet.")
@click.option("--few", default=1000, show_default=True, help="Sensors of the one.")
@click.option(
    "--many", default=120_000, show_default=True, help="Of the other; 10 or 120 times as many."
)
@click.option("--hz", default=0.1, show_default=True, help="Readings a second of one of the few.")
@_backend(show_default="as jobs submit chooses for so many")
@click.option("--runs", default=1, show_default=True, help="Of each fleet, in turn.")
@_json_option
@state_option
def scale(
    readings: int,
    few: int,
    many: int,
    hz: float,
    backend: str | None,
    runs: int,
    state: Path,
    *,
    as_json: bool,
) -> None:
    """Drain readings of few sensors and of many, equally many.

    With the alerts job, on the local stack. The many report so much more rarely, and their panes
    are so much longer, that readings, panes and windows are as many. Each job is started as
    `jobs submit` would start it for so many sensors. Rates are of windows: one for each pane.
    """
    from compose.bench_load import Load  # noqa: PLC0415 - edge must do without Flink
    from compose.bench_scale import measure  # noqa: PLC0415

    _print(measure(state, Load(readings, few, hz), many, runs, backend), as_json=as_json)


@bench.command()
@click.option(
    "--runs", type=click.IntRange(1), default=3, show_default=True, help="Of each, in turn."
)
@click.option(
    "--days",
    type=click.IntRange(1),
    default=7,
    show_default=True,
    help="How long the machine reports that does so every 10 s.",
)
@_json_option
def rules(runs: int, days: int, *, as_json: bool) -> None:
    """Run the pack `generic` over CSV as `rules test` does.

    On one core, and in CPU time. The shipped NAB series, most of them a reading every 5 minutes,
    and a pump that reports every 10 s. A ratio is readings/s over those of plain Python that reads
    the same files and keeps the rolling mean of an hour; it is the median of each run's.
    """
    from compose.bench_rules import measure  # noqa: PLC0415 - edge must do without rules

    _print(measure(runs, days), as_json=as_json)


@bench.command()
@click.option("--pack", "asked", multiple=True, help="One to measure; all, or may be repeated.")
@click.option("--machines", type=click.IntRange(1), default=100, show_default=True)
@click.option(
    "--days", type=click.IntRange(4), default=4, show_default=True,
    help="How long they report; a multiple of 4.",
)  # fmt: skip
@_backend_option
@_json_option
@state_option
def packs(
    asked: tuple[str, ...],
    machines: int,
    days: int,
    backend: str,
    state: Path,
    *,
    as_json: bool,
) -> None:
    """Drain a topic with the alerts job under each shipped pack.

    It holds what machines report. On the local stack, one pack after the other. Windows and alerts
    must be as many as the engine alone makes of the same readings; its CPU time for a pane stands
    beside the job's. A start cancels out, as a quarter is drained, too.
    """
    from compose.bench_packs import measure  # noqa: PLC0415 - edge must do without Flink
    from stream.rules import packs as shipped  # noqa: PLC0415

    unknown = sorted(set(asked) - set(shipped()))
    if unknown:
        raise click.UsageError(f"no pack {unknown[0]!r}; there are {', '.join(shipped())}")
    if days % 4:
        raise click.UsageError(f"--days {days} is no multiple of 4")
    _print(measure(state, asked or shipped(), machines, days, backend), as_json=as_json)
