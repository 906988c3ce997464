"""`tidegate simulate`: stand in for sensors."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import click

from schemas.failure import BadConfig
from simulators.clock import iso, start_time
from simulators.faults import Sigma
from simulators.fleet import fleet_messages, pump_name, scenarios
from simulators.machine_options import (
    Asked,
    Machines,
    Script,
    fleet_of,
    machine_options,
    one_of_both,
    scenario_options,
    script_options,
    staging_of,
)
from simulators.message import Message, merged
from simulators.nab import SERIES, load, nab_messages
from simulators.options import CLOSING, START, days_option, playing_options
from simulators.play import Playing, play
from simulators.scenario_cli import list_scenarios, write
from simulators.series import Series, closed, read_csv, series_messages, shifted, span_ms
from simulators.stage import staged_messages

_METRIC = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@click.group()
def simulate() -> None:
    """Stand in for sensors: replay recorded series, run a fleet of pumps or a scenario.

    Messages go to the MQTT broker at QoS 1 and are sent again until they are really taken.
    """


@simulate.command()
@click.argument("names", nargs=-1, metavar="[SERIES]...")
@click.option(
    "--data",
    "files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A CSV file of your own with the columns timestamp,value; the device gets its name.",
)
@click.option("--metric", default="value", show_default=True, help="Of the --data files.")
@click.option("--unit", help="Of the --data files.")
@days_option(help="Cut so long after --start.")
@CLOSING
@playing_options
def replay(
    *,
    names: tuple[str, ...],
    files: tuple[Path, ...],
    metric: str,
    unit: str | None,
    days: float | None,
    closing_ms: int,
    how: Playing,
) -> None:
    """Play CSV series in event-time order.

    Without SERIES or --data they are the seven of NAB. Each series moves by whole weeks, so that
    its first reading falls into the week that begins at --start: weekday and hour stay what they
    were.
    """
    if _METRIC.fullmatch(metric) is None:
        raise BadConfig(f"--metric {metric!r}: use 1 to 64 of the characters A-Z a-z 0-9 _ . -")
    shipped = names or (() if files else tuple(SERIES))
    series = [load(name) for name in dict.fromkeys(shipped)]
    series += [read_csv(file, device=file.stem, metric=metric, unit=unit) for file in files]
    _refuse_twins(series)

    def generate(site: str, start_ms: int) -> Iterator[Message]:
        placed = (closed(shifted(each, start_ms, days), closing_ms) for each in series)
        return merged(*(series_messages(each, site) for each in placed))

    play(how, generate, span_ms(series, days, closing_ms))


def _refuse_twins(series: list[Series]) -> None:
    devices = [each.device for each in series]
    twins = {device for device in devices if devices.count(device) > 1}
    if twins:
        raise BadConfig(f"two series would be the device {min(twins)!r}; rename a file")


@simulate.command()
@script_options
@scenario_options(required=False)
@machine_options
@click.option("--with-nab", is_flag=True, help="Also the seven NAB series, on the same clock.")
@playing_options
def run(*, machines: Machines, script: Script, asked: Asked, with_nab: bool, how: Playing) -> None:
    """Run a fleet of pumps, some of which fail, or a scenario.

    See `faults` for which do, and how. Equal options and an equal --start and --site give the same
    bytes.
    """
    if one_of_both(script, asked):
        staging = staging_of(machines, asked)
        fleet = staging.fleet
    else:
        staging, fleet = None, fleet_of(machines, script)
        scenarios(fleet)  # bad options fail here, not in the middle
    span = fleet.span_ms
    if with_nab:
        series = [load(name) for name in SERIES]
        span = max(span, span_ms(series, fleet.days, fleet.closing_ms))

    def generate(site: str, start_ms: int) -> Iterator[Message]:
        if staging is None:
            pumps = fleet_messages(site, start_ms=start_ms, fleet=fleet)
        else:
            pumps = staged_messages(site, start_ms=start_ms, staging=staging)
        if not with_nab:
            return pumps
        closing_ms = fleet.closing_ms
        nab = nab_messages(site, start_ms=start_ms, days=fleet.days, closing_ms=closing_ms)
        return merged(nab, pumps)

    play(how, generate, span)


@simulate.command("faults")
@script_options
@machine_options
@START
@click.option("--json", "as_json", is_flag=True, help="A line of JSON per fault.")
def list_faults(*, machines: Machines, script: Script, start: str | None, as_json: bool) -> None:
    """List what `run` scripts to fail: pump, fault, when, how far.

    How far is in sigma of a healthy one.
    """
    fleet = fleet_of(machines, script)
    now_ms = time.time_ns() // 1_000_000
    start_ms = start_time(start, now_ms=now_ms, span_ms=fleet.span_ms)
    told = [fault.told(pump_name(fault.pump), start_ms) for fault in scenarios(fleet)]
    if as_json:
        for each in told:
            click.echo(json.dumps(each))
        return
    row = "{:9} {:13} {:21} {:21} {:21} {:9} {:>12} {:>14} {:>10}"
    click.echo(row.format("pump", "fault", "onset", "worst", "end", "", *Sigma._fields))
    for each in told:
        times = (iso(each[key]) for key in ("onset_ms", "worst_ms", "end_ms"))
        sizes = (f"{size:+g} sigma" for size in each["sigma"].values())
        click.echo(row.format(each["pump"], each["fault"], *times, each["ends"], *sizes))


for _command in (list_scenarios, write):
    simulate.add_command(_command)
