"""`tidegate rules why-not`: what each rule compared on one device, and why nothing came of it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import msgspec

from compose.listing import aligned
from compose.options import Time, state_option
from compose.recorded import data_option, lake_option, recorded
from compose.recorded_fleet import fleet_of, fleet_option
from schemas.config import nearest
from schemas.failure import Failure
from stream.backtest import run
from stream.fleet import Fleet
from stream.recorded import Series, Wanted
from stream.rule import Rules
from stream.rules import load_rules
from stream.why_not import Seen, asks, at_ms, mismatch, silence, spans, watcher

_MOST_SPANS = 40


@click.command("why-not")
@click.argument("rules")
@click.argument("device")
@data_option
@lake_option
@fleet_option
@click.option("--metric", help="Only this metric.")
@click.option("--at", type=Time(), help="Only the window that ends then, or the next one.")
@click.option("--from", "from_ms", type=Time(), help="Show nothing before; all is replayed.")
@click.option("--to", "to_ms", type=Time(), help="Replay nothing from then on.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a window and rule.")
@state_option
def why_not(
    rules: str, device: str, data: Path | None, fleet_file: Path | None, metric: str | None,
    at: int | None, from_ms: int | None, to_ms: int | None, state: Path, *, lake: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Replay DEVICE and say why nothing fired, window by window.

    What RULES compared is shown. Windows in a row with the same outcome are one line: the rule's
    condition is not met, too few readings, a baseline still learns, the score stays below its limit
    (the nearest is shown), a delay still runs, a cooldown. --at shows one window of each rule in
    full.
    """
    if from_ms is not None and to_ms is not None and from_ms >= to_ms:
        raise click.UsageError("--from must be before --to")
    loaded = load_rules(rules)
    series = recorded(data, Wanted(None, to_ms, None, device), state, lake=lake)
    known = [each.metric for each in series]
    if metric is not None and metric not in known:
        raise Failure(
            f"{device} has no metric {metric!r}{nearest(metric, known)}; it has {', '.join(known)}"
        )
    looks: list[Seen] = []
    fleet = fleet_of(fleet_file, loaded, state, lake=lake)
    run(loaded, series, watcher(looks, metric=metric), fleet)
    chosen = [each for each in looks if _shown(each, from_ms)]
    if as_json:
        for each in _first_from(chosen, at) if at is not None else chosen:
            click.echo(msgspec.json.encode(each._asdict()))
        return
    for one in series:
        if metric in (None, one.metric):
            for line in _told(loaded, fleet, one, chosen, set(known), at, from_ms):
                click.echo(line)


def _shown(each: Seen, from_ms: int | None) -> bool:
    return from_ms is None or each.window_end > from_ms


def _first_from(looks: Sequence[Seen], at: int) -> list[Seen]:
    """Return the first look of each rule and metric whose window ends then or later."""
    found: dict[tuple[str, str], Seen] = {}
    for each in looks:
        if each.window_end >= at:
            found.setdefault((each.rule, each.metric), each)
    return list(found.values())


def _told(
    rules: Rules,
    fleet: Fleet,
    one: Series,
    looks: Sequence[Seen],
    metrics: set[str],
    at: int | None,
    from_ms: int | None,
) -> Iterator[str]:
    span = f"{at_ms(one.points[0][0])} to {at_ms(one.points[-1][0])}" if one.points else "none"
    yield f"{one.device_id} {one.metric}: {len(one.points)} readings, {span} UTC"
    device = fleet.at(one.device_id, one.points[-1][0] if one.points else 0)
    for rule in rules.rules:
        strange = mismatch(rule, one.device_id, one.metric, one.site, device)
        if strange is not None:
            yield f"  {rule.name}: {strange}"
            continue
        own = [each for each in looks if (each.rule, each.metric) == (rule.name, one.metric)]
        yield f"  {rule.name}: {asks(rule)}"
        if from_ms is not None and one.points and from_ms > one.points[-1][0]:
            yield f"    no reading lies behind --from {at_ms(from_ms)}"
        elif not own:
            told = rule.when is not None and rule.when.metric in metrics
            yield f"    {silence(rule.when, told=told)}"
        elif at is not None:
            yield from _one_window(_first_from(own, at), at)
        else:
            yield from _spans(own)
    yield ""


def _one_window(found: Sequence[Seen], at: int) -> Iterator[str]:
    if not found:
        yield f"    no window ends at {at_ms(at)} or later"
    for each in found:
        yield (
            f"    window {at_ms(each.window_start)} to {at_ms(each.window_end)}: {each.readings} "
            f"readings, {each.phase}"
        )
        yield f"    {each.told}"


def _spans(own: Sequence[Seen]) -> Iterator[str]:
    found = list(spans(own))
    rows = []
    for each in found[-_MOST_SPANS:]:
        near = ""
        if each.seen.outcome == "below" and each.windows > 1:
            near = f"nearest at {at_ms(each.seen.window_end)}: "
        rows.append((at_ms(each.first.window_end), at_ms(each.last.window_end), each.windows,
                     each.seen.outcome, near + each.seen.told))  # fmt: skip
    if len(found) > len(rows):
        yield f"    … {len(found) - len(rows)} earlier lines; see them with --to or --json"
    for line in aligned(("first end", "last end", "windows", "outcome", "why"), rows):
        yield f"    {line}"
