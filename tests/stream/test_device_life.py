"""A machine's life under rules that ask for its state: what holds whatever happens to it."""

import random
from collections import Counter
from functools import cache

import pytest
from device_runs import Device, Rows, quarter
from hypothesis import given
from hypothesis import strategies as st
from rule_builders import HOUR, PANE, pane, reading, rules

from schemas.codec import encode
from schemas.records import Alert
from stream.backtest import Series, run
from stream.device_state import DeviceState
from stream.engine import Engine
from stream.pane_sizes import pane_ms
from stream.panes import Pane, panes_of
from stream.rule import Rules

HEADER = "version: 1\nbaselines:\n  first: {kind: frozen, learn_for: 6h, floor: 0.1}"

SHIFTED = """
- name: shifted
  match: {metric: "*"}
  when: {metric: running, op: ">=", value: 0.5, for: 1h}
  window: {size: 1h, slide: 15m}
  min_samples: 3
  aggregate: mean
  compare: {op: "abs>=", to: zscore, baseline: first}
  severities: [{level: WARNING, enter: 4, exit: 3, keep_firing_for: 1h}]
- name: unknown_state
  match: {metric: "*"}
  when: {absent: running}
  window: {size: 1h, slide: 15m}
  aggregate: mean
  compare: {op: ">=", to: value}
  severities: [{level: INFO, enter: 1000}]
- name: stands_still_hot
  match: {metric: temperature}
  when: {metric: running, op: "<=", value: 0.5, for: 15m, open: close}
  window: {size: 15m, slide: 15m}
  aggregate: max
  compare: {op: ">=", to: value}
  severities: [{level: CRITICAL, enter: 24, for: 15m}]
  cooldown: 8h
"""


@cache
def shifted() -> Rules:
    return rules(SHIFTED, header=HEADER)


def life(seed: int, quarters: int = 160) -> Rows:
    """A machine that starts and stops, with gaps, some readings bad, and shifts now and then."""
    rng, rows, running, index, offset = random.Random(seed), [], 1.0, 0, 0.0
    for _ in range(quarters):
        index += rng.choice([1] * 20 + [2, 9])
        if rng.random() < 0.06:
            running = 1.0 - running
        if rng.random() < 0.04:
            offset = rng.choice([0.0, 0.0, 6.0])
        values = {
            "current": [running * rng.gauss(20 + offset, 1) for _ in range(2)],
            "running": [running] * rng.choice([0, 1, 2, 2]),
            "temperature": [rng.gauss(20 + offset, 1) for _ in range(2)],
        }
        bad = {metric: int(rng.random() < 0.05) for metric in values}
        for metric, inside in values.items():
            if inside or bad[metric]:
                rows.append((metric, pane(index, *inside, bad=bad[metric])))
    return rows


def test_such_a_life_has_alerts_of_every_kind():
    found = {
        (a.rule, a.event, a.resolve_reason)
        for seed in range(8)
        for a in Device(shifted()).feed(*life(seed)).alerts
    }
    assert found >= {
        ("shifted", "FIRED", None), ("shifted", "RESOLVED", "VALUE"),
        ("stands_still_hot", "FIRED", None), ("stands_still_hot", "RESOLVED", "RESET"),
    }  # fmt: skip


@given(st.integers(0, 1 << 30))
def test_storing_the_state_at_every_pane_changes_no_byte(seed):
    rows = life(seed, 80)
    live, stored = (Device(shifted(), stored=s).feed(*rows) for s in (False, True))
    for one, other in ((live.windows, stored.windows), (live.alerts, stored.alerts)):
        assert [encode(each, 1) for each in one] == [encode(each, 1) for each in other]
    assert stored.store.pieces == {k: v for k, v in live.state.changed() if v is not None}


@given(st.integers(0, 1 << 30))
def test_no_rule_is_evaluated_outside_its_state(seed):
    """By a look at all readings of the state, which the engine sees only pane by pane."""
    rows = life(seed, 80)
    readings = [
        (p.first_ts if k == 0 else p.last_ts, p.first_value if k == 0 else p.last_value)
        for metric, p in rows
        for k in range(min(p.n, 2))
        if metric == "running"
    ]
    for alert in Device(shifted()).feed(*rows).alerts:
        if alert.event != "FIRED":
            continue
        held = HOUR if alert.rule == "shifted" else PANE
        since = alert.window_end - held
        before = [x for at, x in readings if at <= since]
        within = [x for at, x in readings if since < at < alert.window_end]
        wanted = 1.0 if alert.rule == "shifted" else 0.0
        assert before
        assert {before[-1], *within} == {wanted}


def test_a_machine_s_own_first_days_are_learned_only_while_it_runs():
    rows = [
        row
        for index in range(200)
        for row in quarter(index, index % 10 < 8, current=20 + index % 2 if index % 10 < 8 else 0)
    ]
    device = Device(shifted()).feed(*rows)
    assert device.alerts == []
    own = device.state.series("current").rules["shifted"].baseline
    assert own.learned_ms == 6 * HOUR
    assert own.mean == pytest.approx(20.5, abs=0.1)


def measured(seed: int) -> dict[str, list[tuple[int, float]]]:
    """A day and a half of readings each 5 minutes, some missing; all metrics shift at once."""
    rng, found = random.Random(seed), {}
    running = [float(rng.random() < 0.99) for _ in range(430)]
    shift = [30.0 if i % 150 > 110 else 0.0 for i in range(430)]
    for metric in ("temperature", "current", "running"):
        values = running if metric == "running" else [rng.gauss(20 + each, 3) for each in shift]
        found[metric] = [(i * 300_000, x) for i, x in enumerate(values) if rng.random() < 0.9]
    return found


@given(st.integers(0, 1 << 30))
def test_offline_gives_the_alerts_of_the_engine_on_the_panes_of_the_job(seed):
    series = measured(seed)
    readings = [
        reading(
            ts=at, value=x, metric=metric, device_id="pump", site="offline", unit=None, device_seq=i
        )
        for metric, points in series.items()
        for i, (at, x) in enumerate(points)
    ]
    random.Random(seed).shuffle(readings)
    engine, state, online = Engine(shifted()), DeviceState(), []
    for row in panes_of(readings, pane_ms(shifted())):
        online += engine.on_pane(state, *row).alerts
    assert offline(series) == online


def offline(series: dict[str, list[tuple[int, float]]]) -> list[Alert]:
    return run(shifted(), [Series("pump", *each) for each in series.items()])


def test_there_are_alerts_to_compare_and_some_of_two_metrics_at_once():
    alerts = [alert for seed in range(9) for alert in offline(measured(seed))]
    assert {alert.metric for alert in alerts} == {"current", "temperature"}
    ends = Counter((a.emitted_at, a.event) for a in offline(measured(2)))
    assert max(ends.values()) == 2


@given(st.integers(0, 1 << 30))
def test_every_alert_begins_and_ends_once_and_rests_between(seed):
    open_alerts: dict[str, Alert] = {}
    ended: dict[str, int] = {}
    for alert in Device(shifted()).feed(*life(seed)).alerts:
        before = open_alerts.pop(alert.fingerprint, None)
        assert (alert.event == "FIRED") == (before is None)
        if before is None:
            rest = 8 * HOUR if alert.rule == "stands_still_hot" else 0
            assert alert.emitted_at >= ended.get(alert.fingerprint, -rest) + rest
        else:
            assert (alert.alert_id, alert.seq) == (before.alert_id, before.seq + 1)
        if alert.event == "RESOLVED":
            ended[alert.fingerprint] = alert.emitted_at
        else:
            open_alerts[alert.fingerprint] = alert


def test_alerts_come_in_order_of_end_and_metric():
    for seed in range(4):
        alerts = Device(shifted()).feed(*life(seed)).alerts
        assert [(a.emitted_at, a.metric) for a in alerts] == sorted(
            (a.emitted_at, a.metric) for a in alerts
        )


def test_a_pane_reads_and_writes_as_much_however_many_metrics_there_are():
    def touched(metrics: int) -> int:
        device = Device(shifted(), stored=True)
        names = [f"m{i:03}" for i in range(metrics)]
        for index in range(8):
            device.feed(
                *((name, pane(index, 1.0)) for name in names), ("running", pane(index, 1.0))
            )
        asked: list[str] = []

        def load(key: str) -> bytes | None:
            asked.append(key)
            return device.store.pieces.get(key)

        state = DeviceState(load)
        device.engine.on_pane(state, "plant.pump", names[-1], "plant", None, pane(8, 1.0))
        written = sum(len(data or b"") for _, data in state.changed())
        return len(asked) + written

    assert touched(200) <= touched(2) + 2


numbers = st.floats(allow_nan=True, allow_infinity=True)
any_row = st.tuples(
    st.sampled_from(["current", "running", "temperature"]),
    st.builds(
        lambda i, n, m, m2, lo, hi, a, z: Pane(
            i * PANE, (i + 1) * PANE, n, m, m2, lo, hi, a, z, i * PANE, i * PANE, 0.0, 0.0, 0.0,
            0, 0.0, 0, 0,
        ),
        st.integers(0, 40), st.integers(0, 5), *[numbers] * 6,
    ),
)  # fmt: skip


@given(st.lists(any_row, max_size=60))
def test_no_panes_in_any_order_make_the_engine_raise(rows):
    Device(shifted(), stored=True).feed(*rows)
