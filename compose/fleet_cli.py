"""`tidegate fleet`: what is known of the devices, on their topic."""

from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from compose.fleet_file import read_fleet
from compose.listing import aligned
from compose.local.endpoints import Endpoints, read
from compose.options import prefix_option, state_option
from compose.sending import publish
from gateway.follow import decoder, follow
from schemas.config import nearest
from schemas.failure import Failure
from schemas.records import Device
from simulators.clock import iso
from stream.fleet import record_key

_json = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")


@click.group()
def fleet() -> None:
    """Say what the devices are: asset, class, ISO group, labels."""


@fleet.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@prefix_option
@state_option
def add(file: Path, prefix: str, state: Path) -> None:
    """Register the devices of FILE: .csv, .toml or .json.

    A record holds from its valid_from on, and replaces one of the same device and time. Windows
    that end then or later, and their alerts, carry what it says.
    """
    devices = read_fleet(file)
    endpoints, topic = read(state), f"{prefix}devices"
    sent = publish(
        endpoints, topic, [(record_key(each.device_id, each.valid_from), each) for each in devices]
    )
    click.echo(f"{len(sent)} records of {len({each.device_id for each in devices})} devices")


@fleet.command("list")
@click.option("--site", help="Only this site.")
@_json
@prefix_option
@state_option
def list_(site: str | None, prefix: str, state: Path, *, as_json: bool) -> None:
    """List the devices, each as its newest record has it."""
    newest: dict[str, Device] = {}
    for each in devices_of(read(state), prefix):
        newest[each.device_id] = each
    chosen = [each for each in newest.values() if site is None or each.site == site]
    for line in _shown(sorted(chosen, key=lambda each: each.device_id), as_json=as_json):
        click.echo(line)


@fleet.command()
@click.argument("device")
@_json
@prefix_option
@state_option
def show(device: str, prefix: str, state: Path, *, as_json: bool) -> None:
    """Show all records of a device, the oldest first."""
    known = devices_of(read(state), prefix)
    records = [each for each in known if each.device_id == device]
    if not records:
        near = nearest(device, sorted({each.device_id for each in known}))
        raise Failure(f"{prefix}devices knows no {device}{near}; `tidegate fleet add` registers it")
    for line in _shown(records, as_json=as_json):
        click.echo(line)


def devices_of(endpoints: Endpoints, prefix: str) -> list[Device]:
    """Return all records on the topic, those of each device in order of ``valid_from``.

    Raises:
        Unavailable, RegistryDown: Kafka or the registry does not answer.
        Failure: the topic does not exist.
    """
    decoded = decoder(Device, endpoints.registry_url)
    found: dict[bytes, Device | None] = {}
    for batch in follow(endpoints.kafka_bootstrap, f"{prefix}devices", until_end=True):
        for message in batch:
            key, value = message.key() or b"", message.value()
            try:
                found[key] = None if value is None else decoded(value)
            except ValueError:
                continue  # the job tells it as a dead letter
    known = [each for each in found.values() if each is not None]
    return sorted(known, key=lambda each: each.valid_from)


def _shown(devices: list[Device], *, as_json: bool) -> Iterator[str]:
    if as_json:
        yield from (msgspec.json.encode(each).decode() for each in devices)
        return
    columns = ("DEVICE", "ASSET", "SITE", "CLASS", "ISO", "INTERVAL", "FROM", "LABELS")
    yield from aligned(columns, (_row(each) for each in devices))


def _row(each: Device) -> tuple[object, ...]:
    return (
        each.device_id,
        each.asset_id,
        each.site,
        each.device_class,
        each.iso_group,
        None if each.interval_ms is None else f"{each.interval_ms / 1000:g} s",
        iso(each.valid_from) if each.valid_from else None,
        " ".join(f"{key}={value}" for key, value in each.labels.items()),
    )
