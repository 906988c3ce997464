"""Alerts against the work that answered them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import Alert, Maintenance
from stream.kpis import DAY_MS
from stream.usefulness import Outcome, missed, newest, outcomes, worths

HOUR = 3_600_000


def alert(at: int, rule: str = "hot", asset: str = "P-1", **more: Any) -> Alert:
    fields: dict[str, Any] = {
        "alert_id": f"{rule}@{at}", "fingerprint": f"{rule}/d/m", "seq": 0, "rule": rule, "rule_version": 1,
        "category": "PROCESS", "event": "FIRED", "state": "FIRING", "severity": "WARNING", "asset_id": asset,
        "device_id": "d", "site": "s", "metric": "m", "value": 1.0, "threshold_enter": 1.0,
        "threshold_exit": 1.0, "comparator": ">=", "sample_count": 1, "peak_value": 1.0,
        "window_start": at, "window_end": at, "condition_since": at, "starts_at": at,
        "last_true_at": at, "emitted_at": at,
    }  # fmt: skip
    return Alert(**fields | more)


def order(name: str, at: int, finding: Any = "FAULT_FOUND", asset: str = "P-1") -> Maintenance:
    return Maintenance(order_id=name, asset_id=asset, started_at=at, kind="REPAIR", finding=finding)


def answers(found: list[Outcome]) -> list[tuple[int, str | None]]:
    return [(each.alert.starts_at, each.order and each.order.order_id) for each in found]


def test_the_first_order_of_the_asset_within_the_horizon_answers():
    orders = newest(
        [
            order("late", 9 * DAY_MS),
            order("elsewhere", 1, asset="P-2"),
            order("a", 5),
            order("b", 7),
        ]
    )
    found = outcomes([alert(6), alert(0), alert(1 * DAY_MS), alert(3 * DAY_MS)], orders)
    assert answers(found) == [(0, "a"), (6, "b"), (DAY_MS, None), (3 * DAY_MS, "late")]
    assert [each.action_ms for each in found] == [5, 1, None, 6 * DAY_MS]


def test_an_order_at_the_very_start_and_at_the_very_end_answers():
    assert answers(outcomes([alert(0)], [order("a", 0)])) == [(0, "a")]
    assert answers(outcomes([alert(0)], [order("a", 7 * DAY_MS)])) == [(0, "a")]
    assert answers(outcomes([alert(0)], [order("a", 7 * DAY_MS + 1)])) == [(0, None)]


def test_only_what_rang_counts_and_the_last_record_of_an_order():
    told_again = newest([order("a", HOUR, "UNKNOWN"), order("a", HOUR, "NO_FAULT")])
    records = [alert(0), alert(1, seq=1, event="ESCALATED"), alert(2, event="CORRECTED")]
    (worth,) = worths(outcomes(records, told_again))
    assert worth == ("hot", 1, 1, 0, 1, HOUR)


def test_the_rules_that_cry_wolf_come_first():
    records = [alert(0), alert(0, "worn"), alert(DAY_MS, "worn"), alert(9 * DAY_MS, "worn")]
    orders = [order("a", HOUR, "NO_FAULT"), order("b", DAY_MS + 3 * HOUR)]
    found = worths(outcomes(records, orders))
    assert [(w.rule, w.alerts, w.answered, w.useful, w.false) for w in found] == [
        ("worn", 3, 2, 1, 1), ("hot", 1, 1, 0, 1),
    ]  # fmt: skip
    assert found[0].median_action_ms == 2 * HOUR


@pytest.mark.parametrize(("at", "seen"), [(0, True), (7 * DAY_MS, True), (7 * DAY_MS + 1, False)])
def test_a_fault_no_alert_had_told_of_was_missed(at: int, seen: bool):
    fault, fine = order("a", at), order("b", 99 * DAY_MS, "NO_FAULT")
    assert (missed([alert(0)], [fault, fine]) == []) is seen
    assert missed([alert(0, asset="P-2")], [fault]) == [fault]


@given(st.lists(st.integers(0, 30)), st.lists(st.integers(0, 30)), st.integers(0, 9))
def test_answers_are_those_of_a_plain_search(alerts: list[int], works: list[int], horizon: int):
    orders = newest(order(str(index), at) for index, at in enumerate(works))
    for each in outcomes([alert(at) for at in alerts], orders, horizon):
        start = each.alert.starts_at
        inside = [one.started_at for one in orders if start <= one.started_at <= start + horizon]
        assert (each.order and each.order.started_at) == (min(inside) if inside else None)
