"""`tidegate alerts explain`: the story of one alert, and the readings that led to it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import msgspec

from compose.alert_records import alert_records, data_option
from compose.listing import aligned
from compose.options import prefix_option, state_option
from compose.recorded import lake_option, recorded
from compose.recorded_fleet import fleet_of, fleet_option
from schemas.failure import Failure
from schemas.records import Alert
from stream.alert_story import leading_panes, led_to, records_of, story
from stream.backtest import run
from stream.panes import Pane
from stream.recorded import Series, Wanted
from stream.standing import DEVICE_METRIC
from stream.why_not import Seen, asks, at_ms, spans, watcher


@click.command()
@click.argument("alert_id")
@data_option
@click.option(
    "--readings",
    type=click.Path(exists=True, path_type=Path),
    help="CSV or Parquet as `rules test --data` takes it: the readings that led to the alert.",
)
@lake_option
@fleet_option
@click.option(
    "--rules",
    help="The rule file or pack: its rule is replayed over the readings, to show what it compared.",
)
@prefix_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@state_option
def explain(
    alert_id: str, data: Path | None, readings: Path | None, fleet_file: Path | None,
    rules: str | None, prefix: str, state: Path, *, lake: bool, as_json: bool,
) -> None:  # fmt: skip
    """Tell an alert's life, and why it fired when it did.

    What was compared with what is shown. ALERT_ID may be its first six characters. Its records come
    from the alerts topic, or --data.
    """
    if rules and not (lake or readings):
        raise click.UsageError("--rules replays readings: name them with --readings or --lake")
    own = records_of(alert_records(data, prefix, state), alert_id)
    series = _series(own[0], readings, state, lake=lake, whole=rules is not None)
    made = leading_panes(series, own[0]) if series else []
    looks, told = (
        ([], "") if rules is None else _replayed(rules, series, own, fleet_file, state, lake=lake)
    )
    if as_json:
        click.echo(
            msgspec.json.encode(
                {
                    "records": own,
                    "panes": [msgspec.structs.asdict(each) for each in made],
                    "windows": [each._asdict() for each in looks],
                }
            )
        )
        return
    for line in (*story(own), *_panes(made, own[0]), *_looks(looks, told)):
        click.echo(line)


def _series(
    first: Alert, readings: Path | None, state: Path, *, lake: bool, whole: bool
) -> list[Series]:
    """Return the readings of the alert's device: those that led to it, or all for a replay."""
    if readings is None and not lake:
        return []
    if first.metric == DEVICE_METRIC:
        raise Failure(
            f"{first.rule} looks at alerts of {first.device_id}, not at readings; explain those "
            "that stood when it fired, or leave out --readings and --lake"
        )
    span = led_to(first)
    wanted = Wanted(device=first.device_id)
    if not whole:
        wanted = Wanted(span.start, span.end, device=first.device_id)
    return recorded(readings, wanted, state, lake=lake)


def _replayed(
    rules: str, series: Sequence[Series], own: Sequence[Alert], fleet_file: Path | None,
    state: Path, *, lake: bool,
) -> tuple[list[Seen], str]:  # fmt: skip
    """Return what the alert's rule saw from before the alert to its newest record."""
    from stream.rules import load_rules  # noqa: PLC0415 - `alerts` runs without YAML

    loaded, first = load_rules(rules), own[0]
    rule = next((each for each in loaded.rules if each.name == first.rule), None)
    if rule is None:
        names = ", ".join(each.name for each in loaded.rules)
        raise Failure(
            f"{rules}: has no rule {first.rule!r}, which raised the alert; it has {names}"
        )
    looks: list[Seen] = []
    fleet = fleet_of(fleet_file, loaded, state, lake=lake)
    run(loaded, series, watcher(looks, metric=first.metric), fleet)
    start, end = led_to(first).start, own[-1].emitted_at
    shown = [x for x in looks if x.rule == rule.name and start <= x.window_end <= end]
    return shown, f"{rule.name} now: {asks(rule)}"


def _panes(made: Sequence[Pane], first: Alert) -> Iterator[str]:
    if not made:
        return
    span = led_to(first)
    yield ""
    yield f"The readings that led to it, {at_ms(span.start)} to {at_ms(span.end)} UTC:"
    rows = [
        (
            at_ms(p.pane_start), p.n, f"{p.lo:.6g}", f"{p.mean:.6g}", f"{p.hi:.6g}", p.bad,
            "in the window that fired" if p.pane_start >= first.window_start else "",
        )
        for p in made
    ]  # fmt: skip
    yield from aligned(("from", "readings", "least", "mean", "most", "bad", ""), rows)


def _looks(looks: Sequence[Seen], told: str) -> Iterator[str]:
    if not told:
        return
    yield ""
    yield told
    if not looks:
        yield "it compares nothing of that time; `tidegate rules why-not` says why"
        return
    rows = [
        (at_ms(s.first.window_end), at_ms(s.last.window_end), s.windows, s.seen.told)
        for s in spans(looks)
    ]
    yield from aligned(("first end", "last end", "windows", "what was compared"), rows)
