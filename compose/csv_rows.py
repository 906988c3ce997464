"""Rows of CSV files that people fill in."""

import csv
import io
from collections.abc import Iterator
from typing import Any


def csv_rows(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each row's line and its cells by the heading; an empty cell says nothing.

    Cells beyond the heading are a list under a name that no table knows.
    """
    rows = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")), restkey="more than the heading")
    for row in rows:
        told = {key.strip(): value.strip() for key, value in row.items() if isinstance(value, str)}
        beyond = {key: value for key, value in row.items() if isinstance(value, list)}
        yield rows.line_num, {key: value for key, value in told.items() if value} | beyond
