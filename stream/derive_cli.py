"""`tidegate rules derive` and `suggest`: what derived metrics come to, and limits for metrics."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from math import exp, sqrt
from pathlib import Path
from typing import NamedTuple

import click

from schemas.failure import Failure
from stream.backtest import derived
from stream.cmapss import read_remaining
from stream.data_options import Data, DurationText, data_options
from stream.expressions import Expression
from stream.globs import matches
from stream.models import T2Q
from stream.panes import PaneRow
from stream.rule import Derived, Rules
from stream.rules import load_rules
from stream.suggest import Wanted, proposed

_CAP = 125.0
"""Where the published figures of C-MAPSS cut off the truth, if they do."""

# Of what waits as the job stores it, measured with times of today.
_INPUT_BYTES = 50
_METRIC_BYTES = 70


class Errors(NamedTuple):
    """How the last value of each device meets its true remaining life, in steps.

    ``rmse_capped`` takes the truth as at most 125; ``phm_score`` is that of the PHM 2008 challenge,
    which counts a late warning more than an early one.
    """

    devices: int
    rmse: float
    rmse_capped: float
    phm_score: float


@click.command()
@click.argument("rules")
@data_options
@click.option("--metric", help="Only this derived metric.")
@click.option("--last", is_flag=True, help="Only the last value of each device.")
@click.option(
    "--truth",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="True remaining lives at the end of the data, a number a line by device: say how far the "
    "last values are from them instead.",
)
@click.option("--json", "as_json", is_flag=True, help="With --truth: one JSON object.")
def derive(
    rules: str,
    data: Path,
    form: str,
    device: tuple[str, ...],
    metric: str | None,
    truth: Path | None,
    *,
    last: bool,
    as_json: bool,
) -> None:
    """Print the derived metrics of RULES over recorded series.

    Lines are timestamp,device,metric,value. Values come from the job's own engine; a time is the
    end of the pane, in ms.
    """
    loaded = load_rules(rules)
    names = sorted({each.metric for each in loaded.derived})
    if not names or metric not in (None, *names):
        known = ", ".join(names) or "none"
        raise Failure(f"{rules}: derives no metric{f' {metric}' if metric else ''}; it has {known}")
    rows = derived(loaded, Data(data, form, device).read())
    found = [row for row in rows if metric in (None, row.metric)]
    if truth is not None:
        click.echo(_told(_against(found, read_remaining(truth)), as_json=as_json))
        return
    if last:
        found = list({(row.device_id, row.metric): row for row in found}.values())
    click.echo(_table(found), nl=False)


@click.command()
@data_options
@click.option(
    "--quantile",
    "share",
    type=click.FloatRange(0.5, 1, max_open=True),
    default=0.999,
    show_default=True,
    help="Share of the windows that is within each limit.",
)
@click.option("--size", type=DurationText(), default="1h", show_default=True, help="Of windows.")
@click.option("--slide", type=DurationText(), default="15m", show_default=True)
def suggest(
    data: Path, form: str, device: tuple[str, ...], share: float, size: str, slide: str
) -> None:
    """Propose limits for every metric from data of a healthy period.

    Prints a rule file; each rule says how many alerts a week the data themselves would raise.
    """
    series = Data(data, form, device).read()
    click.echo(proposed(series, Wanted(share, size, slide), data.name), nl=False)


def made_of(each: Derived, rules: Rules) -> str:
    """Say what a derived metric is, for `rules check`."""
    match each.formula:
        case Expression():
            formula = each.formula.text
        case T2Q():
            formula = f"T² and Q of {len(each.inputs)} metrics, {len(each.formula.components)} kept"
        case model:
            formula = f"remaining life of {len(each.inputs)} metrics, at most {model.cap:g}"
    unit = f" {each.unit}" if each.unit else ""
    used = [rule.name for rule in rules.rules if matches(rule.match.metric, each.metric)]
    used += [user.metric for user in rules.derived if each.metric in user.inputs]
    return (
        f"{each.metric} = {formula}{unit}, of {', '.join(each.inputs)}; every "
        f"{each.pane_ms // 1000} s; for {', '.join(used) or 'no rule'}; at most "
        f"{len(each.inputs) * _INPUT_BYTES + _METRIC_BYTES} bytes a device"
    )


def _table(rows: Iterable[PaneRow]) -> str:
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(["timestamp", "device", "metric", "value"])
    for row in rows:
        table.writerow([row.pane.pane_end, row.device_id, row.metric, f"{row.pane.mean:.12g}"])
    return out.getvalue()


def _against(rows: Sequence[PaneRow], truth: Sequence[float]) -> Errors:
    metrics = {row.metric for row in rows}
    last = {row.device_id: row.pane.mean for row in rows}
    if len(metrics) > 1:
        raise Failure(f"--truth is of one metric, so choose one: --metric {' | '.join(metrics)}")
    if len(last) != len(truth) or not truth:
        raise Failure(f"--truth holds {len(truth)} numbers, and {len(last)} devices have a value")
    pairs = [(last[device], real) for device, real in zip(sorted(last), truth, strict=True)]
    off = [told - real for told, real in pairs]
    capped = [told - min(real, _CAP) for told, real in pairs]
    return Errors(
        len(pairs),
        sqrt(sum(each * each for each in off) / len(off)),
        sqrt(sum(each * each for each in capped) / len(capped)),
        sum(exp(-each / 13) - 1 if each < 0 else exp(each / 10) - 1 for each in off),
    )


def _told(errors: Errors, *, as_json: bool) -> str:
    if as_json:
        return json.dumps(errors._asdict())
    return (
        f"RMSE {errors.rmse:.2f} over {errors.devices} devices (truth taken as at most {_CAP:g}: "
        f"{errors.rmse_capped:.2f}); PHM score {errors.phm_score:.0f}"
    )
