"""What people say about alerts: done once, at one pane, whoever takes it and however often."""

from typing import Any

import pytest
from device_runs import Device
from hypothesis import given
from hypothesis import strategies as st
from rule_builders import HOUR, PANE, pane, rules

from schemas.records import Alert, AlertCommand, Command
from stream.commands import Commands, Said, said
from stream.rule import Rules

DEVICE = "plant.pump"
LATCHING = """
- name: hot
  match: {metric: a}
  window: {size: 15m, slide: 15m}
  aggregate: mean
  compare: {op: ">=", to: value}
  severities:
    - {level: WARNING, enter: 50}
    - {level: CRITICAL, enter: 90, latch: true}
  MORE
"""


def made(more: str = "") -> Rules:
    return rules(LATCHING.replace("MORE", more))


class Plant:
    """A device, and what is said of its alerts between its panes."""

    def __init__(self, given: Rules) -> None:
        self.device = Device(given, stored=True)
        self.commands = Commands()
        self.panes = 0

    def feed(self, *values: float) -> list[tuple[str, str, int]]:
        """Take panes of these values; return what was told of, as event, state and pane."""
        first = len(self.device.alerts)
        for value in values:
            at = (self.panes + 1) * PANE
            due = self.commands.due(DEVICE, at)
            if due:
                state = self.device.store.load()
                alerts = self.device.engine.obey(state, DEVICE, "plant", due, at).alerts
                self.device.alerts.extend(alerts)
                self.device.store.keep(state)
            self.device.feed(("a", pane(self.panes, value)))
            self.panes += 1
        return [(a.event, a.state, a.emitted_at // PANE) for a in self.device.alerts[first:]]

    def say(self, command: Command, of: Alert | None = None, **more: Any) -> Said:
        """Say something, just before the next pane ends."""
        alert = of or self.device.alerts[-1]
        at = (self.panes + 1) * PANE - 1
        told = AlertCommand(
            command=command, alert_id=alert.alert_id, fingerprint=alert.fingerprint, at=at,
            by="anna", **more,
        )  # fmt: skip
        one = said(at, told)
        self.commands.know(one)
        return one


def test_an_acknowledgement_is_told_once_and_kept_until_it_gets_worse():
    plant = Plant(made())
    plant.feed(60)
    first = plant.say("ACK")
    assert plant.feed(60) == [("ACKED", "FIRING", 2)]
    assert plant.device.alerts[-1].acked_by == "anna"
    plant.commands.know(first)  # as a worker does that begins anew
    assert plant.feed(60) == []
    assert plant.feed(95) == [("ESCALATED", "FIRING", 4)]
    assert plant.device.alerts[-1].acked_at is None
    plant.say("ACK")
    assert [event for event, *_ in plant.feed(95, 40)] == ["ACKED", "RENOTIFY"]
    assert plant.device.alerts[-1].acked_by == "anna", "to latch is not to get worse"


def test_what_is_said_twice_is_done_once():
    plant = Plant(made())
    plant.feed(60)
    plant.say("ACK")
    plant.say("ACK")
    assert plant.feed(60) == [("ACKED", "FIRING", 2)]


def test_a_shelf_keeps_an_alert_quiet_and_then_it_is_told_anew():
    plant = Plant(made("realarm_after: 30m"))
    plant.feed(60)
    plant.say("ACK")
    plant.say("SHELVE", until=5 * PANE)
    assert plant.feed(60) == [("ACKED", "FIRING", 2), ("SHELVED", "FIRING", 2)]
    assert plant.feed(60, 60) == [], "a re-alarm was due"
    assert plant.feed(60) == [("RENOTIFY", "FIRING", 5)]
    again = plant.device.alerts[-1]
    assert (again.shelved_until, again.acked_at) == (None, None)


def test_what_happens_on_the_shelf_is_recorded_as_shelved():
    plant = Plant(made())
    plant.feed(60)
    plant.say("SHELVE", until=9 * PANE)
    assert [event for event, *_ in plant.feed(60, 95)] == ["SHELVED", "ESCALATED"]
    assert plant.device.alerts[-1].shelved_until == 9 * PANE
    plant.say("UNSHELVE")
    assert plant.feed(95) == [("RENOTIFY", "FIRING", 4)]
    assert plant.device.alerts[-1].shelved_until is None


def test_a_reset_ends_what_has_latched_and_nothing_else():
    plant = Plant(made())
    plant.feed(95)
    plant.say("RESET")
    assert plant.feed(95) == [], "its condition holds"
    assert plant.feed(40) == [("RENOTIFY", "LATCHED", 3)]
    latched = plant.device.alerts[-1]
    plant.say("RESET")
    assert plant.feed(40) == [("RESOLVED", "RESOLVED", 4)]
    assert plant.device.alerts[-1].resolve_reason == "RESET"
    plant.feed(60)
    plant.say("ACK", latched)
    assert plant.feed(60) == [], "it is another alert"


def test_a_command_waits_for_a_pane_that_ends_behind_it():
    plant = Plant(made())
    plant.feed(60)
    plant.commands.know(plant.say("ACK")._replace(at=3 * PANE))
    plant.commands.due("elsewhere", 9 * HOUR)
    assert plant.feed(60) == [("ACKED", "FIRING", 2)]


def test_an_alert_of_a_rule_over_rules_is_acknowledged_as_any_other():
    over = (
        LATCHING.replace("MORE", "")
        + """
- name: both
  votes: {of: [hot, warm], k: 2}
  severities: [{level: CRITICAL, enter: 2}]
- name: warm
  match: {metric: a}
  window: {size: 15m, slide: 15m}
  aggregate: max
  compare: {op: ">=", to: value}
  severities: [{level: INFO, enter: 20}]
"""
    )
    plant = Plant(rules(over))
    plant.feed(60)
    (both,) = [each for each in plant.device.alerts if each.rule == "both"]
    plant.say("ACK", both)
    assert ("ACKED", "FIRING", 2) in plant.feed(60)
    assert plant.device.alerts[-1].rule == "both"


@pytest.mark.parametrize("mark", ["", "hot", "hot/device", "a/b/c/d", "//"])
def test_what_names_no_alert_is_refused(mark: str):
    command = AlertCommand(command="ACK", alert_id="", fingerprint=mark, at=0, by="anna")
    with pytest.raises(ValueError, match="rule/device/metric"):
        said(0, command)


values = st.lists(st.sampled_from([10.0, 60.0, 95.0]), min_size=3, max_size=12)
words = st.lists(
    st.tuples(st.integers(1, 10), st.sampled_from(["ACK", "SHELVE", "UNSHELVE", "RESET"])),
    max_size=6,
)


@given(values, words)
def test_a_life_stays_one_whatever_is_said(series: list[float], words: list[tuple[int, Command]]):
    """No end without a beginning, numbers without a gap, quiet shelves, and replays agree."""

    def run(*, again: bool) -> list[Alert]:
        plant = Plant(made("realarm_after: 30m"))
        known: list[Said] = []
        for index, value in enumerate(series):
            if plant.device.alerts:
                known += [
                    plant.say(word, until=(index + 3) * PANE) for at, word in words if at == index
                ]
            if again:  # a worker that begins anew hears everything once more
                plant.commands = Commands()
                for each in known:
                    plant.commands.know(each)
            plant.feed(value)
        return plant.device.alerts

    once = run(again=False)
    assert run(again=True) == once
    open_: Alert | None = None
    for each in once:
        assert (each.seq == 0) == (open_ is None) == (each.event == "FIRED")
        if open_ is not None:
            assert (each.seq, each.alert_id) == (open_.seq + 1, open_.alert_id)
        if each.event == "RENOTIFY" and each.state == each.prev_state:
            assert (each.shelved_until, each.acked_at) == (None, None)
        open_ = None if each.state == "RESOLVED" else each
