"""`tidegate jobs backfill`: a period computed again from the lake."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import click

from compose.backfill import backfill
from compose.backfill_books import Books, Request
from compose.intents import named, read_intent
from compose.local.endpoints import read
from compose.options import Duration, Time, prefix_option, state_option
from compose.submissions import argument
from schemas.failure import Failure
from simulators.clock import stamp
from stream.rules import load_rules

_SHOWN = 5


@click.command("backfill")
@click.option("--from", "from_ms", type=Time(), required=True, help="The period's first moment.")
@click.option("--to", "to_ms", type=Time(), required=True, help="Its end, no longer part of it.")
@click.option("--device", help="Only this device.")
@click.option("--site", help="Only this site.")
@click.option(
    "--rules",
    help="A rule file or a pack's name; what the alerts job was submitted with unless said.",
)
@click.option(
    "--run-in",
    "run_in_ms",
    type=Duration(),
    help="How long baselines learn before the period; from the lake's first reading unless said.",
)
@click.option(
    "--wait",
    "wait_ms",
    type=Duration(),
    default="2m",
    show_default=True,
    help="How long to wait for the lake job's files and the alerts job's commit.",
)
@prefix_option
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and send nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@state_option
def backfill_(
    from_ms: int,
    to_ms: int,
    device: str | None,
    site: str | None,
    rules: str | None,
    run_in_ms: int | None,
    wait_ms: int,
    prefix: str,
    state: Path,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Compute a period again, and send what late readings changed.

    Its readings come from the lake. Windows go out under the keys they have, alerts as CORRECTED
    records, all in one transaction. What is as it should be is not sent again, so a second run
    sends nothing.
    """
    if from_ms >= to_ms:
        raise click.UsageError(
            f"--from {stamp(from_ms)} is not before --to {stamp(to_ms)}: the period is empty"
        )
    submitted = _submitted(state, prefix)
    request = Request(
        from_ms=from_ms,
        to_ms=to_ms,
        rules=load_rules(rules or argument(submitted, "rules") or "generic"),
        device=device,
        site=site,
        prefix=prefix,
        run_in_ms=run_in_ms,
        wait_ms=wait_ms,
        dry_run=dry_run,
        panes=argument(submitted, "panes"),
        after=None if rules else int(argument(submitted, "rules-after") or 0),
    )
    books = backfill(read(state), request)
    if as_json:
        period = {"from": stamp(from_ms), "to": stamp(to_ms), "dry_run": dry_run}
        click.echo(json.dumps(period | asdict(books)))
    else:
        click.echo("\n".join(_lines(request, books)))
    if books.left:
        raise Failure(
            f"left as they are, {len(books.left)} of {books.devices} devices: {_some(books.left)}"
        )


def _submitted(state: Path, prefix: str) -> list[str]:
    """Return the words that the alerts job runs with, or ran last."""
    intent = read_intent(state, named("alerts", prefix).name)
    return [] if intent is None else intent.argv


def _lines(request: Request, books: Books) -> list[str]:
    read_ = (
        f"{books.devices} devices, {books.readings} readings of the period and "
        f"{books.run_in_readings} before it, {books.panes} panes"
    )
    lines = [
        f"period    {stamp(request.from_ms)} to {stamp(request.to_ms)}",
        f"run-in    from {books.run_in_from}: {books.run_in_why}",
        f"read      {read_}",
        f"windows   {_listed(books.windows, ('changed', 'new', 'withdrawn', 'unchanged'))}",
        f"alerts    {_listed(books.alerts, ('corrected', 'new', 'withdrawn', 'unchanged'))}",
        f"{'would be' if request.dry_run else 'sent'}".ljust(10)
        + f"{books.sent} records{' sent; this is a dry run' if request.dry_run else ''}",
    ]
    notes = {
        "windows that the job has still to give out": books.windows.get("ahead", 0),
        "alerts that differ and are not over; run this again when they are": books.alerts.get(
            "open", 0
        ),
        "alerts of another version of their rule, left as they are": books.alerts.get("left", 0),
    }
    lines += [f"note      {what}: {count}" for what, count in notes.items() if count]
    if books.unknown:
        lines.append(f"note      nothing told yet by the job, and left: {_some(books.unknown)}")
    if books.short_baselines:
        lines.append(
            "note      baselines that reach further back than the run-in, so that what they raise "
            f"may differ: {_some(books.short_baselines)}"
        )
    lines += [
        f"note      {topic} no longer goes back to the period: what it has lost counts as new"
        for topic in books.aged_out
    ]
    return lines


def _listed(counts: Mapping[str, int], names: Sequence[str]) -> str:
    return ", ".join(f"{counts.get(name, 0)} {name}" for name in names)


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
