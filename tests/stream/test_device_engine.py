"""Rules that ask for the state of the machine: several metrics of one device in one engine."""

from device_runs import Device, quarter
from rule_builders import PANE, pane, rules

from stream.engine import Engine
from stream.rule import Rules


def hot(
    when: str = "", *, severities: str = "[{level: WARNING, enter: 50}]", more: str = ""
) -> Rules:
    """A limit on each metric but `running`, every quarter of an hour."""
    return rules(
        f"""
        - name: hot
          match: {{metric: [current, temperature, vibration]}}
          when: {{metric: running, op: ">=", value: 0.5, for: 30m{when}}}
          window: {{size: 15m, slide: 15m}}
          aggregate: mean
          compare: {{op: ">=", to: value}}
          severities: {severities}
          {more}
        """
    )


def test_a_pane_waits_for_the_state_and_then_all_come_in_order():
    device = Device(hot()).feed(*quarter(0))
    device.feed(*quarter(1, current=1)[:1])
    assert device.evaluated() == []
    device.feed(*quarter(1, temperature=2))
    assert device.evaluated() == [("current", 2), ("temperature", 2)]


def test_where_the_state_is_not_told_a_pane_waits_until_the_device_has_gone_on():
    device = Device(hot()).feed(*quarter(0))
    device.feed(*quarter(1, None, current=1, temperature=1))
    assert device.evaluated() == []
    device.feed(*quarter(2, None, current=1))
    assert device.evaluated() == [("current", 2), ("temperature", 2)]


def test_what_no_rule_asks_for_waits_behind_what_one_does():
    both = rules(
        """
        - name: gated
          match: {metric: a}
          when: {metric: running, op: ">=", value: 1}
          window: {size: 15m, slide: 15m}
          aggregate: mean
          compare: {op: ">=", to: value}
          severities: [{level: WARNING, enter: 50}]
        - name: plain
          match: {metric: b}
          window: {size: 15m, slide: 15m}
          aggregate: mean
          compare: {op: ">=", to: value}
          severities: [{level: WARNING, enter: 50}]
        """
    )
    device = Device(both).feed(*quarter(0, a=1, b=1))
    device.feed(("a", pane(1, 99.0)), ("b", pane(1, 99.0)))
    assert device.alerts == []
    device.feed(("running", pane(1, 1.0)))
    assert device.told() == [("FIRED", 2, "a"), ("FIRED", 2, "b")]


def test_nothing_fires_until_the_state_has_held():
    device = Device(hot())
    for index, running in enumerate([0, 0, 1, 1, 1, 0, 1]):
        device.feed(*quarter(index, running, current=99, vibration=99))
    # It runs from the third quarter on, and half an hour of it is over at the end of the fourth.
    assert device.told() == [("FIRED", 4, "current"), ("FIRED", 4, "vibration")]


def test_a_device_that_never_tells_its_state_is_never_evaluated_and_costs_nothing():
    device = Device(hot(), stored=True)
    for index in range(9):
        device.feed(*quarter(index, None, current=99))
    assert (device.alerts, device.windows, device.store.pieces) == ([], [], {})


def test_a_window_that_reaches_back_before_the_state_is_not_evaluated():
    hourly = rules(
        """
        - name: hot
          match: {metric: temperature}
          when: {metric: running, op: ">=", value: 0.5}
          window: {size: 1h, slide: 15m}
          aggregate: mean
          compare: {op: ">=", to: value}
          severities: [{level: WARNING, enter: 50}]
        """
    )
    device = Device(hourly)
    for index, running in enumerate([0, 0, 1, 1, 1, 1]):
        device.feed(*quarter(index, running, temperature=99))
    assert device.told() == [("FIRED", 6, "temperature")]


STOPS = [1, 1, 1, 0, 0, 1, 1, 1, 1]
"""Running from quarter 0 and 5 on, so evaluated at the ends 2, 3 and 7 and later."""


def test_while_the_state_is_another_an_alert_stays_as_it_is():
    device = Device(hot())
    for index, running in enumerate(STOPS):
        device.feed(*quarter(index, running, current=99 if index < 3 else 1))
    assert device.told() == [("FIRED", 2, "current"), ("RESOLVED", 7, "current")]
    assert device.alerts[-1].resolve_reason == "VALUE"


def test_or_ends_if_the_rule_says_so():
    device = Device(hot(", open: close"))
    for index, running in enumerate(STOPS):
        device.feed(*quarter(index, running, current=99))
    assert device.told() == [
        ("FIRED", 2, "current"), ("RESOLVED", 4, "current"), ("FIRED", 7, "current"),
    ]  # fmt: skip
    closed = device.alerts[1]
    assert (closed.resolve_reason, closed.prev_state, closed.ends_at) == (
        "RESET",
        "FIRING",
        4 * PANE,
    )
    assert closed.alert_id == device.alerts[0].alert_id


def test_what_is_pending_is_forgotten_when_the_machine_stops():
    delayed = hot(severities="[{level: WARNING, enter: 50, for: 30m}]")
    device = Device(delayed)
    for index, running in enumerate(STOPS):
        device.feed(*quarter(index, running, current=99 if index > 1 else 1))
    # Pending since 3; with the stop in between, the half hour begins anew at 7.
    assert device.told() == [("FIRED", 9, "current")]


def test_a_rule_for_devices_that_do_not_tell_ends_once_one_does():
    silent = rules(
        """
        - name: hot
          match: {metric: temperature}
          when: {absent: running}
          window: {size: 15m, slide: 15m}
          aggregate: mean
          compare: {op: ">=", to: value}
          severities: [{level: WARNING, enter: 50}]
        """
    )
    device = Device(silent)
    for index in range(6):
        device.feed(*quarter(index, None if index < 3 else 0, temperature=99))
    assert device.told() == [("FIRED", 1, "temperature"), ("RESOLVED", 4, "temperature")]
    assert device.alerts[-1].resolve_reason == "RESET"
    assert device.evaluated()[-1] == ("temperature", 4)


def test_after_an_alert_nothing_is_evaluated_for_its_cooldown():
    cooled = hot(more="cooldown: 1h")
    device = Device(cooled)
    for index, value in enumerate([1, 99, 1, 99, 99, 99, 99, 99]):
        device.feed(*quarter(index, current=value))
    assert device.told() == [
        ("FIRED", 2, "current"), ("RESOLVED", 3, "current"), ("FIRED", 7, "current"),
    ]  # fmt: skip


def test_a_state_no_rule_asks_for_any_more_is_forgotten_and_holds_nothing_up():
    device = Device(hot()).feed(*quarter(0), *quarter(1, None, current=99))
    assert device.state.entry().held == 1
    device.engine = Engine(rules(ANOTHER_STATE))
    device.feed(*quarter(1, None, temperature=99))
    assert (device.state.entry().held, device.state.entry().gates) == (0, {})
    device.feed(*quarter(2, temperature=99), *quarter(3, temperature=99))
    assert device.told() == [("FIRED", 3, "temperature")]


ANOTHER_STATE = """
- name: hot
  match: {metric: temperature}
  when: {metric: running, op: ">=", value: 0.9}
  window: {size: 15m, slide: 15m}
  aggregate: mean
  compare: {op: ">=", to: value}
  severities: [{level: WARNING, enter: 50}]
"""
