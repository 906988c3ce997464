"""Files that people fill in or other systems export: their text, rows and times."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from schemas.config import Complaint, ConfigError
from schemas.toml_lines import KeyPath
from simulators.clock import parse_time


def text_of(path: Path, what: str) -> str:
    """Return a file's text; ``what`` is what it should hold.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError([f"{path}: cannot read the {what}: {reason}"]) from error


def time_of(text: str, at: KeyPath, complaints: list[Complaint]) -> int:
    """Return a time in ms; 0, and a complaint added, when it is none."""
    try:
        return parse_time(text)
    except (ValueError, OverflowError):
        wanted = f"expected a time such as 2026-01-31T06:00Z, got {text!r}"
        complaints.append(Complaint(at, wanted))
        return 0


def csv_rows(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each row's line and its cells by the heading; an empty cell says nothing.

    Cells beyond the heading are a list under a name that no table knows.
    """
    rows = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")), restkey="more than the heading")
    for row in rows:
        told = {key.strip(): value.strip() for key, value in row.items() if isinstance(value, str)}
        beyond = {key: value for key, value in row.items() if isinstance(value, list)}
        yield rows.line_num, {key: value for key, value in told.items() if value} | beyond
