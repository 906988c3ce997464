"""Order files, and what is told of those that are wrong."""

from pathlib import Path

import pytest

from compose.maintenance_file import read_orders
from schemas.config import ConfigError
from schemas.records import Maintenance

CSV = """\ufefforder_id,asset_id,started_at,ended_at,kind,finding,component,note
4711,P-1,2026-01-31T06:00Z,2026-01-31T08:00Z,REPAIR,FAULT_FOUND,bearing,"outer race, DE"
4712,P-2,2026-02-01T06:00Z,,INSPECTION,,,
"""


def test_a_row_is_an_order_and_an_empty_cell_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(CSV, "utf-8")
    repaired, looked_at = read_orders(path)
    assert (repaired.ended_at or 0) - repaired.started_at == 2 * 3_600_000
    assert (repaired.finding, repaired.note) == ("FAULT_FOUND", "outer race, DE")
    assert looked_at == Maintenance(
        order_id="4712", asset_id="P-2", started_at=1_769_925_600_000, kind="INSPECTION"
    )


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("1,P,soon,,REPAIR,,,", ":2: orders[0].started_at: expected a time such as"),
        ("1,P,2026-01-31,2026-01-30,REPAIR,,,", "ended_at: expected a time after started_at"),
        ("1,P,2026-01-31,,MEND,,,", "kind"),
        ("1,,2026-01-31,,REPAIR,,,", "asset_id"),
        ("1,P,2026-01-31,,REPAIR,,,,more", "more than the heading"),
    ],
)
def test_mistakes_are_told_with_their_place(tmp_path: Path, row: str, said: str) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(f"{CSV.splitlines()[0]}\n{row}\n", "utf-8")
    with pytest.raises(ConfigError) as refused:
        read_orders(path)
    assert said in str(refused.value)
    assert "orders.csv" in str(refused.value)


def test_a_file_without_orders_is_none(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text("order_id,asset_id\n")
    with pytest.raises(ConfigError, match="at least one order"):
        read_orders(path)
