"""`tidegate rules test`: rules over recorded series, by the job's own engine."""

import json
from collections.abc import Mapping, Sequence
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
from compose.recorded_fleet import fleet_of, fleet_option
from compose.rules_plots import write_plots
from schemas.amounts import told_at
from schemas.records import Alert
from stream.backtest import Scores, rate, run
from stream.data_options import Data, devices_option, format_option, of_devices
from stream.globs import is_glob
from stream.lives import Lead, leads
from stream.plots import Marks, marker
from stream.recorded import ALL, Series, Spans, Wanted, read_labels
from stream.rules import load_rules


@click.command()
@click.argument("rules")
@data_option
@lake_option
@site_option
@devices_option
@fleet_option
@format_option
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
@click.option(
    "--run-to-failure",
    is_flag=True,
    help="Each device's data end with its failure: say how long before it every rule fired.",
)
@state_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object with alerts and scores.")
def test(
    rules: str, data: Path | None, site: str | None, device: tuple[str, ...],
    fleet_file: Path | None, form: str, from_ms: int | None, to_ms: int | None,
    labels: Path | None, plot: Path | None, state: Path, *, lake: bool, run_to_failure: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Run RULES over recorded series with the job's own engine."""
    loaded = load_rules(rules)
    windows = None if labels is None else read_labels(labels)
    series = _series(data, Wanted(from_ms, to_ms, site), device, form, state, lake=lake)
    marks: Marks = {}
    fleet = fleet_of(fleet_file, loaded, state, lake=lake)
    alerts = run(loaded, series, None if plot is None else marker(marks), fleet)
    if plot is not None:
        index = write_plots(plot, loaded, series, marks, alerts, windows or {})
        click.echo(f"drawn: {index}", err=True)
    scores = None if windows is None else _rated(series, alerts, windows)
    met = leads(series, alerts, [rule.name for rule in loaded.every]) if run_to_failure else {}
    if as_json:
        scored = {} if scores is None else scores._asdict()
        told = {"alerts": msgspec.to_builtins(alerts), "scores": scored}
        if run_to_failure:
            told["leads"] = {rule: lead._asdict() for rule, lead in met.items()}
        click.echo(json.dumps(told))
        return
    for alert in alerts:
        click.echo(_line(alert))
    if not alerts:
        readings = sum(len(each.points) for each in series)
        click.echo(f"no alert in {readings} readings of {len(series)} series", err=True)
    if scores is not None:
        click.echo(_summary(scores))
    for rule, lead in met.items():
        click.echo(_lead(rule, lead))


def _series(
    data: Path | None, wanted: Wanted, devices: tuple[str, ...], form: str, state: Path, *,
    lake: bool,
) -> list[Series]:  # fmt: skip
    """Read what is asked for; one device by its name is chosen as the data are read."""
    if form != "csv":
        if data is None or lake or wanted != ALL:
            raise click.UsageError(f"--format {form} goes with --data and --device alone")
        return Data(data, form, devices).read()
    if len(devices) == 1 and not is_glob(devices[0]):
        return recorded(data, wanted._replace(device=devices[0]), state, lake=lake)
    found = recorded(data, wanted, state, lake=lake)
    return of_devices(found, devices, "the lake" if data is None else str(data))


def _lead(rule: str, lead: Lead) -> str:
    def hours(ms: float | None) -> str:
        return "-" if ms is None else f"{ms / 3_600_000:.4g}"

    if not lead.alerted:
        return f"{rule}: 0 of {lead.devices} failures"
    return (
        f"{rule}: {lead.alerted} of {lead.devices} failures, {lead.onsets_per_device:.2f} alerts a "
        f"device; the first one {hours(lead.lead_median_ms)} h before the last reading (median; "
        f"{hours(lead.lead_p10_ms)} to {hours(lead.lead_p90_ms)} h for eight in ten)"
    )


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
    at = told_at(alert.window_end)
    kind = alert.comparator.partition(" ")[0]
    said = "z" if kind == "zscore" else kind.replace("_", " ")
    score = "" if alert.score is None else f" ({said} {alert.score:+.2f})"
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
