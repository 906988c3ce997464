"""Layouts that no payload could fill are refused when the route is read."""

import pytest

from gateway.formats import binary
from gateway.formats.binary import Column
from gateway.formats.values import TsUnit


@pytest.mark.parametrize(
    ("layout", "columns", "ts_unit", "why"),
    [
        ("h", (Column("a"),), "ms", "byte order"),
        (">y", (Column("a"),), "ms", "layout"),
        (">h", (), "ms", "1 values and the route 0"),
        (">4s", (Column("a"),), "ms", "only numbers"),
        (">c", (Column("a"),), "ms", "only numbers"),
        (">?", (Column("a"),), "ms", "only numbers"),
        (">dB", (Column(role="seq"), Column("a")), "ms", "integer"),
        (">IB", (Column(role="ts"), Column("a")), "rfc3339", "text"),
        (">B", (Column("a", scale=0.0),), "ms", "scale"),
        (">B", (Column("a", scale=float("nan")),), "ms", "scale"),
        (">B", (Column("a", offset=float("inf")),), "ms", "scale"),
        (">B999999999x", (Column("a"),), "ms", "at most"),
        (">BB", (Column("a"), Column("a")), "ms", "once"),
        (">B", (Column("a b"),), "ms", "metric"),
        (">B", (Column(role="skip"),), "ms", "at least one"),
    ],
)
def test_a_wrong_layout_says_what_is_wrong(
    layout: str, columns: tuple[Column, ...], ts_unit: TsUnit, why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        binary.compiled(layout, columns, ts_unit)
