"""Rows for people and for programs: aligned columns, or one JSON object a line."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import msgspec

_ONE_LINE = {ord(char): repr(char)[1:-1] for char in "\t\n\r\x1b"}
"""A cell is told on one line, and moves no cursor."""


def aligned(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, at_once: int = 1000
) -> Iterator[str]:
    """Yield a heading and the rows in columns, as wide as the widest of ``at_once`` rows so far.

    Those many are held back to learn it; later and wider ones widen the column from there on.
    """
    widths = [len(column) for column in columns]
    source = iter(rows)
    first = True
    while chunk := list(islice(source, at_once)):
        cells = [[_cell(value) for value in row] for row in chunk]
        widths = [
            max(width, *map(len, column)) for width, *column in zip(widths, *cells, strict=True)
        ]
        if first:
            yield from _heading(columns, widths)
            first = False
        yield from (_line(row, widths) for row in cells)
    if first:
        yield from _heading(columns, widths)


def json_line(columns: Sequence[str], row: Sequence[Any]) -> str:
    """Return a row as a JSON object; times have their zone, bytes are base64, NaN is null."""
    values = {
        column: value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
        for column, value in zip(columns, row, strict=True)
    }
    return msgspec.json.encode(values, enc_hook=str).decode()


def _heading(columns: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [_line(columns, widths), "  ".join("-" * width for width in widths)]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
    return "  ".join(padded).rstrip()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00")
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict | list):
        return msgspec.json.encode(value, enc_hook=str).decode()
    return str(value).translate(_ONE_LINE)
