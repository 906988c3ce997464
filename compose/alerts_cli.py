"""`tidegate alerts`: follow the alerts topic, explain what is on it, and say what is to be done."""

from pathlib import Path

import click
import msgspec

from compose.alerts_explain import explain
from compose.alerts_kpi import kpi
from compose.alerts_operate import ack, list_, reset, shelve, unshelve
from compose.local.endpoints import read
from compose.options import prefix_option, state_option
from gateway.follow import decoder, ends, follow
from schemas.amounts import told_at
from schemas.records import Alert

_COLOURS = {"CRITICAL": "red", "WARNING": "yellow", "INFO": "blue"}


@click.group()
def alerts() -> None:
    """Follow alerts, measure and explain them, acknowledge and shelve them."""


alerts.add_command(explain)
alerts.add_command(kpi)
for command in (list_, ack, shelve, unshelve, reset):
    alerts.add_command(command)


@alerts.command()
@click.option("--site", help="Only this site.")
@prefix_option
@click.option("--new", is_flag=True, help="Only alerts from now on.")
@click.option("--once", is_flag=True, help="Stop at the topic's end.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@state_option
def tail(
    site: str | None, prefix: str, state: Path, *, new: bool, once: bool, as_json: bool
) -> None:
    """Print each transition of an alert as it is committed."""
    endpoints = read(state)
    decoded = decoder(Alert, endpoints.registry_url)
    topic = f"{prefix}alerts"
    start = ends(endpoints.kafka_bootstrap, topic) if new else None
    for batch in follow(endpoints.kafka_bootstrap, topic, start=start, until_end=once):
        for message in batch:
            alert = decoded(message.value())
            if site is None or alert.site == site:
                click.echo(msgspec.json.encode(alert) if as_json else line(alert))


def line(alert: Alert) -> str:
    """Return an alert's transition as one line for a person."""
    when = told_at(alert.emitted_at)
    severity = click.style(f"{alert.severity:8}", fg=_COLOURS[alert.severity])
    score = "" if alert.score is None else f", score {alert.score:.1f}"
    return (
        f"{when}  {severity} {alert.event:11} {alert.device_id} {alert.metric} "
        f"{alert.value:.4g} {alert.unit or ''}".rstrip()
        + f" ({alert.rule}: {alert.comparator} {alert.threshold_enter:g}{score})"
    )
