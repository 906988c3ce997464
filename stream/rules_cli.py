"""`tidegate rules`: check rule files and try them on recorded data."""

import json
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from schemas.records import Alert
from stream.backtest import Scores, rate, read_labels, read_series, run
from stream.conditions import When
from stream.pane_sizes import pane_ms, pane_sizes
from stream.rule import Rule, Rules
from stream.rules import load_rules
from stream.rules import packs as shipped
from stream.sensor_told import told

_rules = click.argument("rules")


@click.group()
def rules() -> None:
    """Check rule files and try them on recorded data.

    RULES is a YAML file or the name of a shipped pack.
    """


@rules.command()
@_rules
def check(rules: str) -> None:
    """Say what is wrong with RULES, or what they cost."""
    loaded = load_rules(rules)
    for rule in loaded.rules:
        click.echo(_cost(rule, loaded))
    click.echo(f"panes: {pane_sizes(loaded)}")


@rules.command()
def packs() -> None:
    """List the shipped packs."""
    for name in shipped():
        click.echo(name)


@rules.command()
@_rules
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, path_type=Path),
    help="A CSV file or a folder of them: timestamp, then a column for each metric; or "
    "timestamp,device,metric,value.",
)
@click.option(
    "--labels",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help='JSON: {"file.csv": [["first time", "last time"], …], …}.',
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object with alerts and scores.")
def test(rules: str, data: Path, labels: Path | None, *, as_json: bool) -> None:
    """Run RULES over recorded series with the job's own engine."""
    loaded = load_rules(rules)
    windows = None if labels is None else read_labels(labels)
    series = read_series(data)
    alerts = run(loaded, series)
    scores = None if windows is None else rate(series, alerts, windows)
    if as_json:
        scored = {} if scores is None else scores._asdict()
        click.echo(json.dumps({"alerts": msgspec.to_builtins(alerts), "scores": scored}))
        return
    for alert in alerts:
        click.echo(_line(alert))
    if scores is not None:
        click.echo(_summary(scores))


def _cost(rule: Rule, loaded: Rules) -> str:
    size = pane_ms(loaded)
    pane = min(map(size, rule.match.metric))
    window = rule.window
    if rule.check is not None:
        return f"{told(rule)}; each pane of {pane // 1000} s{_condition(rule.when)}"
    panes = max(window.size_ms, window.grow_to_ms) // pane
    return (
        f"{rule.name}: {', '.join(rule.match.metric)}; window {window.size_ms // 1000} s every "
        f"{window.slide_ms // 1000} s; at most {panes} panes of {pane // 1000} s, "
        f"{panes * _PANE_BYTES + _RULE_BYTES} bytes a series{_condition(rule.when)}"
    )


def _condition(when: When | None) -> str:
    if when is None:
        return ""
    if when.op is None:
        return f"; of devices without {when.metric}"
    held = f" for {when.held_ms // 1000} s" if when.held_ms else ""
    return f"; while {when.metric} {when.op} {when.value:g}{held}"


# Of a pane and of a rule's own memory as the job stores them, measured with times of today.
_PANE_BYTES = 150
_RULE_BYTES = 80


def _line(alert: Alert) -> str:
    at = datetime.fromtimestamp(alert.window_end / 1000, UTC).strftime("%Y-%m-%d %H:%M")
    score = "" if alert.score is None else f" (z {alert.score:+.2f})"
    return (
        f"{at}  {alert.event:11}  {alert.severity:8}  {alert.device_id} {alert.metric}  "
        f"{alert.rule}: {alert.value:.6g}{score}"
    )


def _summary(scores: Scores) -> str:
    def shown(number: float | None) -> str:
        return "-" if number is None else f"{number:.2f}"

    nab = ", ".join(f"{name} {shown(value)}" for name, value in scores.nab.items())
    return (
        f"NAB {nab}; event recall {shown(scores.event_recall)}, precision "
        f"{shown(scores.precision)}, {shown(scores.false_alerts_per_sensor_week)} false alerts per "
        "sensor and week"
    )
