"""``gateway check``."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from gateway.online.finding import Finding
    from gateway.sections import Config

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red", "unseen": "cyan"}


@click.command()
@click.option(
    "-c", "--config", "path", required=True, type=click.Path(dir_okay=False, path_type=Path),
    help="The gateway's TOML file.",
)  # fmt: skip
@click.option("--online", is_flag=True, help="Also ask broker, Kafka, registry, clock and disk.")
@click.option("--json", "as_json", is_flag=True, help="With --online: one JSON object a finding.")
def check(path: Path, online: bool, as_json: bool) -> None:
    """Check a configuration, and with --online what it leads to.

    The network is touched with --online only. --online takes no message, writes to no topic, and
    disturbs no gateway that runs; it exits with 1 when something fails.
    """
    from gateway import config  # noqa: PLC0415

    parsed = config.read(path)
    for warning in config.warnings(parsed):
        click.echo(f"{path}: warning: {warning}", err=True)
    if not online:
        click.echo(f"{path}: ok, {len(parsed.routes)} routes")
        return
    failed = False
    for finding in _findings(parsed):
        failed = failed or finding.verdict == "fail"
        _tell(finding, as_json=as_json)
    if failed:
        raise SystemExit(1)


def _findings(config: "Config") -> "Iterator[Finding]":
    from gateway import assembly  # noqa: PLC0415
    from gateway.online import broker, cluster, machine  # noqa: PLC0415

    return itertools.chain(
        broker.check(config),
        cluster.check_kafka(config),
        cluster.check_registry(config, assembly.registry(config.registry)),
        machine.check(config),
    )


def _tell(finding: "Finding", *, as_json: bool) -> None:
    if as_json:
        import msgspec  # noqa: PLC0415

        click.echo(msgspec.json.encode(finding._asdict()))
        return
    verdict = click.style(f"{finding.verdict:7}", fg=_COLOURS[finding.verdict])
    cure = f"\n        {finding.cure}" if finding.cure else ""
    click.echo(f"{verdict} {finding.what}: {finding.told}{cure}")
