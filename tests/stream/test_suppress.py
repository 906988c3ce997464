"""Rules held back: by a stronger alert of the device, and by planned work."""

import random

from device_runs import Device, Rows
from hypothesis import given, settings
from hypothesis import strategies as st
from rule_builders import HOUR, PANE, pane

from schemas.codec import encode
from stream.rule import Rules
from stream.rules import parse_rules

LIMIT = """
  - name: {0}
    match: {{metric: {0}}}
    window: {{size: 15m, slide: 15m}}
    aggregate: mean
    compare: {{op: ">=", to: value}}
    severities: [{{level: WARNING, enter: 1{1}}}, {{level: CRITICAL, enter: 2}}]
"""
WEAK_OF_STRONG = "{inhibit: weak, if_firing: strong}"


def held(suppress: str, *, delay: str = "", more: str = "") -> Rules:
    """A weak rule and a strong one on metrics of these names, and what holds them back."""
    body = LIMIT.format("weak", delay) + LIMIT.format("strong", "") + more
    return parse_rules(f"version: 1\nrules:\n{body}\nsuppress:\n  - {suppress}\n", "test.yaml")


def rows(weak: str, strong: str, first: int = 0) -> Rows:
    return [
        (metric, pane(first + index, float(digits[index])))
        for index in range(len(weak))
        for metric, digits in (("strong", strong), ("weak", weak))
    ]


def told(loaded: Rules, weak: str, strong: str, rule: str = "weak") -> list[tuple[str, int]]:
    alerts = Device(loaded).feed(*rows(weak, strong)).alerts
    return [(each.event, each.emitted_at // PANE - 1) for each in alerts if each.rule == rule]


def test_while_the_stronger_stands_the_weaker_does_not_begin():
    assert told(held(WEAK_OF_STRONG), "0011000", "0111110") == []
    # strong itself is none of its business
    assert told(held(WEAK_OF_STRONG), "0011000", "0111110", "strong") == [
        ("FIRED", 1), ("RESOLVED", 6),
    ]  # fmt: skip


def test_when_the_stronger_has_ended_what_still_holds_begins():
    # strong ends at 4, and stands to the end of it.
    assert told(held(WEAK_OF_STRONG), "00111110", "01110000") == [("FIRED", 5), ("RESOLVED", 7)]


def test_an_alert_that_is_open_already_stays_and_may_get_worse():
    assert told(held(WEAK_OF_STRONG), "0112210", "0011110") == [
        ("FIRED", 1), ("ESCALATED", 3), ("DEESCALATED", 5), ("RESOLVED", 6),
    ]  # fmt: skip


def test_a_delay_runs_on_meanwhile():
    loaded = held(WEAK_OF_STRONG, delay=", for: 30m")
    assert told(loaded, "00111111", "01110000") == [("FIRED", 5)]
    assert told(loaded, "00000111", "01110000") == [("FIRED", 7)]


def test_of_one_series_the_stronger_comes_first_in_the_same_window():
    one = LIMIT.format("weak", "") + LIMIT.format("strong", "")
    body = one.replace("metric: weak", "metric: m").replace("metric: strong", "metric: m")
    loaded = parse_rules(f"version: 1\nrules:\n{body}\nsuppress: [{WEAK_OF_STRONG}]\n", "t.yaml")
    device = Device(loaded).feed(*[("m", pane(i, float(i % 4 > 1))) for i in range(9)])
    assert {each.rule for each in device.alerts} == {"strong"}


def test_a_rule_over_rules_can_inhibit_and_be_inhibited():
    votes = "  - {name: both, votes: {of: [weak, strong], k: 2}, severities: [{level: CRITICAL}]}\n"
    by_both = held("{inhibit: weak, if_firing: both}", more=votes)
    assert told(by_both, "01111000", "00111100", "both") == [("FIRED", 2), ("RESOLVED", 6)]
    assert told(by_both, "01010100", "01111110") == [
        ("FIRED", 1), ("RESOLVED", 2), ("FIRED", 5), ("RESOLVED", 6),
    ]  # fmt: skip
    of_strong = held("{inhibit: both, if_firing: strong}", more=votes)
    assert told(of_strong, "0111100", "0011110", "both") == []


def test_an_inhibited_alert_is_no_step_of_a_pattern():
    pattern = "  - {name: twice, pattern: {times: 2, of: weak, within: 1d}, severities: [{level: INFO}]}\n"
    assert told(held(WEAK_OF_STRONG, more=pattern), "0101010", "0001110", "twice") == []
    assert told(held(WEAK_OF_STRONG, more=pattern), "0101010", "0000000", "twice")[0][1] == 3


WORK = "{rules: [weak], from: 1970-01-01T01:00Z, to: 1970-01-01T02:00Z, device: 'plant.*'}"
"""From quarter 4 to quarter 7, both included."""


def test_in_planned_work_nothing_begins_and_nothing_is_left_pending():
    assert told(held(WORK), "0000110010", "0000000000") == [("FIRED", 8), ("RESOLVED", 9)]
    delayed = held(WORK, delay=", for: 30m")
    assert told(delayed, "00011111111", "00000000000") == [("FIRED", 10)]


def test_an_alert_that_is_open_then_stays_until_the_work_is_over():
    assert told(held(WORK), "0110000000", "0000000000") == [("FIRED", 1), ("RESOLVED", 3)]
    assert told(held(WORK), "0111000000", "0000000000") == [("FIRED", 1), ("RESOLVED", 8)]


def test_work_is_for_the_rules_and_devices_it_names():
    assert told(held(WORK), "0000110000", "0000110000", "strong") == [
        ("FIRED", 4), ("RESOLVED", 6),
    ]  # fmt: skip
    elsewhere = held(WORK.replace("plant.*", "other.*"))
    assert told(elsewhere, "0000110000", "0000000000") == [("FIRED", 4), ("RESOLVED", 6)]


def test_a_window_that_reaches_into_the_work_is_not_evaluated():
    first = 96  # a day later, so that no window reaches back before the epoch
    loaded = parse_rules(
        "version: 1\nrules:"
        + LIMIT.format("weak", "").replace("size: 15m", "size: 1h").replace("mean", "max")
        + f"suppress: [{WORK.replace('1970-01-01', '1970-01-02')}]\n",
        "t.yaml",
    )
    device = Device(loaded)
    device.feed(*[("weak", pane(first + i, float(i == 7))) for i in range(14)])
    assert device.alerts == []
    device.feed(*[("weak", pane(first + i, float(i == 14))) for i in range(14, 16)])
    assert [each.event for each in device.alerts] == ["FIRED"]


def test_a_rule_over_rules_in_planned_work_does_not_begin():
    votes = "  - {name: both, votes: {of: [weak, strong], k: 2}, severities: [{level: CRITICAL}]}\n"
    loaded = held(WORK.replace("[weak]", "[both]"), more=votes)
    assert told(loaded, "0001111110", "0000110000", "both") == []
    assert told(loaded, "0001111110", "0000111110", "both") == [("FIRED", 8)]
    assert told(loaded, "0111100000", "0111100000", "both") == [("FIRED", 1), ("RESOLVED", 8)]


LEARNS = """version: 1
baselines:
  slow: {kind: decayed, n0: 100, warmup: 8}
rules:
  - name: odd
    match: {metric: weak}
    window: {size: 30m, slide: 15m}
    aggregate: mean
    compare: {op: ">=", to: zscore, baseline: slow}
    severities: [{level: WARNING, enter: 3}]
"""


def test_a_baseline_learns_nothing_from_planned_work():
    work = "suppress: [{rules: [odd], from: 1970-01-02, to: 1970-01-02T03:00Z}]\n"

    def mean(text: str, height: float) -> float:
        rng = random.Random(3)
        device = Device(parse_rules(text, "t.yaml"))
        for index in range(60, 130):
            value = rng.gauss(20, 1) + (height if 96 <= index < 108 else 0)
            device.feed(("weak", pane(index, value)))
        return device.state.series("weak").rules["odd"].baseline.mean

    assert mean(LEARNS + work, 1000.0) == mean(LEARNS + work, 0.0)
    assert mean(LEARNS, 1000.0) != mean(LEARNS, 0.0)


HELD = """
suppress:
  - {inhibit: [weak, both], if_firing: strong}
  - {rules: [strong], from: 1970-01-01T06:00Z, to: 1970-01-01T09:00Z}
"""


@settings(max_examples=30)
@given(st.integers(0, 1 << 30))
def test_nothing_begins_that_is_held_back_and_the_state_comes_back_from_bytes(seed):
    votes = "  - {name: both, votes: {of: [weak, strong], k: 1}, severities: [{level: INFO}]}\n"
    body = LIMIT.format("weak", ", for: 15m") + LIMIT.format("strong", "") + votes
    loaded = parse_rules(f"version: 1\nrules:\n{body}\n{HELD}", "t.yaml")
    rng = random.Random(seed)
    digits = ["".join(rng.choice("0001122") for _ in range(60)) for _ in range(2)]
    live, stored = (Device(loaded, stored=s).feed(*rows(*digits)) for s in (False, True))
    assert [encode(each, 1) for each in live.alerts] == [encode(each, 1) for each in stored.alerts]
    assert stored.store.pieces == {k: v for k, v in live.state.changed() if v is not None}
    standing: dict[str, int] = {}
    for each in live.alerts:
        if each.event == "FIRED":
            assert each.rule == "strong" or "strong" not in standing
            if each.rule == "strong":
                assert not 6 * HOUR < each.emitted_at <= 9 * HOUR
            standing[each.rule] = each.starts_at
        elif each.event == "RESOLVED":
            del standing[each.rule]
