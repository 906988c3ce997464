"""Alerts that stay until they are reset, and those that are told of again."""

from device_runs import Device, quarter
from hypothesis import given
from hypothesis import strategies as st
from rule_builders import HOUR, PANE, pane, rules

from schemas.records import Alert, AlertCommand
from stream.lifecycle import phase
from stream.rule import Rules
from stream.rule_life import obey


def trip(severities: str = "[{level: CRITICAL, enter: 50, latch: true}]", more: str = "") -> Rules:
    return rules(
        f"""
        - name: trip
          match: {{metric: a}}
          window: {{size: 15m, slide: 15m}}
          aggregate: mean
          compare: {{op: ">=", to: value}}
          severities: {severities}
          {more}
        """
    )


def run(given: Rules, *values: float) -> Device:
    device = Device(given, stored=True)
    return device.feed(*(("a", pane(i, value)) for i, value in enumerate(values)))


def told(device: Device) -> list[tuple[str, str, int]]:
    return [(a.event, a.state, a.emitted_at // PANE) for a in device.alerts]


def reset_by_hand(device: Device, at: int) -> Alert | None:
    state = device.store.load()
    rule = device.rules.rules[0]
    life = state.series("a").rules[rule.name].life
    mark = "" if life.open is None else life.open.alert_id
    command = AlertCommand(command="RESET", alert_id=mark, fingerprint="", at=at, by="somebody")
    ended = obey(rule, life, command, at)
    device.store.keep(state)
    return ended


def test_where_it_would_resolve_it_stays_latched_and_says_so_once():
    assert told(run(trip(), 99, 1, 1, 1)) == [("FIRED", "FIRING", 1), ("RENOTIFY", "LATCHED", 2)]


def test_a_latch_waits_for_the_off_delay():
    late = trip("[{level: CRITICAL, enter: 50, keep_firing_for: 45m, latch: true}]")
    assert told(run(late, 99, 1, 1, 1))[1:] == [("RENOTIFY", "LATCHED", 4)]


def test_when_it_is_true_again_for_long_enough_the_same_alert_fires_again():
    late = trip("[{level: CRITICAL, enter: 50, for: 15m, latch: true}]")
    device = run(late, 99, 99, 1, 99, 99, 1)
    assert told(device) == [
        ("FIRED", "FIRING", 2), ("RENOTIFY", "LATCHED", 3),
        ("RENOTIFY", "FIRING", 5), ("RENOTIFY", "LATCHED", 6),
    ]  # fmt: skip
    assert len({a.alert_id for a in device.alerts}) == 1
    assert [a.seq for a in device.alerts] == [0, 1, 2, 3]


def test_a_reset_ends_it_and_the_next_one_is_another():
    device = run(trip(), 99, 1)
    ended = reset_by_hand(device, 2 * PANE)
    assert ended is not None
    assert (ended.event, ended.prev_state, ended.resolve_reason, ended.ends_at, ended.seq) == (
        "RESOLVED", "LATCHED", "RESET", 2 * PANE, 2,
    )  # fmt: skip
    device.feed(("a", pane(2, 1.0)), ("a", pane(3, 99.0)))
    assert told(device)[2:] == [("FIRED", "FIRING", 4)]
    assert device.alerts[-1].alert_id != ended.alert_id


def test_what_still_holds_or_is_not_there_cannot_be_reset():
    assert reset_by_hand(run(trip(), 99), PANE) is None
    assert reset_by_hand(run(trip(), 1), PANE) is None


def test_a_reset_begins_the_cooldown():
    device = run(trip(more="cooldown: 1h"), 99, 1)
    reset_by_hand(device, 2 * PANE)
    device.feed(*(("a", pane(i, 99.0)) for i in range(2, 8)))
    assert told(device)[2:] == [("FIRED", "FIRING", 6)]


def test_a_lower_severity_without_a_latch_goes_and_the_latched_one_stays():
    two = trip(
        "[{level: WARNING, enter: 20}, {level: CRITICAL, enter: 50, latch: true}]",
    )
    device = run(two, 99, 30, 1)
    assert told(device) == [("FIRED", "FIRING", 1), ("RENOTIFY", "LATCHED", 2)]
    assert {a.severity for a in device.alerts} == {"CRITICAL"}


def test_from_a_severity_that_ends_to_one_that_is_latched():
    two = trip("[{level: WARNING, enter: 20, latch: true}, {level: CRITICAL, enter: 50}]")
    assert told(run(two, 99, 1)) == [("FIRED", "FIRING", 1), ("DEESCALATED", "LATCHED", 2)]


def test_a_latch_outlasts_the_machines_stop():
    stops = trip(more='when: {metric: running, op: ">=", value: 0.5, open: close}')
    device = Device(stops, stored=True)
    device.feed(*quarter(0, a=1), *quarter(1, a=99), *quarter(2, a=1), *quarter(3, 0, a=1))
    assert told(device) == [("FIRED", "FIRING", 2), ("RENOTIFY", "LATCHED", 3)]
    plain = trip("[{level: CRITICAL, enter: 50}]", 'when: {metric: running, op: ">=", value: 0.5, '
                 "open: close}")  # fmt: skip
    stopped = Device(plain).feed(*quarter(0, a=1), *quarter(1, a=99), *quarter(2, 0, a=99))
    assert [a.resolve_reason for a in stopped.alerts] == [None, "RESET"]


def test_what_lasts_is_told_of_again_at_the_evaluations_after():
    device = run(trip("[{level: CRITICAL, enter: 50}]", "realarm_after: 1h"), *[99.0] * 11)
    assert told(device) == [
        ("FIRED", "FIRING", 1), ("RENOTIFY", "FIRING", 5), ("RENOTIFY", "FIRING", 9),
    ]  # fmt: skip
    again = device.alerts[1]
    assert (again.prev_state, again.severity, again.prev_severity) == (
        "FIRING", "CRITICAL", "CRITICAL",
    )  # fmt: skip


def test_any_record_puts_the_next_telling_off_and_none_comes_before_it_fires():
    two = "[{level: WARNING, enter: 20, for: 3h}, {level: CRITICAL, enter: 50}]"
    device = run(trip(two, "realarm_after: 1h"), *[30.0] * 15, *[99.0] * 6)
    assert told(device) == [
        ("FIRED", "FIRING", 13), ("ESCALATED", "FIRING", 16), ("RENOTIFY", "FIRING", 20),
    ]  # fmt: skip


@given(st.lists(st.sampled_from([1.0, 30.0, 99.0]), max_size=40))
def test_what_is_latched_ends_by_no_value(values):
    two = trip(
        "[{level: WARNING, enter: 20, for: 2}, {level: CRITICAL, enter: 50, latch: true, "
        "keep_firing_for: 2}]"
    )
    device = run(two, *values)
    life = device.store.load().series("a").rules["trip"].life if values else None
    if 99.0 in values:
        assert life is not None
        critical = next(i for i, a in enumerate(device.alerts) if a.severity == "CRITICAL")
        assert "RESOLVED" not in {a.event for a in device.alerts[critical:]}
        assert phase(life) in ("FIRING", "RECOVERING", "LATCHED")
        last = device.alerts[-1]
        assert life.open == last
    for before, after in zip(device.alerts, device.alerts[1:], strict=False):
        assert (before.state, before.severity) != (after.state, after.severity)
    assert all(a.emitted_at % HOUR % PANE == 0 for a in device.alerts)
