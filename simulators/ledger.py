"""The ledger: a line of JSON for every message sent, true at any moment, also after kill -9.

A line is in the file, with ``"acked":false}``, before its message leaves; when the PUBACK comes,
``false`` is overwritten in place by ``true `` (a blank keeps the width). So what is marked was
acknowledged, and what may have been sent has a line.
"""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from schemas.failure import Failure
from simulators.message import Message

_OPEN = b'"acked":false}\n'
_MARK = b"true "
_MARK_FROM_END = len(b"false}\n")


class Entry(NamedTuple):
    """One line of a ledger: what a message said and whether the broker took it."""

    device_id: str
    ts: int
    seq: int
    values: dict[str, float]
    acked: bool


class Ledger:
    """A ledger being written; replaces a file that was there."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
        except OSError as error:
            raise Failure(
                f"ledger {path}: {error.strerror}; name a file that can be written"
            ) from (error)
        self._end = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._file)

    def enter(self, messages: Sequence[Message]) -> list[int]:
        """Write the lines of messages about to be sent; return the marks that say acknowledged."""
        lines = [_line(message) for message in messages]
        block = b"".join(lines)
        view = memoryview(block)
        while view:
            view = view[os.write(self._file, view) :]
        marks = []
        for line in lines:
            self._end += len(line)
            marks.append(self._end - _MARK_FROM_END)
        return marks

    def mark(self, at: int) -> None:
        """Say that the message of this mark was acknowledged."""
        os.pwrite(self._file, _MARK, at)


class NoLedger:
    """Stands in when nobody asked for a ledger."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def enter(self, messages: Sequence[Message]) -> list[int]:
        """Write nothing."""
        return [0] * len(messages)

    def mark(self, at: int) -> None:
        """Write nothing."""


def read_ledger(path: Path) -> Iterator[Entry]:
    """Yield a ledger's lines in the order of first sending; a torn last line is left out."""
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield Entry(**json.loads(line))


def _line(message: Message) -> bytes:
    values = ",".join(f'"{metric}":{value!r}' for metric, value in message.values)
    head = f'{{"device_id":"{message.device_id}","ts":{message.ts_ms},"seq":{message.seq},'
    return f'{head}"values":{{{values}}},'.encode() + _OPEN
