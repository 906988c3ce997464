"""``tidegate gateway``: run the daemon, check its configuration."""

from pathlib import Path

import click

from gateway.commands.check import check
from gateway.commands.dead_letters import dead_letters
from gateway.commands.discover import discover
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
    """Run the gateway until SIGTERM; SIGHUP reads the file again.

    Logs go to stderr.
    """
    # Imported late: checking a configuration needs neither paho nor librdkafka.
    from gateway import daemon  # noqa: PLC0415

    daemon.run(path)


gateway.add_command(explain)
gateway.add_command(install)
gateway.add_command(dead_letters)
gateway.add_command(spool)
gateway.add_command(check)
gateway.add_command(discover)
