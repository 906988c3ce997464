"""`tidegate rules test`: rules over recorded series, by the job's own engine."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from compose.options import state_option
from compose.recorded import (
    data_option,
    from_option,
    lake_option,
    recorded,
    site_option,
    to_option,
)
from compose.rules_plots import write_plots
from schemas.records import Alert
from stream.backtest import Scores, rate, run
from stream.plots import Marks, marker
from stream.recorded import Series, Spans, Wanted, read_labels
from stream.rules import load_rules


@click.command()
@click.argument("rules")
@data_option
@lake_option
@site_option
@click.option("--device", help="Only this device.")
@from_option
@to_option
@click.option(
    "--labels",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help='JSON: {"file.csv": [["first time", "last time"], …], …}; a name is a device\'s.',
)
@click.option(
    "--plot",
    type=click.Path(file_okay=False, path_type=Path),
    help="Draw each series with windows, limits, alerts and labels: pages of HTML in this folder.",
)
@state_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object with alerts and scores.")
def test(
    rules: str, data: Path | None, site: str | None, device: str | None, from_ms: int | None,
    to_ms: int | None, labels: Path | None, plot: Path | None, state: Path, *, lake: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Run RULES over recorded series with the job's own engine."""
    loaded = load_rules(rules)
    windows = None if labels is None else read_labels(labels)
    series = recorded(data, Wanted(from_ms, to_ms, site, device), state, lake=lake)
    marks: Marks = {}
    alerts = run(loaded, series, None if plot is None else marker(marks))
    if plot is not None:
        index = write_plots(plot, loaded, series, marks, alerts, windows or {})
        click.echo(f"drawn: {index}", err=True)
    scores = None if windows is None else _rated(series, alerts, windows)
    if as_json:
        scored = {} if scores is None else scores._asdict()
        click.echo(json.dumps({"alerts": msgspec.to_builtins(alerts), "scores": scored}))
        return
    for alert in alerts:
        click.echo(_line(alert))
    if scores is not None:
        click.echo(_summary(scores))


def _rated(
    series: Sequence[Series], alerts: Sequence[Alert], labels: Mapping[str, Spans]
) -> Scores:
    """Hold alerts against labels; say which labels are of no device of the data."""
    strange = sorted(set(labels) - {each.device_id for each in series})
    if strange:
        click.echo(
            f"warning: of the labels, {len(strange)} of {len(labels)} names are of no device of "
            f"the data: {', '.join(strange[:5])}{', …' if len(strange) > 5 else ''}",
            err=True,
        )
    return rate(series, alerts, labels)


def _line(alert: Alert) -> str:
    at = datetime.fromtimestamp(alert.window_end / 1000, UTC).strftime("%Y-%m-%d %H:%M")
    score = "" if alert.score is None else f" (z {alert.score:+.2f})"
    return (
        f"{at}  {alert.event:11}  {alert.severity:8}  {alert.device_id} {alert.metric}  "
        f"{alert.rule}: {alert.value:.6g}{score}"
    )


def _summary(scores: Scores) -> str:
    def told(number: float | None) -> str:
        return "-" if number is None else f"{number:.2f}"

    def hours(seconds: float | None) -> str:
        return "-" if seconds is None else f"{seconds / 3600:.1f} h"

    nab = ", ".join(f"{name} {told(value)}" for name, value in scores.nab.items())
    return (
        f"NAB {nab}; event recall {told(scores.event_recall)}, precision "
        f"{told(scores.precision)}, {told(scores.false_alerts_per_sensor_week)} false alerts per "
        f"sensor and week; of the labels met, median delay {hours(scores.median_delay_s)}, lead "
        f"{hours(scores.median_lead_s)}"
    )
