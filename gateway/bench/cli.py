"""``bench edge``: the gateway measured on this machine."""

import json
import tempfile
from pathlib import Path

import click

from schemas.failure import Failure


@click.command()
@click.option("--readings", default=200_000, show_default=True, help="How many to queue and drain.")
@click.option("--rate", default=5000.0, show_default=True, help="Steady messages a second.")
@click.option("--seconds", default=20.0, show_default=True, help="How long the steady load lasts.")
@click.option("--mqtt", default="", help="A broker's URL; else a mosquitto is started.")
@click.option(
    "--kafka", default="", help="Bootstrap servers; else librdkafka's mock cluster is started."
)
@click.option("--registry", default="", help="A registry's URL; else a stand-in is started.")
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where the spool goes: on a disk, not in memory.",
)
@click.option(
    "--telegraf",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A Telegraf binary, to drain as many beside it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def edge(
    readings: int,
    rate: float,
    seconds: float,
    mqtt: str,
    kafka: str,
    registry: str,
    folder: Path | None,
    telegraf: Path | None,
    as_json: bool,
) -> None:
    """Measure CPU, throughput, latency, memory and bytes from MQTT to Kafka."""
    from gateway.bench.run import Options, measure  # noqa: PLC0415
    from gateway.bench.servers import Ends  # noqa: PLC0415
    from gateway.online.machine import file_system  # noqa: PLC0415

    where = folder or Path(tempfile.gettempdir())
    if file_system(where) in ("tmpfs", "ramfs"):
        raise Failure(
            f"{where} is in memory, where an fsync costs nothing; name a disk by --folder"
        )
    figures = measure(
        Options(readings, rate, seconds, Ends(mqtt, kafka, registry), where, telegraf)
    )
    if as_json:
        click.echo(json.dumps(figures))
        return
    for name, figure in figures.items():
        click.echo(f"{name:36} {figure}")


if __name__ == "__main__":
    edge()
