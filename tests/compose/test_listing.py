"""Rows as columns for people and as JSON for programs."""

import json
import math
from datetime import date, datetime, timedelta

from compose.listing import aligned, json_line

# As PyFlink gives them: in UTC, without saying so.
WHEN = datetime(2026, 1, 2, 3, 4, 5)  # noqa: DTZ001
ROWS = [("a", None, 1.5), ("long", WHEN, b"\x00\xff")]


def test_columns_are_as_wide_as_what_is_in_them() -> None:
    assert list(aligned(["k", "when", "x"], ROWS)) == [
        "k     when                     x",
        "----  -----------------------  ----",
        "a                              1.5",
        "long  2026-01-02 03:04:05.000  00ff",
    ]


def test_nothing_is_a_heading() -> None:
    assert list(aligned(["k"], [])) == ["k", "-"]


def test_a_cell_is_on_one_line_and_moves_no_cursor() -> None:
    assert list(aligned(["k"], [("a\nb\x1b[H",)]))[2] == "a\\nb\\x1b[H"


def test_an_endless_answer_is_shown_row_by_row() -> None:
    def endless():
        while True:
            yield ("x",)

    lines = aligned(["k"], endless(), at_once=1)
    assert [next(lines) for _ in range(4)] == ["k", "-", "x", "x"]


def test_json_says_times_with_their_zone_and_has_no_nan() -> None:
    row = (WHEN, math.nan, {"a": [b"\x00"]}, date(2026, 1, 2), timedelta(1))
    line = json.loads(json_line(["t", "x", "m", "d", "i"], row))
    assert line == {
        "t": "2026-01-02T03:04:05Z",
        "x": None,
        "m": {"a": ["AA=="]},
        "d": "2026-01-02",
        "i": "P1D",
    }
