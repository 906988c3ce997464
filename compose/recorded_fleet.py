"""What is known of the devices of recorded readings: from a file, or from the lake's stack."""

from pathlib import Path

import click

from compose.fleet_file import read_fleet
from compose.local.endpoints import read
from schemas.topics import DEFAULT_PREFIX
from stream.fleet import Fleet
from stream.rule import Rules

fleet_option = click.option(
    "--fleet",
    "fleet_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What the devices are, as `fleet add` takes it: for rules that match by class, asset, "
    "labels or interval. With --lake the stack's own unless said.",
)


def fleet_of(file: Path | None, rules: Rules, state: Path, *, lake: bool) -> Fleet:
    """Return what is known; say on stderr when rules ask and nothing is.

    Raises:
        ConfigError: the file holds something else.
        Unavailable, RegistryDown: the stack is not up.
    """
    fleet = Fleet()
    asking = [rule.name for rule in rules.rules if rule.match.traits is not None]
    if not asking:
        return fleet
    if file is not None:
        devices = read_fleet(file)
    elif lake:
        from compose.fleet_cli import devices_of  # noqa: PLC0415 - Kafka's client is not for files

        devices = devices_of(read(state), DEFAULT_PREFIX)
    else:
        devices = []
    for each in devices:
        fleet.know(each)
    if not devices:
        click.echo(
            f"warning: {', '.join(asking)}: for devices that something is known of, and nothing "
            "is; say --fleet FILE",
            err=True,
        )
    return fleet
