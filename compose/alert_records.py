"""Alert records that commands take: from the alerts topic, or from a file of JSON."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from compose.local.endpoints import read
from gateway.follow import decoder, follow
from schemas.failure import Failure
from schemas.records import Alert

data_option = click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help="Alert records instead of the topic's: JSON lines as of `alerts tail --json`, or what "
    "`rules test --json` prints. - is standard input.",
)


def alert_records(data: Path | None, prefix: str, state: Path) -> list[Alert]:
    """Return the records of a file, or else of the alerts topic, in the order they stand there.

    Raises:
        Failure: the file holds something else; the message names the line.
        Unavailable: no stack is up, or its Kafka does not answer.
    """
    if data is not None:
        return list(read_records(data))
    endpoints = read(state)
    decoded = decoder(Alert, endpoints.registry_url)
    batches = follow(endpoints.kafka_bootstrap, f"{prefix}alerts", until_end=True)
    return [decoded(message.value()) for batch in batches for message in batch]


def read_records(path: Path) -> Iterator[Alert]:
    """Yield the records of a file: one JSON object a line, or ``{"alerts": [...]}``.

    Raises:
        Failure: a line is neither.
    """
    try:
        lines = (sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()).splitlines()
    except OSError as error:
        raise Failure(f"{path}: cannot be read: {error.strerror}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield from _records(msgspec.json.decode(line))
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise Failure(
                f"{path}:{number}: expected alert records, as `tidegate alerts tail --json` or "
                f"`tidegate rules test --json` print them: {error}"
            ) from error


def _records(value: Any) -> list[Alert]:
    if isinstance(value, dict) and "alerts" in value:
        return msgspec.convert(value["alerts"], list[Alert])
    return [msgspec.convert(value, Alert)]
