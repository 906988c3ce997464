"""Files of maintenance orders: CSV as an order system exports it."""

from pathlib import Path
from typing import Any

import msgspec

from compose.filled_in import csv_rows, text_of, time_of
from schemas.config import Complaint, ConfigError, read_table, told
from schemas.records import Finding, Maintenance, MaintenanceKind
from schemas.toml_lines import KeyPath


class OrderRow(msgspec.Struct):
    """One order; times are such as ``2026-01-31T06:00Z``, UTC unless they say otherwise."""

    order_id: str
    asset_id: str
    started_at: str
    kind: MaintenanceKind
    site: str = ""
    ended_at: str | None = None
    finding: Finding = "UNKNOWN"
    component: str = ""
    note: str = ""


def read_orders(path: Path) -> list[Maintenance]:
    """Read a CSV file of orders: a row for each, an empty cell says nothing.

    Raises:
        ConfigError: every mistake with file, line and column.
    """
    text = text_of(path, "orders")
    complaints: list[Complaint] = []
    lines: dict[KeyPath, int] = {}
    orders = []
    for index, (line, row) in enumerate(csv_rows(text)):
        lines["orders", index] = line
        orders.append(_order(row, ("orders", index), complaints))
    if not orders:
        complaints.append(Complaint(("orders",), "expected a heading and at least one order"))
    if complaints:
        raise ConfigError([told(each, str(path), lines, {}) for each in complaints])
    return [each for each in orders if each is not None]


def _order(row: dict[str, Any], at: KeyPath, complaints: list[Complaint]) -> Maintenance | None:
    given = read_table(OrderRow, row, at, complaints)
    if given is None:
        return None
    started = time_of(given.started_at, (*at, "started_at"), complaints)
    ended = (
        None if given.ended_at is None else time_of(given.ended_at, (*at, "ended_at"), complaints)
    )
    if ended is not None and ended < started:
        complaints.append(Complaint((*at, "ended_at"), "expected a time after started_at"))
    return Maintenance(
        order_id=given.order_id, asset_id=given.asset_id, site=given.site, started_at=started,
        ended_at=ended, kind=given.kind, finding=given.finding, component=given.component,
        note=given.note,
    )  # fmt: skip
