"""`tidegate maintenance`: what was done on the machines, and which alerts were worth it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from compose.alert_records import alert_records
from compose.listing import aligned
from compose.local.endpoints import Endpoints, read
from compose.maintenance_file import read_orders
from compose.options import Duration, prefix_option, state_option
from compose.sending import publish
from gateway.follow import decoder, follow
from schemas.amounts import told_at, told_ms
from schemas.records import Maintenance
from stream.usefulness import Worth, missed, newest, outcomes, worths

_json = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")


@click.group()
def maintenance() -> None:
    """Say what was done on the machines, and see which alerts were worth it."""


@maintenance.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@prefix_option
@state_option
def add(file: Path, prefix: str, state: Path) -> None:
    """Register the orders of FILE, CSV as an order system exports it.

    Columns: order_id, asset_id, started_at, kind (REPAIR, REPLACEMENT, INSPECTION, PLANNED), and
    any of site, ended_at, finding (FAULT_FOUND, NO_FAULT, UNKNOWN), component, note. An order given
    again replaces what was known of it: give it again when the finding is there.
    """
    orders = read_orders(file)
    endpoints, topic = read(state), f"{prefix}maintenance"
    sent = publish(endpoints, topic, [(each.order_id.encode(), each) for each in orders])
    click.echo(f"{len(sent)} records of {len({each.order_id for each in orders})} orders")


@maintenance.command("list")
@click.option("--asset", help="Only this asset.")
@_json
@prefix_option
@state_option
def list_(asset: str | None, prefix: str, state: Path, *, as_json: bool) -> None:
    """List the orders, each as its newest record has it."""
    chosen = [each for each in orders_of(read(state), prefix) if asset in (None, each.asset_id)]
    if as_json:
        for each in chosen:
            click.echo(msgspec.json.encode(each))
        return
    head = ("ORDER", "ASSET", "STARTED", "ENDED", "KIND", "FINDING", "COMPONENT", "NOTE")
    for line in aligned(head, map(_row, chosen)):
        click.echo(line)


@maintenance.command()
@click.option(
    "--within",
    "horizon_ms",
    type=Duration(),
    default="7d",
    show_default=True,
    help="Work that starts later answers an alert no more.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@prefix_option
@state_option
def report(horizon_ms: int, prefix: str, state: Path, *, as_json: bool) -> None:
    """Hold alerts against the work they led to, rule by rule.

    How soon was the work done, and was there a fault? And the other way round: the faults that no
    alert had told of. An alert is answered by the first order on its asset that starts after it.
    """
    orders = orders_of(read(state), prefix)
    records = alert_records(None, prefix, state)
    rules = worths(outcomes(records, orders, horizon_ms))
    unseen = missed(records, orders, horizon_ms)
    if as_json:
        told = {"rules": [each._asdict() for each in rules], "missed": unseen}
        click.echo(msgspec.json.encode(told))
        return
    for line in _report(rules, unseen):
        click.echo(line)


def orders_of(endpoints: Endpoints, prefix: str) -> list[Maintenance]:
    """Return the newest record of each order on the topic, in order of their starts.

    Raises:
        Unavailable, RegistryDown: Kafka or the registry does not answer.
        Failure: the topic does not exist.
    """
    decoded = decoder(Maintenance, endpoints.registry_url)
    found = []
    for batch in follow(endpoints.kafka_bootstrap, f"{prefix}maintenance", until_end=True):
        for message in batch:
            if (value := message.value()) is not None:
                try:
                    found.append(decoded(value))
                except ValueError as error:
                    place = f"{message.topic()}-{message.partition()}@{message.offset()}"
                    click.echo(f"warning: {place}: {error}", err=True)
    return newest(found)


def _report(rules: list[Worth], unseen: list[Maintenance]) -> Iterator[str]:
    head = ("RULE", "ALERTS", "ANSWERED", "FAULT", "NO FAULT", "MEDIAN TIME TO ACTION")
    yield from aligned(head, (_worth(each) for each in rules))
    for each in unseen:
        what = f" ({each.component})" if each.component else ""
        yield f"missed: {each.asset_id}{what}, order {each.order_id} of {told_at(each.started_at)}"


def _worth(each: Worth) -> tuple[Any, ...]:
    action = each.median_action_ms
    told = None if action is None else told_ms(round(action / 60_000) * 60_000)
    return each.rule, each.alerts, each.answered, each.useful, each.false, told


def _row(each: Maintenance) -> tuple[Any, ...]:
    ended = None if each.ended_at is None else told_at(each.ended_at)
    return (
        each.order_id, each.asset_id, told_at(each.started_at), ended, each.kind, each.finding,
        each.component, each.note,
    )  # fmt: skip
