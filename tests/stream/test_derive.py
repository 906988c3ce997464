"""Derived metrics in the engine: whatever comes, in whatever pieces, what is derived follows."""

import random
from typing import Any

import msgspec
import pytest
from device_runs import Device, Rows
from hypothesis import given
from hypothesis import strategies as st
from rule_builders import PANE, pane, rules

from schemas.codec import encode
from stream.derive import DerivedState
from stream.device_state import STATE_VERSION, DeviceEntry, decode_state, encode_state
from stream.engine import Engine
from stream.rule import Rules

LIMIT = """
- name: overload
  match: {metric: power}
  window: {size: 15m, slide: 15m}
  aggregate: mean
  compare: {op: ">=", to: value}
  severities: [{level: WARNING, enter: 100}]
"""


def header(*derive: str, models: str = "") -> str:
    lines = "\n".join(f"  - {{{each}}}" for each in derive)
    return f"version: 1\n{models}\nderive:\n{lines}"


def power(expr: str = "torque * speed", more: str = "", body: str = LIMIT) -> Rules:
    return rules(body, header=header(f'metric: power, expr: "{expr}"{more}'))


def values(device: Device, metric: str = "power") -> list[tuple[int, float]]:
    return [(w.window_end // PANE, w.mean) for w in device.windows if w.metric == metric]


def at(index: int, **told: float) -> Rows:
    return [(metric, pane(index, told[metric])) for metric in sorted(told)]


def test_a_rule_fires_on_what_is_made_of_two_metrics():
    device = Device(power(more=", unit: W"))
    device.feed(*at(0, speed=9, torque=10), *at(1, speed=11, torque=10), *at(2, speed=2, torque=10))
    assert values(device) == [(1, 90), (2, 110), (3, 20)]
    assert device.told() == [("FIRED", 2, "power"), ("RESOLVED", 3, "power")]
    assert (device.alerts[0].unit, device.alerts[0].value) == ("W", 110)


def test_without_one_of_the_inputs_there_is_nothing_and_nothing_is_kept():
    device = Device(power()).feed(*at(0, speed=20), *at(1, speed=20, torque=20), *at(2, torque=9))
    assert values(device) == [(2, 400)]
    (state,) = device.state.entry().derived.values()
    assert list(state.parts) == ["torque"]


def test_bad_readings_alone_are_no_value():
    device = Device(power()).feed(("speed", pane(0, bad=2)), ("torque", pane(0, 5.0)))
    assert values(device) == []


@pytest.mark.parametrize(
    ("expr", "speed"),
    [("torque / speed", 0), ("sqrt(speed) * torque", -1), ("speed * torque", 1e308)],
)
def test_what_has_no_value_makes_no_pane(expr, speed):
    device = Device(power(expr)).feed(*at(0, speed=speed, torque=1e9), *at(1, speed=4, torque=1))
    assert [end for end, _ in values(device)] == [2]


def test_a_derived_metric_may_be_made_of_another_whatever_their_order_in_the_file():
    both = rules(
        LIMIT.replace("power", "loss"),
        header=header('metric: loss, expr: "power - out"', 'metric: power, expr: "torque * speed"'),
    )
    device = Device(both).feed(
        *at(0, out=10, speed=11, torque=11), *at(1, out=10, speed=1, torque=1)
    )
    assert values(device, "loss") == [(1, 111), (2, -9)]


def test_of_several_of_one_name_the_first_for_the_device_counts():
    several = rules(
        LIMIT,
        header=header(
            'metric: power, expr: "a", device: "other*"', 'metric: power, expr: "a * 2", device: "plant*"',
            'metric: power, expr: "a * 3"',
        ),
    )  # fmt: skip
    assert values(Device(several).feed(*at(0, a=7))) == [(1, 14)]


def test_a_sensor_of_a_derived_metric_s_name_is_left_out():
    device = Device(power()).feed(*at(0, power=999, speed=1, torque=2))
    assert values(device) == [(1, 2)]


def test_the_state_of_a_machine_can_be_a_derived_one():
    gated = rules(
        LIMIT.replace(
            "metric: power}", "metric: heat}\n  when: {metric: power, op: '>=', value: 50}"
        ),
        header=header('metric: power, expr: "volt * ampere"'),
    )
    device = Device(gated)
    for index, volt in enumerate([1, 10, 10, 1]):
        device.feed(*at(index, ampere=10, heat=200, volt=volt))
    # What comes before it is told, by name, waits for it.
    assert values(device, "heat") == [(2, 200), (3, 200), (4, 200)]
    assert device.told() == [("FIRED", 2, "heat")]


def test_inputs_with_shorter_panes_are_put_together():
    """A job that goes on from another's panes may have them; what comes out is the same."""
    fast = [("speed", pane(i, 2.0 + i % 3, size=PANE // 3)) for i in range(9)]
    slow = [("torque", pane(i, 10.0 + i)) for i in range(3)]
    rows = sorted([*fast, *slow], key=lambda row: (row[1].pane_end, row[0]))
    device = Device(power()).feed(*rows)
    assert values(device) == [(1, 30), (2, 33), (3, 36)]


def test_what_is_still_open_comes_once_the_device_has_gone_on():
    third = PANE // 3
    device = Device(power())
    device.feed(("speed", pane(0, 2.0, size=third)), ("torque", pane(0, 10.0)))
    assert values(device) == []  # more of the speed could come
    device.feed(("other", pane(1, 1.0, size=PANE * 2)))
    assert values(device) == [(1, 20)]


def test_another_formula_forgets_what_was_made_by_the_former():
    wide = LIMIT.replace("size: 15m", "size: 30m")
    device = Device(power(body=wide)).feed(*at(4, speed=20, torque=20))
    assert device.told() == [("FIRED", 5, "power")]
    device.engine = Engine(power("torque + speed", body=wide))
    device.feed(*at(5, speed=20, torque=20))
    closed = device.alerts[-1]
    assert (closed.event, closed.resolve_reason) == ("RESOLVED", "RULE_CHANGED")
    assert values(device)[-1] == (6, 40)  # and not the mean of 400 and 40


def test_an_alert_of_a_derived_metric_ends_when_that_is_no_more():
    device = Device(power()).feed(*at(0, speed=20, torque=20))
    device.engine = Engine(rules(LIMIT.replace("power", "other")))
    device.feed(*at(1, speed=20))
    assert [(a.event, a.resolve_reason) for a in device.alerts] == [
        ("FIRED", None), ("RESOLVED", "RULE_CHANGED"),
    ]  # fmt: skip
    assert device.state.entry().derived == {}


def test_a_device_without_the_inputs_costs_nothing():
    device = Device(power(), stored=True).feed(*at(0, other=1), *at(1, other=2))
    assert "device" not in device.store.pieces


def test_state_from_before_there_were_derived_metrics_is_read():
    class Former(msgspec.Struct, array_like=True):
        gates: dict[str, Any] = {}
        held: int = 0
        held_to: int = 0
        waits: list[str] = []

    data = bytes((STATE_VERSION,)) + msgspec.msgpack.encode(Former(held=0, held_to=7))
    assert decode_state(data, DeviceEntry) == DeviceEntry(held_to=7)
    entry = DeviceEntry(derived={"power": DerivedState("d", memory=[1.0])})
    assert decode_state(encode_state(entry), DeviceEntry) == entry


RUL = """
models:
  pump: {kind: rul, version: 1, inputs: [speed, torque], every: 15m, mean: [0, 0], scale: [1, 1],
    weights: [1, 1], offset: 0, fast: 0.5, slow: 0.1, polynomial: [[0, 0, 200], [1, 0, -50],
    [0, 1, -3]], fast_range: [-9, 9], slow_range: [-9, 9], cap: 125}
"""
MANY = (
    'metric: power, expr: "torque * speed"',
    'metric: load, expr: "power / limit > 0.5 or speed < 0"',
    "metric: life, model: pump",
)
LIFE_RULES = """
- name: overload
  match: {metric: power}
  when: {metric: load, op: ">=", value: 0.5}
  window: {size: 1h, slide: 15m}
  aggregate: mean
  compare: {op: ">=", to: value}
  severities: [{level: WARNING, enter: 1}]
- name: over
  match: {metric: life}
  window: {size: 15m, slide: 15m}
  aggregate: last
  compare: {op: "<=", to: value}
  severities: [{level: CRITICAL, enter: 110, exit: 120}]
"""


def life(seed: int, panes: int = 24) -> Rows:
    """Panes of three metrics, any of them missing, bad or of a third of the usual length."""
    rng = random.Random(seed)
    rows: Rows = []
    for index in range(panes):
        for metric in ("limit", "speed", "torque"):
            drawn = rng.random()
            if drawn < 0.1:
                continue
            if drawn < 0.2:
                rows.append((metric, pane(index, bad=1)))
            elif drawn < 0.3:
                parts = [i for i in range(3) if rng.random() < 0.8]
                rows += [
                    (metric, pane(3 * index + i, rng.gauss(1, 1), size=PANE // 3)) for i in parts
                ]
            else:
                rows.append((metric, pane(index, rng.gauss(1, 1), rng.gauss(1, 1))))
    return sorted(rows, key=lambda row: (row[1].pane_end, row[0]))


def derived_life() -> Rules:
    return rules(LIFE_RULES, header=header(*MANY, models=RUL))


def test_such_a_life_has_alerts_of_both_kinds():
    told = {
        (a.rule, a.event)
        for seed in range(5)
        for a in Device(derived_life()).feed(*life(seed)).alerts
    }
    assert told == {
        (rule, event) for rule in ("overload", "over") for event in ("FIRED", "RESOLVED")
    }


@given(st.integers(0, 1 << 30))
def test_storing_the_state_at_every_pane_changes_no_byte(seed):
    rows = life(seed)
    live, stored = (Device(derived_life(), stored=s).feed(*rows) for s in (False, True))
    for one, other in ((live.windows, stored.windows), (live.alerts, stored.alerts)):
        assert [encode(each, 1) for each in one] == [encode(each, 1) for each in other]
    assert stored.store.pieces == {k: v for k, v in live.state.changed() if v is not None}


@given(st.integers(0, 1 << 30))
def test_panes_that_come_again_change_nothing(seed):
    rows = life(seed)
    again = [
        each
        for index, row in enumerate(rows)
        for each in (row, *rows[max(0, index - 4) : index + 1])
    ]
    once, twice = (Device(derived_life()).feed(*fed) for fed in (rows, again))
    assert twice.windows == once.windows
    assert twice.state.entry().derived == once.state.entry().derived


@given(st.integers(0, 1 << 30))
def test_values_are_those_of_a_look_at_all_panes_at_once(seed):
    rows = life(seed)
    end = max(each.pane_end for _, each in rows) + 10 * PANE
    device = Device(rules(LIMIT, header=header(MANY[0])))
    device.feed(*rows, ("other", pane(end // PANE, 1.0)))
    means: dict[int, dict[str, list[tuple[int, float]]]] = {}
    for metric, each in rows:
        if each.n:
            own = means.setdefault(-(-each.pane_end // PANE), {})
            own.setdefault(metric, []).append((each.n, each.mean))
    wanted = {}
    for index, own in means.items():
        if {"speed", "torque"} <= own.keys():
            one, other = (
                sum(n * x for n, x in own[m]) / sum(n for n, _ in own[m])
                for m in ("speed", "torque")
            )
            wanted[index] = one * other
    assert dict(values(device)) == pytest.approx(wanted)


def test_what_a_pane_holds():
    device = Device(power())
    rows = [("speed", pane(4, 1.0, 3.0)), ("torque", pane(4, 10.0, 20.0, 30.0))]
    (made,) = device.feed(*rows).windows
    assert (made.count, made.mean, made.min, made.max, made.stddev) == (2, 40, 40, 40, 0)


def test_runs_and_roll_ups_of_derived_metrics():
    """Its state comes as often as what waits for it, though the file asks for less."""
    made = rules(
        LIMIT.replace("metric: power}", "metric: other}").replace("15m", "1h"),
        header=header('metric: power, expr: "a * b", every: 5m', 'metric: runs, expr: "power > 5"')
        + """
sessions:
  - {name: run, while: {metric: runs, op: ">=", value: 0.5}, gap: 15m, of: power}
rollups:
  - {metric: power, size: 1h}
""",
    )
    assert {each.metric: each.pane_ms for each in made.derived} == {
        "power": 300_000,
        "runs": 300_000,
    }
    device = Device(made)
    for index in range(72):  # six hours of five minutes: it runs for one of them
        b = 10.0 if 24 <= index < 36 else 1.0
        device.feed(
            *[(metric, pane(index, x, size=300_000)) for metric, x in (("a", 1.0), ("b", b))]
        )
    power_rows = [w for w in device.windows if w.metric == "power"]
    (run,) = [w for w in power_rows if w.session]
    assert (run.mean, run.count) == (10, 12)
    hours = [w.mean for w in power_rows if not w.session]
    assert hours == [1, 1, 10, 1, 1, 1]
