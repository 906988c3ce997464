"""``gateway discover``."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from schemas.failure import Failure

if TYPE_CHECKING:
    from gateway.discovery.listening import Heard
    from gateway.endpoint import Endpoint

_DAY_HOURS = 24
_LEAST_MB = 1024


@click.command()
@click.option(
    "-c", "--config", "path", type=click.Path(dir_okay=False, path_type=Path),
    help="A gateway's TOML file: its [mqtt], with TLS and login, is connected to.",
)  # fmt: skip
@click.option("--mqtt-url", default="mqtt://127.0.0.1:1883", show_default=True,
              help="The broker, where no file names it.")  # fmt: skip
@click.option("--seconds", type=click.FloatRange(1, 86_400), default=60.0, show_default=True)
@click.option("--filter", "topic_filter", default="#", show_default=True,
              help="The topics to listen to; # is all but the broker's own.")  # fmt: skip
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path),
              help="Write the configuration here; a file that exists is left alone.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def discover(
    path: Path | None,
    mqtt_url: str,
    seconds: float,
    topic_filter: str,
    output: Path | None,
    as_json: bool,
) -> None:
    """Listen to a broker for a while, and propose routes for it.

    A session of its own is used, which leaves nothing at the broker. Every proposed route has read
    each of its samples; what none reads is listed with the reason. Exits with 1 if nothing was
    placed.
    """
    from gateway.discovery import proposal, report  # noqa: PLC0415
    from gateway.discovery.listening import listen  # noqa: PLC0415

    if output is not None and output.exists():
        raise Failure(f"{output}: exists; name another file, or remove it")
    url, end = _endpoint(path, mqtt_url)
    click.echo(f"listening to {url} for {seconds:.0f} s", err=True)
    heard = listen(end, topic_filter, seconds, _progress)
    found = proposal.proposal(heard.samples)
    day_mb = int(report.hour_bytes(heard, seconds) * _DAY_HOURS / (1 << 20))
    made = report.toml(found, url, max(_LEAST_MB, day_mb))
    if as_json:
        click.echo(proposal.as_json(found))
    else:
        click.echo("\n".join(report.text(found, heard, seconds)))
        if found.routes and output is None:
            click.echo(f"\n{made}", nl=False)
    if not found.routes:
        raise SystemExit(1)
    if output is not None:
        output.write_text(made, "utf-8")
        click.echo(f"written: {output}; check it with gateway check -c {output}", err=True)


def _progress(heard: "Heard") -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{heard.messages} messages", err=True, nl=False)


def _endpoint(path: Path | None, mqtt_url: str) -> "tuple[str, Endpoint]":
    from gateway import config, sections  # noqa: PLC0415
    from gateway.endpoint import Endpoint  # noqa: PLC0415
    from schemas.config import read_secret  # noqa: PLC0415

    mqtt = sections.MqttSection(url=mqtt_url) if path is None else config.read(path).mqtt
    try:
        host, port = sections.broker(mqtt)
    except ValueError as error:
        raise click.BadParameter(f"{mqtt_url}: {error}") from error
    if not host:
        raise click.BadParameter(f"{mqtt_url}: expected mqtt://host:port or mqtts://host:port")
    password = read_secret(mqtt.password_file) if mqtt.password_file else None
    name = f"tidegate-discover-{time.time_ns()}"
    tls = sections.mqtt_tls(mqtt)
    end = Endpoint(host, port, name, 30, 0, 100, mqtt.username or None, password, tls)
    return mqtt.url, end
