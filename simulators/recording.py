"""Messages written to a file instead of sent: long CSV, and labels beside it."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from schemas.failure import Failure
from schemas.files import replace
from simulators.clock import stamp
from simulators.message import Message


def write_csv(messages: Iterable[Message], path: Path) -> int:
    """Write ``timestamp,device,metric,value``, a row for each reading, in order of arrival.

    Timestamps are the device's own, ISO 8601 in UTC; devices are named as on Kafka. The file is
    replaced once all is written.

    Returns:
        How many readings.

    Raises:
        Failure: it cannot be written.
    """
    count = 0
    with _replaced(path) as file:
        file.write("timestamp,device,metric,value\n")
        for message in messages:
            head = f"{stamp(message.ts_ms)},{message.device_id},"
            file.write("".join([f"{head}{name},{value!r}\n" for name, value in message.values]))
            count += len(message.values)
    return count


def write_labels(labels: dict[str, list[list[str]]], path: Path) -> None:
    """Write labelled windows as JSON, a line per device.

    Raises:
        Failure: it cannot be written.
    """
    _refuse_special(path)
    rows = [f" {json.dumps(name)}: {json.dumps(spans)}" for name, spans in labels.items()]
    try:
        replace(path, "{\n" + ",\n".join(rows) + "\n}\n")
    except OSError as error:
        raise _unwritable(path, error) from error


@contextmanager
def _replaced(path: Path) -> Iterator[TextIO]:
    _refuse_special(path)
    aside = path.with_name(path.name + ".new")
    try:
        with aside.open("w", encoding="utf-8", newline="") as file:
            yield file
        aside.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        aside.unlink(missing_ok=True)


def _refuse_special(path: Path) -> None:
    if path.exists() and not path.is_file():
        raise Failure(f"{path}: is no regular file, and would be replaced; name one that is")


def _unwritable(path: Path, error: OSError) -> Failure:
    return Failure(f"{path}: cannot be written: {error.strerror or error}")
