"""What a rule file may say of a machine's state, of baselines and of rest between alerts."""

import pytest
from page_rules import shown
from rule_builders import DAY, HOUR, MINUTE, PANE

from schemas.config import ConfigError
from stream.baselines import Constant, Decayed, Frozen, Seasonal
from stream.conditions import When
from stream.pane_sizes import pane_ms, pane_sizes
from stream.rules import parse_rules

GOOD = """\
version: 1
baselines:
  first: {kind: frozen, learn_for: 4d, skip_first: 6h, floor: 0.1}
  vendor: {kind: constant, mean: 20, std: 2.5}
rules:
  - name: shifted
    match: {metric: vibration}
    when: {metric: running, op: ">=", value: 0.5, for: 2h}
    window: {size: 1h, slide: 15m}
    aggregate: mean
    compare: {op: "abs>=", to: zscore, baseline: first}
    cooldown: 30m
    severities: [{level: WARNING, enter: 3}]
  - name: new
    match: {metric: "*"}
    when: {absent: running}
    window: {size: 1h, slide: 1h}
    aggregate: mean
    compare: {op: ">=", to: zscore, baseline: vendor}
    severities: [{level: WARNING, enter: 3}]
"""


def test_state_baselines_and_rest_are_read():
    shifted, new = parse_rules(GOOD).rules
    assert shifted.when == When("running", ">=", 0.5, 2 * HOUR, "hold")
    assert new.when == When("running")
    assert shifted.baseline == Frozen(4 * DAY, 6 * HOUR, 1e-3, 0.1)
    assert new.baseline == Constant(20, 2.5)
    assert (shifted.cooldown_ms, new.cooldown_ms) == (30 * MINUTE, 0)


def test_panes_of_a_condition_s_metric_end_with_the_windows_that_ask_for_it():
    rules = parse_rules(GOOD)
    assert pane_sizes(rules) == f"running={PANE},vibration={PANE},*={HOUR}"
    assert pane_ms(rules)("running") == PANE


STATE = '{metric: running, op: ">=", value: 0.5, for: 2h}'


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (STATE, "{metric: running, value: 0.5}", "my.yaml:8: rules[0].when: misses op; expected metric, op and value, as in {metric: running,"),
        (STATE, "{}", "my.yaml:8: rules[0].when: misses metric, op, value;"),
        (STATE, "{metric: running, op: '==', value: 1}", "my.yaml:8: rules[0].when.op: expected"),
        (STATE, "{metric: 'run*', op: '>=', value: 1}", "my.yaml:8: rules[0].when.metric: expected the name of one metric, got 'run*'"),
        (STATE, "{metric: running, op: '>=', value: 1, for: soon}", "my.yaml:8: rules[0].when.for: expected a duration such as"),
        (STATE, "{metric: running, op: '>=', value: on}", "my.yaml:8: rules[0].when.value: expected"),
        (STATE, "{metric: running, op: '>=', value: 1, open: keep}", "my.yaml:8: rules[0].when.open: expected one of"),
        (STATE, "running", "my.yaml:8: rules[0].when: expected"),
        (STATE, "{metrik: running}", "my.yaml:8: rules[0].when.metrik: unknown key"),
        ("{absent: running}", "{absent: running, for: 1h}", "my.yaml:16: rules[1].when.for: means nothing beside absent"),
        ("{absent: running}", "{absent: running, metric: running}", "my.yaml:16: rules[1].when.metric: means nothing beside absent"),
        ("{absent: running}", '{absent: "*"}', "my.yaml:16: rules[1].when.absent: expected the name of one metric, got '*'"),
        ("{absent: running}", "{absent: ''}", "my.yaml:16: rules[1].when.absent: expected the name of one metric, got ''"),
        ("cooldown: 30m", "cooldown: 30", "my.yaml:12: rules[0].cooldown: expected a duration such as"),
        ("learn_for: 4d", "learn_for: 0s", "my.yaml:3: baselines.first.learn_for: expected more than 0"),
        ("learn_for: 4d, ", "", "my.yaml:3: baselines.first.learn_for: missing"),
        ("floor: 0.1", "floor: -0.1", "my.yaml:3: baselines.first.floor: expected 0 or more"),
        ("learn_for", "lern_for", 'my.yaml:3: baselines.first.lern_for: unknown key; did you mean "learn_for"?'),
        ("std: 2.5", "std: 0", "my.yaml:4: baselines.vendor.std: expected more than 0, got 0"),
        ("kind: constant", "kind: [constant]", "my.yaml:4: baselines.vendor.kind: expected one of decayed, seasonal, weekly, frozen, constant"),
        ("kind: constant, ", "", "my.yaml:4: baselines.vendor.kind: missing"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line_and_what_was_expected(old, new, told):
    assert GOOD.count(old) == 1
    with pytest.raises(ConfigError) as wrong:
        parse_rules(GOOD.replace(old, new), "my.yaml")
    assert told in str(wrong.value)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (STATE, STATE.replace("0.5", "1")),
        (STATE, "{absent: running}"),
        ("floor: 0.1", "floor: 0.2"),
    ],
)
def test_another_state_or_baseline_is_another_meaning(old, new):
    before, after = (parse_rules(text).rules[0] for text in (GOOD, GOOD.replace(old, new)))
    assert before.digest != after.digest


def test_a_seasonal_baseline_counts_the_readings_of_an_hour():
    text = GOOD.replace("kind: constant, mean: 20, std: 2.5", "kind: seasonal, floor: 2")
    assert parse_rules(text).rules[1].baseline == Seasonal(Decayed(168, 300_000, 36, 1e-3, (), 2))


def test_another_rest_is_the_same_meaning():
    changed = parse_rules(GOOD.replace("30m", "1h")).rules[0]
    assert changed.digest == parse_rules(GOOD).rules[0].digest


def test_the_rules_that_the_page_shows_are_such():
    page = parse_rules(shown(), "page.yaml")
    assert {"bearing_hot", "bearing_hot_no_data", "days_to_alarm"} <= {
        rule.name for rule in page.rules
    }
    assert ([each.size_ms for each in page.rollups], len(page.sessions)) == ([HOUR, DAY], 1)
