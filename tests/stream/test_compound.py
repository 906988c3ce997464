"""Rules over rules: patterns and votes over what other rules of the device do."""

import random

import pytest
from compound_oracle import expected, spells
from device_runs import Device, Rows
from hypothesis import given, settings
from hypothesis import strategies as st
from rule_builders import PANE, pane, rules

from schemas.codec import encode
from schemas.records import Alert
from stream.engine import Engine
from stream.rule import Rules

LIMIT = """
- name: {0}
  match: {{metric: {0}}}
  window: {{size: 15m, slide: 15m}}
  aggregate: mean
  compare: {{op: ">=", to: value}}
  severities: [{{level: WARNING, enter: 1}}, {{level: CRITICAL, enter: 2}}]
"""
LIMITS = "".join(map(LIMIT.format, "abc"))


def above(body: str, *, kind: str = "pattern", severity: str = "", more: str = "") -> Rules:
    """Limits named a, b and c on metrics of these names, and a rule over them."""
    return rules(
        LIMITS
        + f"- name: over\n  {kind}: {body}\n  severities: [{{level: WARNING{severity}}}]\n"
        + more
    )


def rows(**values: str) -> Rows:
    """A pane a quarter of an hour and metric: a digit is its value, a dot none at all."""
    count = max(map(len, values.values()))
    return [
        (metric, pane(index, float(values[metric][index])))
        for index in range(count)
        for metric in sorted(values)
        if index < len(values[metric]) and values[metric][index] != "."
    ]


def told(loaded: Rules, **values: str) -> list[tuple[str, int]]:
    """What the rule over rules says, and in which quarter; a quiet half hour follows."""
    quiet = {metric: f"{digits}00" for metric, digits in values.items()}
    alerts = Device(loaded).feed(*rows(**quiet)).alerts
    return [(each.event, each.emitted_at // PANE - 1) for each in alerts if each.rule == "over"]


A_THEN_B = "{first: a, then: b, within: 45m}"


def test_a_then_b_fires_and_lasts_as_long_as_the_alert_of_b():
    # That b has ended is so from the next quarter on.
    assert told(above(A_THEN_B), a="010000", b="000110") == [("FIRED", 3), ("RESOLVED", 6)]


def test_b_too_late_is_no_match():
    assert told(above(A_THEN_B), a="0100000", b="0000100") == [("FIRED", 4), ("RESOLVED", 6)]
    assert told(above(A_THEN_B), a="0100000", b="0000010") == []


def test_b_a_millisecond_too_late_is_no_match():
    close = "{first: a, then: b, within: 2699999ms}"
    assert told(above(close), a="0100000", b="0000100") == []


def test_b_before_a_is_no_match_though_it_still_stands():
    assert told(above(A_THEN_B), a="00100", b="01110") == []


def test_at_the_same_time_counts_as_in_order_whatever_the_metrics_are_called():
    for first, then in ("ab", "ba"):
        loaded = above(f"{{first: {first}, then: {then}, within: 45m}}")
        assert told(loaded, a="0100", b="0100") == [("FIRED", 1), ("RESOLVED", 3)]


def test_a_b_that_ends_and_begins_again_is_a_match_of_its_own():
    again = told(above(A_THEN_B), a="0100000000", b="0010100010")
    assert again == [("FIRED", 2), ("RESOLVED", 6)]
    alone = told(above(A_THEN_B), a="01000000000", b="00100000010")
    assert alone == [("FIRED", 2), ("RESOLVED", 4)]


WITHOUT_C = "{first: a, then: b, within: 2h, without: c}"


def test_c_between_is_no_match():
    assert told(above(WITHOUT_C), a="010000", b="000010", c="001000") == []


def test_c_at_either_end_or_outside_is_not_between():
    for c in ("010000", "000010", "100000", "000000"):
        found = told(above(WITHOUT_C), a="010000", b="000010", c=c)
        assert found == [("FIRED", 4), ("RESOLVED", 6)]
        # The same with what is to be absent first in the order of the metrics' names.
        loaded = above("{first: c, then: b, within: 2h, without: a}")
        assert told(loaded, c="010000", b="000010", a=c) == found


def test_a_again_after_c_begins_anew():
    found = told(above(WITHOUT_C), a="0101000", b="0000010", c="0010000")
    assert found == [("FIRED", 5), ("RESOLVED", 7)]


def test_a_sequence_of_three_is_within_its_time_from_first_to_last():
    loaded = above("{sequence: [a, b, c], within: 1h}")
    found = told(loaded, a="0100000", b="0010000", c="0000010")
    assert found == [("FIRED", 5), ("RESOLVED", 7)]
    assert told(loaded, a="0100000", b="0001000", c="0000001") == []
    assert told(loaded, a="0010000", b="0100000", c="0000100") == []


def test_a_step_can_ask_for_a_severity():
    loaded = above("{first: {a: CRITICAL}, then: b, within: 30m}")
    assert told(loaded, a="0110000", b="0001000") == []
    # It escalates at 3, long after it began.
    assert told(loaded, a="0112000", b="0000100") == [("FIRED", 4), ("RESOLVED", 6)]


TIMES = "{times: 3, of: a, within: 2h}"


def test_n_times_fires_with_the_nth_and_lasts_while_there_are_as_many():
    # Begun at 1, 3 and 5: the first is out of reach from 10 on.
    assert told(above(TIMES), a="010101000000") == [("FIRED", 5), ("RESOLVED", 10)]
    assert told(above(TIMES), a="010000000101") == []


def test_a_count_that_is_kept_firing_outlasts_what_it_counted():
    loaded = above(TIMES, severity=", keep_firing_for: 3h")
    assert told(loaded, a="010101" + 20 * "0") == [("FIRED", 5), ("RESOLVED", 21)]


def test_alerts_of_several_rules_can_be_counted_and_those_of_an_instant_count_once():
    loaded = above('{times: 3, of: ["a", {b: CRITICAL}], within: 2h}')
    assert told(loaded, a="01010", b="00002")[0] == ("FIRED", 4)
    assert told(loaded, a="01010", b="02001") == []


def votes(k: int, severity: str = "") -> Rules:
    return above(f'{{of: ["*"], k: {k}}}', kind="votes", severity=severity)


def test_votes_fire_as_soon_as_enough_rules_have_an_alert_and_end_when_they_have_not():
    assert told(votes(2), a="011100", b="001110") == [("FIRED", 2), ("RESOLVED", 5)]


def test_alerts_that_end_and_begin_in_one_instant_have_met():
    for one, other in (("0110000", "0001100"), ("0001100", "0110000")):
        assert told(votes(2), a=one, b=other) == [("FIRED", 3), ("RESOLVED", 4)]


def test_two_metrics_of_one_rule_are_one_vote():
    loaded = rules(
        LIMIT.format("any").replace("metric: any", "metric: [a, b]")
        + LIMIT.format("c")
        + "- name: over\n  votes: {of: [any, c], k: 2}\n  severities: [{level: WARNING}]\n"
    )
    assert told(loaded, a="0111", b="0111", c="0000") == []
    assert told(loaded, a="0111", b="0111", c="0001")[0] == ("FIRED", 3)


def test_votes_have_delays_as_other_rules_have():
    loaded = votes(2, ", for: 30m, keep_firing_for: 30m")
    assert told(loaded, a="0110000000", b="0110000000") == [("FIRED", 3), ("RESOLVED", 5)]
    assert told(loaded, a="0100000000", b="0100000000") == []


def test_a_rule_over_rules_rests_and_then_what_still_holds_begins_anew():
    loaded = rules(
        LIMITS
        + "- name: over\n  votes: {of: [a, b, c], k: 2}\n  severities: [{level: WARNING}]\n"
        + "  cooldown: 1h\n"
    )
    assert told(loaded, a="01000111111", b="01000111111") == [
        ("FIRED", 1), ("RESOLVED", 3), ("FIRED", 7),
    ]  # fmt: skip


def test_more_votes_can_be_worse():
    loaded = rules(
        LIMITS
        + "- name: over\n  votes: {of: [a, b, c], k: 2}\n"
        + "  severities: [{level: CRITICAL, enter: 3}, {level: WARNING}]\n"
    )
    alerts = Device(loaded).feed(*rows(a="011111000", b="001111000", c="000110000")).alerts
    own = [(x.event, x.severity, x.emitted_at // PANE - 1) for x in alerts if x.metric == "*"]
    assert own == [
        ("FIRED", "WARNING", 2), ("ESCALATED", "CRITICAL", 3), ("DEESCALATED", "WARNING", 6),
        ("RESOLVED", "WARNING", 7),
    ]  # fmt: skip


def test_a_rule_can_be_over_rules_that_are_over_rules():
    more = "- name: top\n  votes: {of: [over, c], k: 2}\n  severities: [{level: CRITICAL}]\n"
    device = Device(above(A_THEN_B, more=more))
    device.feed(*rows(a="01000000", b="00111000", c="00011000"))
    # The pattern ends at 6 and c at 5: they have met in 6 no more.
    assert [(x.event, x.emitted_at // PANE - 1) for x in device.alerts if x.rule == "top"] == [
        ("FIRED", 3), ("RESOLVED", 6),
    ]  # fmt: skip


def test_a_record_says_of_what_it_is():
    loaded = above(
        A_THEN_B,
        more='  annotations: {summary: "{{device_id}}: {{ rules }} in {{value}} s of {{limit}}"}\n'
        "  labels: {team: rotating}\n  version: 7\n",
    )
    alerts = Device(loaded).feed(*rows(a="0100", b="0001")).alerts
    (found,) = [each for each in alerts if each.rule == "over"]
    assert (found.metric, found.category, found.fingerprint) == ("*", "MULTI", "over/plant.pump/*")
    assert (found.value, found.threshold_enter, found.comparator) == (1800.0, 2700.0, "span_s <=")
    assert (found.window_start, found.window_end, found.sample_count) == (2 * PANE, 4 * PANE, 0)
    assert found.annotations == {"summary": "plant.pump: a, b in 1800 s of 2700"}
    assert (found.labels, found.rule_version) == ({"team": "rotating"}, 7)


HOURLY = """
- name: a
  match: {metric: a}
  window: {size: 1h, slide: 15m}
  aggregate: max
  compare: {op: ">=", to: value}
  severities: [{level: WARNING, enter: 1, for: 30m}]
"""


def late(first: str, then: str) -> Rules:
    over = f"- name: over\n  pattern: {{first: {first}, then: {then}, within: 30m}}\n"
    return rules(HOURLY + LIMIT.format("b") + over + "  severities: [{level: WARNING}]\n")


def test_a_step_that_comes_out_late_counts_at_its_own_time():
    """The windows that hold the last readings before a gap come out with the pane behind it."""
    device = Device(late("a", "b")).feed(("a", pane(11, 1.0)))
    device.feed(*[("b", pane(i, float(i >= 14))) for i in range(11, 18)])
    assert [each.rule for each in device.alerts] == ["b"]
    # The alert of a, whose pane 11 is its last one before the gap, begins at the end of pane 13.
    device.feed(("a", pane(18, 1.0)))
    _, step, found = device.alerts
    assert (step.rule, step.event, step.starts_at) == ("a", "FIRED", 14 * PANE)
    assert (found.rule, found.event, found.starts_at) == ("over", "FIRED", 19 * PANE)
    assert found.value == 900.0


@pytest.mark.parametrize("silent", [1, 100])
def test_so_does_the_last_step_behind_a_gap_of_the_whole_device(silent):
    device = Device(late("b", "a"), stored=True)
    device.feed(("a", pane(11, 1.0)), ("b", pane(11, 1.0)))
    device.feed(("a", pane(14 + silent, 1.0)))
    assert [(x.rule, x.starts_at) for x in device.alerts if x.event == "FIRED"] == [
        ("b", 12 * PANE), ("a", 14 * PANE), ("over", (15 + silent) * PANE),
    ]  # fmt: skip


def test_a_half_match_is_forgotten_and_then_nothing_is_kept():
    device = Device(above(A_THEN_B), stored=True).feed(*rows(a="010", b="000"))
    assert device.store.load().entry().followed["over"].seen[0] == [2 * PANE]
    device.feed(*[("a", pane(i, 0.0)) for i in range(3, 7)])
    assert "device" not in device.store.pieces


def test_a_device_without_alerts_keeps_nothing_for_rules_over_rules():
    device = Device(above(A_THEN_B), stored=True).feed(*rows(a="0000", b="0000"))
    assert "device" not in device.store.pieces


OVER = f"- name: over\n  pattern: {A_THEN_B}\n  severities: [{{level: WARNING}}]\n"


def test_a_changed_part_closes_the_alert_and_begins_anew():
    device = Device(above(A_THEN_B)).feed(*rows(a="010", b="001"))
    device.engine = Engine(rules(LIMITS.replace("enter: 2", "enter: 3") + OVER))
    device.feed(("a", pane(3, 0.0)), ("b", pane(3, 1.0)))
    closed = [each for each in device.alerts if each.resolve_reason == "RULE_CHANGED"]
    assert {(each.rule, each.emitted_at) for each in closed} == {
        ("over", 4 * PANE), ("b", 4 * PANE),
    }  # fmt: skip
    assert (device.alerts[-1].rule, device.alerts[-1].event) == ("b", "FIRED")


def test_a_rule_over_rules_that_is_gone_closes_its_alert():
    device = Device(above(A_THEN_B), stored=True).feed(*rows(a="010", b="001"))
    device.engine = Engine(rules(LIMITS))
    device.feed(("a", pane(3, 0.0)))
    last = device.alerts[-1]
    assert (last.rule, last.event, last.resolve_reason) == ("over", "RESOLVED", "RULE_CHANGED")
    assert device.store.load().entry().followed == {}


def test_other_words_leave_it_open():
    device = Device(above(A_THEN_B)).feed(*rows(a="010", b="001"))
    device.engine = Engine(above(A_THEN_B, more="  labels: {team: b}\n"))
    device.feed(*[("b", pane(index, float(index < 4))) for index in range(3, 7)])
    last = [each for each in device.alerts if each.rule == "over"][-1]
    assert (last.event, last.resolve_reason, last.seq) == ("RESOLVED", "VALUE", 1)


MANY = """
- {name: ab, pattern: {first: a, then: b, within: 45m}, severities: [{level: WARNING}]}
- {name: ba_kept, pattern: {first: b, then: a, within: 1h}, severities: [{level: WARNING, keep_firing_for: 1h}]}
- {name: ab_no_c, pattern: {first: a, then: b, within: 3h, without: c}, severities: [{level: WARNING}]}
- {name: cb_no_a, pattern: {first: c, then: b, within: 3h, without: a}, severities: [{level: WARNING}]}
- {name: worst_then, pattern: {first: {a: CRITICAL}, then: {b: CRITICAL}, within: 2h}, severities: [{level: WARNING}]}
- {name: abc, pattern: {sequence: [a, b, c], within: 2h}, severities: [{level: INFO, for: 30m}]}
- {name: cab, pattern: {sequence: [{c: CRITICAL}, a, b], within: 4h}, severities: [{level: INFO}]}
- {name: thrice, pattern: {times: 3, of: a, within: 5h}, severities: [{level: WARNING}]}
- {name: any_five, pattern: {times: 5, of: ["*"], within: 4h}, severities: [{level: WARNING, keep_firing_for: 30m}]}
- {name: two_of, votes: {of: [a, b, c], k: 2}, severities: [{level: WARNING}]}
- {name: all_for, votes: {of: ["*"], k: 3}, severities: [{level: CRITICAL, for: 15m, keep_firing_for: 30m}]}
"""  # fmt: skip


def random_life(seed: int, quarters: int) -> Rows:
    """Values that rest for a while, now and then none, and now and then none of any metric."""
    rng, index, now, found = random.Random(seed), 0, dict.fromkeys("abc", 0.0), []
    for _ in range(quarters):
        index += rng.choice([1] * 12 + [2, 6])
        for metric in "abc":
            if rng.random() < 0.4:
                now[metric] = rng.choice([0.0, 0.0, 1.0, 2.0])
            if rng.random() < 0.9:
                found.append((metric, pane(index, now[metric])))
    return found


@settings(max_examples=40)
@given(st.integers(0, 1 << 30))
def test_rules_over_rules_say_what_trying_everything_says(seed):
    loaded, life = rules(LIMITS + MANY), random_life(seed, 50)
    alerts = Device(loaded).feed(*life).alerts
    plain = spells(x for x in alerts if x.metric != "*")
    instants = sorted({each.pane_end for _, each in life})
    for rule in loaded.compounds:
        own = [(x.rule, x.event, x.emitted_at) for x in alerts if x.rule == rule.name]
        # That something ends is told when the instant is over, and the last one is not.
        should = [
            each
            for each in expected(rule, plain, instants)
            if each[1] == "FIRED" or each[2] < instants[-1]
        ]
        assert own == should, rule.name


def test_such_lives_meet_every_rule():
    found = {
        (x.rule, x.event)
        for seed in range(8)
        for x in Device(rules(LIMITS + MANY)).feed(*random_life(seed, 50)).alerts
    }
    names = [rule.name for rule in rules(LIMITS + MANY).compounds]
    assert found >= {(name, event) for name in names for event in ("FIRED", "RESOLVED")}


@settings(max_examples=25)
@given(st.integers(0, 1 << 30))
def test_storing_the_state_at_every_pane_changes_no_byte(seed):
    loaded, life = rules(LIMITS + MANY), random_life(seed, 40)
    live, stored = (Device(loaded, stored=s).feed(*life) for s in (False, True))
    assert [encode(each, 1) for each in live.alerts] == [encode(each, 1) for each in stored.alerts]
    assert stored.store.pieces == {k: v for k, v in live.state.changed() if v is not None}
    assert sum(map(len, stored.store.pieces.values())) < 20_000


@settings(max_examples=25)
@given(st.integers(0, 1 << 30))
def test_every_alert_begins_once_and_has_an_id_of_its_own(seed):
    alerts = Device(rules(LIMITS + MANY)).feed(*random_life(seed, 60)).alerts
    newest: dict[str, Alert] = {}
    begun = [each.alert_id for each in alerts if each.event == "FIRED"]
    assert len(begun) == len(set(begun))
    for each in alerts:
        before = newest.get(each.fingerprint)
        begins = before is None or before.event == "RESOLVED"
        assert (each.event == "FIRED") == begins
        if not begins:
            assert (each.alert_id, each.seq) == (before.alert_id, before.seq + 1)
        if each.event == "RESOLVED":
            assert each.ends_at > each.starts_at
        newest[each.fingerprint] = each


def test_the_first_out_of_those_that_overlap_is_marked_in_all_its_records():
    device = Device(rules(LIMITS)).feed(*rows(a="0012100001", b="0111000011", c="0000000000"))
    first = {(x.rule, x.starts_at // PANE - 1) for x in device.alerts if x.first_out}
    assert first == {("b", 1), ("b", 8)}
    marked = [(x.rule, x.event, x.first_out) for x in device.alerts if x.starts_at < 8 * PANE]
    assert all(first_out == (rule == "b") for rule, _, first_out in marked)
    assert ("b", "RESOLVED", True) in marked


def test_alerts_that_touch_are_no_two_first_outs():
    for one, other in (("0110", "0001"), ("0001", "0110")):
        device = Device(rules(LIMITS)).feed(*rows(a=one, b=other))
        assert [x.first_out for x in device.alerts if x.event == "FIRED"] == [True, False]


any_row = st.tuples(
    st.sampled_from("abc"),
    st.builds(pane, st.integers(0, 60), st.sampled_from([0.0, 1.0, 2.0, float("inf")])),
)


@settings(max_examples=50)
@given(st.lists(any_row, max_size=50))
def test_no_panes_in_any_order_make_rules_over_rules_raise_or_begin_twice(life):
    alerts = Device(rules(LIMITS + MANY), stored=True).feed(*life).alerts
    begun = [each.alert_id for each in alerts if each.event == "FIRED"]
    assert len(begun) == len(set(begun))
