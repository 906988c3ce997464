"""``tidegate gateway``: run the daemon, check its configuration."""

import logging
import sys
from pathlib import Path

import click

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
@click.option("-v", "--verbose", is_flag=True, help="Log what goes well, too.")
def run(path: Path, verbose: bool) -> None:
    """Run the gateway until SIGTERM; logs go to stderr."""
    # Imported late: checking a configuration needs neither paho nor librdkafka.
    from gateway import config, daemon  # noqa: PLC0415

    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    # Quiet: a start, an end, and what a person must act on.
    logging.getLogger("tidegate.daemon").setLevel(logging.INFO)
    logging.getLogger("tidegate.librdkafka").setLevel(logging.INFO if verbose else logging.CRITICAL)
    daemon.run(config.read(path), config.version(path))


@gateway.command()
@_CONFIG
def check(path: Path) -> None:
    """Check a configuration without touching the network."""
    from gateway import config  # noqa: PLC0415

    parsed = config.read(path)
    for warning in config.warnings(parsed):
        click.echo(f"{path}: warning: {warning}", err=True)
    click.echo(f"{path}: ok, {len(parsed.routes)} routes")
