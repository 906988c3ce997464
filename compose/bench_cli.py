"""`tidegate bench`: the hot paths, measured beside a baseline in the same run."""

import json
from pathlib import Path

import click

from compose.options import state_option
from gateway.bench.cli import edge


@click.group()
def bench() -> None:
    """Measure the hot paths."""


bench.add_command(edge)


@bench.command()
@click.option("--readings", default=2_000_000, show_default=True, help="How many to drain.")
@click.option("--devices", default=1000, show_default=True)
@click.option("--hz", default=10.0, show_default=True, help="Readings a second and device.")
@click.option("--runs", default=1, show_default=True, help="Of each job, in turn.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@state_option
def stream(
    readings: int, devices: int, hz: float, runs: int, state: Path, *, as_json: bool
) -> None:
    """Drain a topic with the jobs and with a bare HOP, on the local stack, which must be up."""
    from compose.bench_stream import Load, measure  # noqa: PLC0415 - edge must do without Flink

    figures = measure(state, Load(readings, devices, hz), runs)
    if as_json:
        click.echo(json.dumps(figures))
        return
    for name, figure in figures.items():
        click.echo(f"{name:22} {figure}")
