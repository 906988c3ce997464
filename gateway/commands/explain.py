"""``gateway explain``."""

import sys
import time
from pathlib import Path

import click


@click.command()
@click.option(
    "-c", "--config", "path", required=True, type=click.Path(dir_okay=False, path_type=Path),
    help="The gateway's TOML file.",
)  # fmt: skip
@click.argument("topic")
@click.argument("payload")
@click.option("--hex", "in_hex", is_flag=True, help="PAYLOAD is hexadecimal.")
@click.option("--retained", is_flag=True, help="As the broker's stored copy.")
@click.option("--partitions", type=click.IntRange(1), help="How many the readings topic has.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def explain(
    path: Path,
    topic: str,
    payload: str,
    in_hex: bool,
    retained: bool,
    partitions: int | None,
    as_json: bool,
) -> None:
    """Say what becomes of a message, or why it is a dead letter.

    Shown are its route, its readings, and their keys and bytes. PAYLOAD is the text itself, @FILE
    for a file's bytes, or - for standard input. Nothing is connected to. Exits with 1 for a dead
    letter.
    """
    from gateway import config  # noqa: PLC0415
    from gateway import explain as explaining  # noqa: PLC0415

    asked = explaining.Asked(
        topic, _bytes(payload, in_hex=in_hex), retained, time.time_ns() // 1_000_000, partitions
    )
    explained = explaining.explain(config.read(path), asked)
    if as_json:
        click.echo(explaining.as_json(explained))
    else:
        click.echo("\n".join(explaining.as_text(explained)))
    if explained.reason:
        raise SystemExit(1)


def _bytes(text: str, *, in_hex: bool) -> bytes:
    if text == "-":
        raw = sys.stdin.buffer.read()
    elif text.startswith("@"):
        try:
            raw = Path(text[1:]).read_bytes()
        except OSError as error:
            raise click.BadParameter(f"{text[1:]}: {error.strerror}") from error
    else:
        raw = text.encode("utf-8", "surrogateescape")
    if not in_hex:
        return raw
    try:
        return bytes.fromhex(raw.decode("ascii"))
    except ValueError as error:
        raise click.BadParameter(f"no hexadecimal: {error}") from error
