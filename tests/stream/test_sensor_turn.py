"""Checks of sensors in the engine: their alerts, and what the process rules do meanwhile."""

from typing import Any

import pytest
from device_runs import Device
from hypothesis import given, settings
from hypothesis import strategies as st
from rule_builders import MINUTE, PANE, pane, rules

from stream.engine import Engine
from stream.rule import Rules

WILD = [20.0 + i % 7 for i in range(60)]
"""Healthy readings, a pane each: no two neighbours are equal."""


def checked(checks: str, more: str = "", process: str = "") -> Rules:
    return rules(
        f"""
        - name: sensor
          match: {{metric: "*"}}
          checks: {{{checks}}}
          every: 15m
          keep_firing_for: 0s
          {more}
        {process}
        """
    )


HOT = """
        - name: hot
          match: {metric: a}
          window: {size: 30m, slide: 15m}
          aggregate: mean
          compare: {op: ">=", to: value}
          severities: [{level: WARNING, enter: 90, for: 30m}]
          cooldown: 0s
"""


def fed(given: Rules, values: list[float], **over: Any) -> Device:
    device = Device(given, stored=True)
    return device.feed(*(("a", pane(i, value, **over)) for i, value in enumerate(values)))


def told(device: Device, rule: str) -> list[tuple[str, int]]:
    return [(a.event, a.emitted_at // PANE) for a in device.alerts if a.rule == rule]


def test_each_check_is_a_rule_of_its_own_and_two_may_be_open_at_once():
    device = fed(checked("stuck: {n: 20}, range: {hi: 90}"), [*WILD, *[99.0] * 25, 20.0])
    assert told(device, "sensor_range") == [("FIRED", 61), ("RESOLVED", 86)]
    assert told(device, "sensor_stuck") == [("FIRED", 80), ("RESOLVED", 86)]
    assert len({a.alert_id for a in device.alerts}) == 2
    assert {a.fingerprint for a in device.alerts} == {
        "sensor_range/plant.pump/a", "sensor_stuck/plant.pump/a",
    }  # fmt: skip


def test_an_alert_says_what_was_found_and_against_which_limit():
    (stuck, _) = fed(checked("stuck: {n: 20}"), [*WILD, *[99.0] * 20, 1.0]).alerts
    assert (stuck.value, stuck.threshold_enter, stuck.category, stuck.severity) == (
        20, 20, "SENSOR_HEALTH", "WARNING",
    )  # fmt: skip
    assert stuck.annotations["summary"].startswith("plant.pump a repeats itself: 20 readings")
    (low,) = fed(checked("range: {lo: -5, hi: 9}"), [1.0, -6.0]).alerts
    assert (low.value, low.threshold_enter, low.comparator) == (-6.0, -5, "value <=")


def test_drift_has_its_baseline_learned_first_and_says_how_far_it_is():
    spread = [20.0 + (-1) ** i for i in range(96)]
    device = fed(checked("drift: {k: 6, learn_for: 1d}"), [*spread, *[40.0] * 100, *[20.0] * 100])
    (fired, resolved) = device.alerts
    assert (fired.baseline_mean, fired.baseline_std) == (20.0, pytest.approx(1.0))
    # 20 (1 - .98^n) is 6 or more from n = 18 on, and 4.2 or less again 2 h after 100 of them: no.
    assert fired.emitted_at == (96 + 18) * PANE
    assert fired.score is not None
    assert 6 <= fired.score < 6.5
    assert resolved.score is not None
    assert 4 < resolved.score < 4.2


def test_process_rules_rest_while_a_sensor_is_stuck_and_until_their_windows_are_behind_it():
    values = [*WILD, *[95.0] * 30, *[20.0, 21.0] * 4]
    both = checked("stuck: {n: 20}", process=HOT)
    # For its first 20 readings nobody knows that it is stuck, and hot fires after half an hour.
    device = fed(both, values)
    assert told(device, "hot") == [("FIRED", 64), ("RESOLVED", 93)]
    assert told(device, "sensor_stuck") == [("FIRED", 80), ("RESOLVED", 91)]
    # It holds while the sensor is stuck, and until half an hour of sound readings is behind that.
    assert told(fed(checked("range: {hi: 90}", process=HOT), values), "hot") == []


def test_what_only_might_become_an_alert_is_forgotten_while_the_sensor_is_not_to_be_trusted():
    late = HOT.replace("for: 30m", "for: 6h")
    values = [*WILD, *[95.0] * 30, *[95.0, 96.0] * 20]
    device = fed(checked("stuck: {n: 20}", process=late), values)
    assert told(device, "sensor_stuck") == [("FIRED", 80), ("RESOLVED", 92)]
    # Two more quarters for a window of its own, and six hours from there.
    assert told(device, "hot") == [("FIRED", 94 + 24)]


def test_what_ends_with_its_machine_does_not_end_with_its_sensor():
    hot = HOT.replace("for: 30m", "for: 0s") + (
        '          when: {metric: running, op: ">=", value: 0.5, open: close}\n'
    )
    device = Device(checked("range: {hi: 98}", process=hot), stored=True)
    for i, value in enumerate([20.0, 20.0, 95.0, 95.0, 99.0, 99.0, 95.0]):
        device.feed(("a", pane(i, value)), ("running", pane(i, 1.0)))
    assert told(device, "sensor_range") == [("FIRED", 5), ("RESOLVED", 7)]
    assert [event for event, _ in told(device, "hot")] == ["FIRED"]
    for i in (7, 8):
        device.feed(("a", pane(i, 95.0)), ("running", pane(i, 0.0)))
    assert [event for event, _ in told(device, "hot")] == ["FIRED", "RESOLVED"]


def test_gates_can_be_switched_off_and_drift_never_gates():
    values = [*WILD, *[95.0] * 30]
    off = checked("range: {hi: 90}", "gates: false", HOT)
    assert told(fed(off, values), "hot") == [("FIRED", 64)]
    drifting = checked("drift: {k: 6, learn_for: 12h}", process=HOT)
    device = fed(drifting, values)
    assert [event for event, _ in told(device, "sensor_drift")] == ["FIRED"]
    assert told(device, "hot") == [("FIRED", 64)]


def test_baselines_do_not_learn_from_a_sensor_that_is_not_to_be_trusted():
    odd = """
        - name: odd
          match: {metric: a}
          window: {size: 15m, slide: 15m}
          aggregate: mean
          compare: {op: "abs>=", to: zscore, baseline: slow}
          severities: [{level: WARNING, enter: 1000}]
    """
    header = (
        "version: 1\nbaselines:\n  slow: {kind: decayed, n0: 50, counted_every: 15m, warmup: 5}"
    )
    body = f"""
- name: sensor
  match: {{metric: "*"}}
  checks: {{range: {{hi: 90}}}}
  every: 15m
{odd}
"""
    both = rules(body.replace("\n        ", "\n"), header=header)
    device = fed(both, [*WILD, *[99.0] * 50, *WILD])
    baseline = Device(both, stored=True)
    baseline.store = device.store
    learned = device.store.load().series("a").rules["odd"].baseline
    assert 20 <= learned.mean <= 26


def test_drift_is_not_judged_by_values_that_are_none():
    spread = [20.0 + (-1) ** i for i in range(96)]
    device = fed(checked("drift: {k: 6, learn_for: 1d}, range: {hi: 90}"), [*spread, *[99.0] * 60])
    assert {a.rule for a in device.alerts} == {"sensor_range"}


def test_a_spike_is_told_as_information_and_gates_nothing():
    both = checked("spike: {k: 10}", process=HOT.replace("for: 30m", "for: 0s"))
    device = fed(both, [*WILD, 5000.0, *WILD])
    assert [(a.rule, a.severity) for a in device.alerts if a.event == "FIRED"] == [
        ("hot", "WARNING"), ("sensor_spike", "INFO"),
    ]  # fmt: skip


def test_bad_readings_alone_raise_the_share_of_bad_ones():
    device = Device(checked("bad_share: {share: 0.5}, range: {hi: 9}"), stored=True)
    device.feed(*(("a", pane(i, 1.0)) for i in range(40)))
    device.feed(*(("a", pane(i, bad=1)) for i in range(40, 90)))
    (alert,) = device.alerts
    assert (alert.rule, alert.sample_count) == ("sensor_bad_share", 0)
    assert 0.5 <= alert.value < 0.53


def test_a_clock_that_is_not_its_gateways_is_told_with_how_far_it_is_off():
    both = checked("clock: {ahead: 30s, behind: 1d}", process=HOT)
    device = Device(both, stored=True)
    lags = [50, -29_000, -31_000, -25_000, -23_000, None, 90_000_000, 86_000_000, 60_000_000]
    device.feed(*(("a", pane(i, 20.0, lag=lag)) for i, lag in enumerate(lags)))
    assert [(a.event, a.value, a.threshold_enter) for a in device.alerts] == [
        ("FIRED", 31.0, 30.0), ("RESOLVED", 23.0, 30.0),
        ("FIRED", -90_000.0, -86_400.0), ("RESOLVED", -60_000.0, -86_400.0),
    ]  # fmt: skip
    assert {a.rule for a in device.alerts} == {"sensor_clock"}
    (series,) = [device.state.series("a")]
    assert series.health is not None
    assert not series.health.gated


def test_a_wrong_clock_is_seen_in_bad_readings_alone():
    device = Device(checked("clock: {ahead: 30s}"))
    device.feed(("a", pane(0, bad=3, lag=-60_000)), ("a", pane(1, bad=1, lag=10**9)))
    assert [(a.event, a.value) for a in device.alerts] == [("FIRED", 60.0), ("RESOLVED", -1e6)]


def test_a_run_goes_on_through_a_time_that_a_rule_is_not_in_force():
    machine = checked("stuck: {n: 20}", 'when: {metric: running, op: ">=", value: 0.5}')

    def fired(held: float) -> list[tuple[str, int]]:
        device = Device(machine, stored=True)
        values = [*WILD, *[5.0] * 15, *[held] * 30, *[5.0] * 10]
        for i, value in enumerate(values):
            device.feed(("a", pane(i, value)), ("running", pane(i, float(not 75 <= i < 105))))
        return told(device, "sensor_stuck")

    assert fired(5.0) == [("FIRED", 106)]
    assert fired(0.0) == []  # at rest it says 0, as it should


def test_when_the_checks_are_gone_their_alerts_end_and_nothing_rests():
    device = fed(checked("range: {hi: 90}", process=HOT), [20.0, *[95.0] * 3])
    device.engine = Engine(rules(HOT))
    device.feed(*(("a", pane(i, 95.0)) for i in range(4, 8)))
    assert [(a.event, a.rule, a.resolve_reason) for a in device.alerts] == [
        ("FIRED", "sensor_range", None), ("RESOLVED", "sensor_range", "RULE_CHANGED"),
        ("FIRED", "hot", None),
    ]  # fmt: skip


ALL = checked(
    "stuck: {n: 5}, range: {lo: -2, hi: 2}, drift: {k: 2, learn_for: 3h}, spike: {k: 3}, "
    "bad_share: {share: 0.3}, no_data: {after: 5x}, clock: {ahead: 1m}",
    process=HOT,
)
MESSAGES = st.lists(
    st.tuples(
        st.integers(1, 7),
        st.sampled_from("ab"),
        st.lists(st.sampled_from([0.0, 1.0, -1.0, 3.0, 95.0]), max_size=4),
        st.integers(0, 2),
    ),
    max_size=60,
)


def as_rows(messages: list[tuple[int, str, list[float], int]]) -> list[tuple[str, Any]]:
    at, found = dict.fromkeys("ab", 0), []
    for gap, metric, values, bad in messages:
        at[metric] += gap
        if values or bad:
            found.append((metric, pane(at[metric], *values, bad=bad)))
    found.sort(key=lambda row: (row[1].pane_end, row[0]))
    return found


@settings(max_examples=80)
@given(MESSAGES)
def test_state_to_bytes_and_back_at_every_pane_changes_nothing(messages):
    kept = Device(ALL).feed(*as_rows(messages))
    stored = Device(ALL, stored=True).feed(*as_rows(messages))
    assert (stored.alerts, stored.windows) == (kept.alerts, kept.windows)


@settings(max_examples=80)
@given(MESSAGES)
def test_alerts_open_and_close_in_turn_and_their_times_go_forward(messages):
    device = Device(ALL).feed(*as_rows(messages))
    for rule in {a.rule for a in device.alerts}:
        for metric in "ab":
            own = [a for a in device.alerts if (a.rule, a.metric) == (rule, metric)]
            assert [a.event for a in own] == (["FIRED", "RESOLVED"] * len(own))[: len(own)]
            assert [a.emitted_at for a in own] == sorted(a.emitted_at for a in own)
            assert all(a.ends_at is None or a.ends_at >= a.starts_at for a in own)


@settings(max_examples=40)
@given(MESSAGES)
def test_a_pane_that_comes_twice_is_passed_over(messages):
    once = Device(ALL).feed(*as_rows(messages))
    twice = Device(ALL).feed(*(row for each in as_rows(messages) for row in (each, each)))
    assert twice.alerts == once.alerts


def test_panes_of_a_minute_serve_every_check_unless_said():
    (rule,) = checked("range: {hi: 9}").rules
    assert rule.window.size_ms == PANE
    made = rules("- {name: s, match: {metric: a}, checks: {range: {hi: 9}}}").rules[0]
    assert made.window.size_ms == MINUTE
