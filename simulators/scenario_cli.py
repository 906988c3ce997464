"""`tidegate simulate scenarios` and `write`: what there is, and its readings as files."""

import json
import time
from pathlib import Path
from typing import Any

import click

from simulators.clock import HOUR_MS, stamp, start_time
from simulators.machine_options import (
    NAMES,
    Asked,
    Machines,
    machine_options,
    scenario_options,
    staging_of,
)
from simulators.message import checked_site
from simulators.recording import write_csv, write_labels
from simulators.scenario import SCENARIOS, Scenario
from simulators.stage import staged_messages
from simulators.staging import Truth, labels_of, truths


@click.command("scenarios")
@NAMES
@click.option("--json", "as_json", is_flag=True, help="A line of JSON per scenario.")
def list_scenarios(*, names: tuple[str, ...], as_json: bool) -> None:
    """List the scenarios: what happens, and what should fire.

    And by when, and what must not fire. Sizes, times and bounds are those without --size, --onset,
    --duration and --interval.
    """
    for name in names or tuple(SCENARIOS):
        told = _told(name, SCENARIOS[name])
        click.echo(json.dumps(told) if as_json else _listed(told))


@click.command()
@scenario_options(required=True)
@machine_options
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The CSV file: timestamp,device,metric,value. Replaced.",
)
@click.option(
    "--labels",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The labels, as `rules test --labels` takes them. Replaced. Default: OUT.labels.json.",
)
@click.option(
    "--start",
    default="2026-01-05",
    show_default=True,
    metavar="TIME",
    help="Where the simulated clock starts: an ISO 8601 time, UTC unless it says otherwise.",
)
@click.option(
    "--site",
    default="sim",
    show_default=True,
    metavar="PREFIX",
    help="First part of every device id.",
)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON, with the truth by device.")
def write(
    *,
    asked: Asked,
    machines: Machines,
    out: Path,
    labels: Path | None,
    start: str,
    site: str,
    as_json: bool,
) -> None:
    """Write a scenario's readings and labels to files.

    Nothing is sent, and no server is needed. They are those that `run` sends with the same options,
    --start and --site, in order of arrival.
    """
    staging = staging_of(machines, asked)
    now_ms = time.time_ns() // 1_000_000
    start_ms = start_time(start, now_ms=now_ms, span_ms=staging.fleet.span_ms)
    beside = labels or out.with_name(out.name + ".labels.json")
    if beside.resolve() == out.resolve():
        raise click.UsageError("--labels and --out must be two files")
    truth = truths(staging, checked_site(site), start_ms)
    written = write_csv(staged_messages(site, start_ms=start_ms, staging=staging), out)
    write_labels(labels_of(truth), beside)
    if as_json:
        told = [_true(each) for each in truth]
        click.echo(
            json.dumps({"readings": written, "out": str(out), "labels": str(beside), "truth": told})
        )
        return
    click.echo(f"{written} readings in {out}, labels in {beside}")
    for each in truth:
        click.echo(_due(each))


def _told(name: str, of: Scenario) -> dict[str, Any]:
    ramp, lasts = round(of.ramp_h * HOUR_MS), round(of.duration_h * HOUR_MS)
    fires = [
        {
            "metric": each.metric,
            "categories": each.categories,
            "severity": each.severity,
            "within_h": each.within_ms(ramp, lasts, of.interval_ms) / HOUR_MS,
            "most_per_rule": each.most,
        }
        for each in of.expected
    ]
    return {
        "scenario": name,
        "about": of.about,
        "size_sigma": of.size,
        "shift_sigma": of.offsets(of.size)._asdict(),
        "onset_h": [of.onset_h, of.onset_h + of.spread_h] if of.faulty else None,
        "worst_after_h": of.ramp_h,
        "duration_h": of.duration_h if of.faulty else None,
        "interval_s": of.interval_ms / 1000,
        "fires": fires,
        "found_by": dict(of.found_by),
        "quiet": of.quiet(of.size),
    }


def _listed(told: dict[str, Any]) -> str:
    lines = [f"{told['scenario']}: {told['about']}"]
    if told["onset_h"]:
        first, last = told["onset_h"]
        size = f", {told['size_sigma']:g} sigma" if told["size_sigma"] else ""
        lines.append(
            f"  sets in {first:g} to {last:g} h after the start, is at its worst "
            f"{told['worst_after_h']:g} h later, lasts {told['duration_h']:g} h{size}"
        )
    for each in told["fires"]:
        most = each["most_per_rule"]
        lines.append(
            f"  fires: {each['metric']} {' or '.join(each['categories'])}, {each['severity']} or "
            f"worse, within {each['within_h']:g} h of the onset"
            + (f", at most {most} time(s) by a rule" if most else "")
        )
    packs = (
        f"{pack} from {least:g} sigma" if least else pack
        for pack, least in told["found_by"].items()
    )
    if not told["fires"]:
        lines.append("  fires: nothing")
    else:
        quiet = ", ".join(told["quiet"])
        lines.append(f"  found by the packs: {', '.join(packs)}")
        lines.append(f"  must not fire: anything before the onset, anything else on {quiet}")
    return "\n".join(lines)


def _true(each: Truth) -> dict[str, Any]:
    at = each.placed
    return {
        "device_id": each.device_id,
        "scenario": each.scenario,
        "placed": at._asdict() if at else None,
        "window": each.window,
        "sigma": each.sigma._asdict(),
        "fires": [due._asdict() for due in each.due],
        "quiet": each.quiet,
    }


def _due(each: Truth) -> str:
    at = f" from {stamp(each.placed.onset_ms)}" if each.placed else ""
    size = max(map(abs, each.sigma))
    at = f" of {size:g} sigma{at}" if size else at
    fires = (
        f"{due.metric} {' or '.join(due.categories)} by {stamp(due.by_ms)}" for due in each.due
    )
    return f"{each.device_id}: {each.scenario}{at}; fires: {', '.join(fires) or 'nothing'}"
