"""``tidegate gateway``: run the daemon, check its configuration."""

from pathlib import Path

import click

from gateway.commands.dead_letters import dead_letters
from gateway.commands.explain import explain
from gateway.commands.install import install
from gateway.commands.spool import spool

_CONFIG = click.option(
    "-c",
    "--config",
    "path",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The gateway's TOML file.",
)


@click.group()
def gateway() -> None:
    """Carry MQTT readings to Kafka without losing one."""


@gateway.command()
@_CONFIG
def run(path: Path) -> None:
    """Run the gateway until SIGTERM; SIGHUP reads the file again; logs go to stderr."""
    # Imported late: checking a configuration needs neither paho nor librdkafka.
    from gateway import daemon  # noqa: PLC0415

    daemon.run(path)


@gateway.command()
@_CONFIG
def check(path: Path) -> None:
    """Check a configuration without touching the network."""
    from gateway import config  # noqa: PLC0415

    parsed = config.read(path)
    for warning in config.warnings(parsed):
        click.echo(f"{path}: warning: {warning}", err=True)
    click.echo(f"{path}: ok, {len(parsed.routes)} routes")


gateway.add_command(explain)
gateway.add_command(install)
gateway.add_command(dead_letters)
gateway.add_command(spool)
