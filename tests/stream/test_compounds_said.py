"""What a rule file may say of rules over rules and of what holds rules back."""

import pytest
from click.testing import CliRunner
from page_rules import shown
from rule_builders import HOUR, MINUTE

from schemas.config import ConfigError
from stream.compound import Ordered, Step, Times, Votes
from stream.lifecycle import Hold
from stream.rules import parse_rules
from stream.rules_cli import rules as command
from stream.suppress import Inhibit, Pause

GOOD = """\
version: 1
rules:
  - name: late_and_worse
    pattern: {first: hot, then: {shakes: CRITICAL}, within: 2h, without: starts}
    severities: [{level: CRITICAL, keep_firing_for: 1h}]
  - name: hot
    match: {metric: temperature}
    window: {size: 1h, slide: 15m}
    aggregate: mean
    compare: {op: ">=", to: value}
    severities: [{level: WARNING, enter: 80}]
  - name: shakes
    match: {metric: vibration}
    window: {size: 1h, slide: 15m}
    aggregate: mean
    compare: {op: ">=", to: value}
    severities: [{level: WARNING, enter: 3}, {level: CRITICAL, enter: 5}]
  - name: starts
    match: {metric: current}
    window: {size: 1h, slide: 15m}
    aggregate: max
    compare: {op: ">=", to: value}
    severities: [{level: INFO, enter: 30}]
  - name: again
    pattern: {times: 3, of: [hot, "sh*"], within: 1d}
    severities: [{level: WARNING}, {level: CRITICAL, enter: 5}]
  - name: chain
    pattern: {sequence: [hot, shakes, again], within: 1d}
    severities: [{level: WARNING}]
  - name: two
    votes: {of: ["*", chain], k: 2}
    severities: [{level: WARNING, for: 30m}]
    cooldown: 1h
suppress:
  - {inhibit: [again, "h*"], if_firing: shakes}
  - {rules: ["*"], from: 2026-01-01T06:00Z, to: 2026-01-02, device: "plant.*"}
"""
PATTERN = "{first: hot, then: {shakes: CRITICAL}, within: 2h, without: starts}"


def test_patterns_and_votes_are_read_and_put_behind_what_they_name():
    loaded = parse_rules(GOOD)
    by = {rule.name: rule for rule in loaded.compounds}
    assert by["late_and_worse"].of == Ordered(
        (Step("hot"), Step("shakes", 2)), 2 * HOUR, (Step("starts"),)
    )
    assert by["again"].of == Times((Step("hot"), Step("shakes")), 24 * HOUR)
    assert by["two"].of == Votes(("hot", "shakes", "starts", "chain"))  # a glob is of plain rules
    assert [rule.name for rule in loaded.rules] == ["hot", "shakes", "starts"]
    order = [rule.name for rule in loaded.compounds]
    assert order.index("again") < order.index("chain") < order.index("two")


def test_votes_may_be_of_one_glob():
    loaded = parse_rules(GOOD.replace('["*", chain]', '"*"'))
    by = {rule.name: rule for rule in loaded.compounds}
    assert by["two"].of == Votes(("hot", "shakes", "starts"))


def test_severities_of_a_count_inherit_and_those_of_a_sequence_show_the_time():
    by = {rule.name: rule for rule in parse_rules(GOOD).compounds}
    assert [each.enter for each in by["again"].severities] == [3, 5]
    (severity,) = by["late_and_worse"].severities
    assert (severity.enter, severity.shown_enter, severity.keep) == (1, 7200, Hold(HOUR))
    (severity,) = by["two"].severities
    assert (severity.enter, severity.delay) == (2, Hold(30 * MINUTE))
    assert by["two"].cooldown_ms == HOUR


def test_what_holds_rules_back_is_read():
    suppress = parse_rules(GOOD).suppress
    assert suppress.inhibits == (Inhibit(frozenset({"again", "hot"}), frozenset({"shakes"})),)
    every = frozenset({"late_and_worse", "hot", "shakes", "starts", "again", "chain", "two"})
    assert suppress.pauses == (
        Pause(every, 1_767_247_200_000, 1_767_312_000_000, ("plant.*",), ("*",)),
    )


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("first: hot", "first: hott", 'my.yaml:4: rules[0].pattern.first: no rule is named \'hott\'; did you mean "hot"?'),
        ("first: hot", "first: 'h*'", "my.yaml:4: rules[0].pattern.first: no rule matches 'h*'"),
        ("first: hot", "first: late_and_worse", "my.yaml:4: rules[0].pattern.first: a rule cannot refer to itself"),
        ("first: hot", "first: shakes", "my.yaml:4: rules[0].pattern: shakes is there twice; for one rule again"),
        ("first: hot", "first: {hot: CRITICAL}", "my.yaml:4: rules[0].pattern.first: hot has no severity CRITICAL"),
        ("first: hot", "first: {hot: WARNNG}", 'my.yaml:4: rules[0].pattern.first: expected {rule: LEVEL} with one of INFO, WARNING, CRITICAL, got {\'hot\': \'WARNNG\'}; did you mean "WARNING"?'),
        ("first: hot", "first: {hot: INFO, shakes: INFO}", "rules[0].pattern.first: expected {rule: LEVEL}"),
        ("first: hot", "first: {}", "rules[0].pattern.first: expected {rule: LEVEL}"),
        ("first: hot", "first: 5", "my.yaml:4: rules[0].pattern.first: expected"),
        ("first: hot, ", "", "my.yaml:4: rules[0].pattern: expected first and then, or sequence, or times and of"),
        ("first: hot", "first: hot, times: 3", "my.yaml:4: rules[0].pattern: expected first and then"),
        (PATTERN, "{within: 1h}", "my.yaml:4: rules[0].pattern: expected first and then"),
        ("within: 2h", "within: 0s", "my.yaml:4: rules[0].pattern.within: expected more than 0"),
        ("within: 2h", "within: -2h", "my.yaml:4: rules[0].pattern.within: expected a duration"),
        ("within: 2h, ", "", "my.yaml:4: rules[0].pattern.within: missing"),
        ("without: starts", "without: [start]", 'my.yaml:4: rules[0].pattern.without[0]: no rule is named \'start\'; did you mean "starts"?'),
        ("without: starts", "without: hot", "my.yaml:4: rules[0].pattern: hot is there twice"),
        ("keep_firing_for: 1h", "keep_firing_for: 3", "my.yaml:5: rules[0].severities[0].keep_firing_for: expected a duration"),
        ("keep_firing_for: 1h", "enter: 1", "my.yaml:5: rules[0].severities[0].enter: means nothing in a sequence"),
        ("[{level: CRITICAL, keep_firing_for: 1h}]", "[]", "my.yaml:5: rules[0].severities: expected at least one severity"),
        ("name: late_and_worse", "name: hot", "my.yaml:6: rules[1].name: 'hot' is there twice"),
        ("name: late_and_worse", "name: Late one", "my.yaml:3: rules[0].name: expected lower-case letters"),
        ("    pattern: " + PATTERN, "    patern: " + PATTERN, 'my.yaml:4: rules[0].patern: unknown key; did you mean "pattern"?'),
        ("    pattern: " + PATTERN, "    pattern: 5", "my.yaml:4: rules[0].pattern: expected a table, got 5"),
        ("    pattern: " + PATTERN, "    votes: {of: [hot], k: 1}\n    pattern: " + PATTERN, "my.yaml:3: rules[0]: expected either pattern or votes"),
        ("times: 3", "times: 1", "my.yaml:25: rules[4].pattern.times: expected 2 to 64, got 1"),
        ("times: 3", "times: 65", "my.yaml:25: rules[4].pattern.times: expected 2 to 64, got 65"),
        ("times: 3", "times: 3, without: starts", "my.yaml:25: rules[4].pattern.without: means nothing beside times"),
        ('"sh*"', '"x*"', "my.yaml:25: rules[4].pattern.of[1]: no rule matches 'x*'; there are: hot, shakes"),
        ("enter: 5}]\n  - name: chain", "enter: 2}]\n  - name: chain", "my.yaml:26: rules[4].severities[1].enter: expected 3 to 64, got 2"),
        ("{level: WARNING}, {level: CRITICAL, enter: 5}", "{level: WARNING}, {level: WARNING}", "my.yaml:26: rules[4].severities[1].level: WARNING is there twice"),
        ("{level: WARNING}, {level: CRITICAL, enter: 5}", "{level: WARNING, enter: 4}", "my.yaml:26: rules[4].severities[0].enter: the mildest severity begins at 3"),
        ("[hot, shakes, again]", "[hot]", "my.yaml:28: rules[5].pattern.sequence: expected two rules or more"),
        ("[hot, shakes, again]", "[hot, two]", "my.yaml:27: rules[5]: rules refer to each other: chain → two → chain"),
        ("k: 2", "k: 5", "my.yaml:31: rules[6].votes.k: expected 1 to 4, the number of rules, got 5"),
        ("k: 2", "k: 0", "my.yaml:31: rules[6].votes.k: expected 1 to 4, the number of rules, got 0"),
        ('["*", chain]', "[]", "my.yaml:31: rules[6].votes.of: expected at least one rule"),
        ('["*", chain]', "[hot, two]", "my.yaml:31: rules[6].votes.of[1]: a rule cannot refer to itself"),
        ("cooldown: 1h", "annotations: {a: '{{unit}}'}", "my.yaml:33: rules[6].annotations.a: knows no {{unit}}; there are: device_id"),
        ("cooldown: 1h", "match: {metric: a}", "my.yaml:31: rules[6].votes: unknown key"),
        ("if_firing: shakes", "if_firing: shake", 'my.yaml:35: suppress[0].if_firing: no rule is named \'shake\'; did you mean "shakes"?'),
        ("if_firing: shakes", "if_firing: again", "my.yaml:35: suppress[0].inhibit: again cannot inhibit itself"),
        ("if_firing: shakes", "if_firing: []", "my.yaml:35: suppress[0].if_firing: expected at least one rule"),
        (", if_firing: shakes", "", "my.yaml:35: suppress[0]: misses if_firing; expected inhibit and if_firing, or rules, from and to"),
        ("if_firing: shakes", "if_firing: shakes, site: a", "my.yaml:35: suppress[0].site: means nothing beside inhibit"),
        ("to: 2026-01-02", "to: 2025-01-02", "my.yaml:36: suppress[1].to: expected a time after from, got 2025-01-02"),
        ("to: 2026-01-02", "to: tomorrow", "my.yaml:36: suppress[1].to: expected a time such as 2026-01-31T06:00Z or a date, got 'tomorrow'"),
        (", to: 2026-01-02", "", "my.yaml:36: suppress[1]: misses to; expected"),
        ('rules: ["*"], from', "rules: [wet], from", "my.yaml:36: suppress[1].rules: no rule is named 'wet'"),
        ('device: "plant.*"', 'devise: "plant.*"', 'my.yaml:36: suppress[1].devise: unknown key; did you mean "device"?'),
        ('device: "plant.*"', 'device: "a b"', "my.yaml:36: suppress[1].device: expected a name or a glob such as vibration_*, got 'a b'"),
        ("suppress:\n", "suppress: 5\nx:\n", "my.yaml:34: suppress: expected an array of tables"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line_and_what_was_expected(old, new, told):
    assert GOOD.count(old) == 1
    with pytest.raises(ConfigError) as wrong:
        parse_rules(GOOD.replace(old, new), "my.yaml")
    assert told in str(wrong.value)


def test_a_file_of_rules_over_rules_alone_has_nothing_to_go_by():
    only = "version: 1\nrules:\n  - {name: a, votes: {of: [b], k: 1}, severities: [{level: INFO}]}"
    with pytest.raises(ConfigError, match="expected at least one rule on readings"):
        parse_rules(only)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("enter: 80", "enter: 81"),
        ("{level: CRITICAL, enter: 5}]\n  - name: starts", "{level: CRITICAL, enter: 6}]\n  - name: starts"),
        ("within: 2h", "within: 3h"),
        ("without: starts", "without: again"),
        ("keep_firing_for: 1h", "keep_firing_for: 2h"),
    ],
)  # fmt: skip
def test_another_meaning_of_what_it_refers_to_is_another_meaning(old, new):
    def digest(text: str) -> str:
        return next(r.digest for r in parse_rules(text).compounds if r.name == "late_and_worse")

    assert GOOD.count(old) == 1
    assert digest(GOOD.replace(old, new)) != digest(GOOD)


def test_planned_work_and_inhibition_change_no_meaning():
    before, after = parse_rules(GOOD), parse_rules(GOOD[: GOOD.index("suppress:")])
    assert [r.digest for r in before.every] == [r.digest for r in after.every]


def test_times_of_yaml_and_of_text_are_the_same(tmp_path):
    def span(start: str, end: str) -> tuple[int, int]:
        text = GOOD.replace("2026-01-01T06:00Z", start).replace("to: 2026-01-02", f"to: {end}")
        (pause,) = parse_rules(text).suppress.pauses
        return pause.from_ms, pause.to_ms

    expected = span("2026-01-01T06:00Z", "2026-01-02")
    assert span('"2026-01-01 06:00"', "2026-01-02T00:00:00Z") == expected
    assert span("2026-01-01T07:00:00+01:00", '"2026-01-02T01:00+01:00"') == expected
    assert span("2026-01-01 06:00:00", "2026-01-02 00:00:00") == expected


def test_check_prints_what_they_mean_and_cost(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(GOOD)
    done = CliRunner().invoke(command, ["check", str(path)])
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[3:] == [
        (
            "late_and_worse: hot, then shakes at CRITICAL within 7200 s, none of starts between; "
            "at most 1392 bytes a device"
        ),
        "again: 3 times hot or shakes within 86400 s; at most 756 bytes a device",
        "chain: hot, then shakes, then again within 86400 s; at most 1392 bytes a device",
        "two: 2 of hot, shakes, starts, chain at the same time; at most 300 bytes a device",
        "no again or hot begins while shakes has an alert",
        (
            "planned work from 2026-01-01 06:00Z to 2026-01-02 00:00Z: again, chain, hot, "
            "late_and_worse, shakes, starts, two, devices plant.* of sites *"
        ),
        "panes: current 15m, temperature 15m, vibration 15m, * 1h",
        "state: at most 1460 bytes a sensor that reports every minute",
    ]


def test_the_rules_over_rules_that_the_page_shows_are_some():
    whole = parse_rules(shown(), "page.yaml")
    assert [rule.name for rule in whole.compounds] == [
        "bearing_fails", "trips_again", "two_of_three",
    ]  # fmt: skip
    assert whole.suppress.pauses
