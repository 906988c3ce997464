"""Rule files: what they may say, and how mistakes are told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_builders import DAY, HOUR, MINUTE, limit, rules

from schemas.config import ConfigError
from stream.lifecycle import Hold
from stream.pane_sizes import no_larger, pane_ms, pane_sizes
from stream.rules import load_rules, packs, parse_rules, rules_text

GOOD = """\
version: 1
baselines:
  slow: {kind: decayed, n0: 6400, warmup: 50}
rules:
  - name: hot
    match:
      metric: temperature
    window: {size: 1h, slide: 15m}
    aggregate: mean
    compare: {op: ">=", to: value}
    severities:
      - {level: WARNING, enter: 80, exit: 75, for: 3m}
      - {level: CRITICAL, enter: 90, exit: 85}
  - name: odd
    match: {metric: "*"}
    window:
      size: 1h
      slide: 15m
    aggregate: mean
    compare: {op: "abs>=", to: zscore, baseline: slow}
    severities: [{level: INFO, enter: 2.5, keep_firing_for: 3}]
"""


def refused(old: str, new: str) -> str:
    assert GOOD.count(old) >= 1
    with pytest.raises(ConfigError) as wrong:
        parse_rules(GOOD.replace(old, new, 1), "my.yaml")
    assert wrong.value.exit_code == 78
    return str(wrong.value)


def test_a_good_file_is_taken():
    hot, odd = parse_rules(GOOD).rules
    assert (hot.window.size_ms, hot.window.slide_ms) == (HOUR, 15 * MINUTE)
    assert [s.level for s in hot.severities] == ["WARNING", "CRITICAL"]
    assert (hot.severities[0].delay, odd.severities[0].keep) == (Hold(ms=3 * MINUTE), Hold(count=3))
    assert odd.severities[0].shown_exit == 2.5  # exit is enter when it is not said
    assert odd.baseline is not None


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("version: 1", "version: 2", "my.yaml:1: version: expected one of 1, got 2"),
        ("aggregate: mean", "agregate: mean", 'my.yaml:9: rules[0].agregate: unknown key; did you mean "aggregate"?'),
        ("aggregate: mean", "aggregate: men", 'did you mean "mean"?'),
        ("metric: temperature", "metrik: temperature", 'my.yaml:7: rules[0].match.metrik: unknown key; did you mean "metric"?'),
        ("level: WARNING", "level: WARN", 'my.yaml:12: rules[0].severities[0].level: expected one of INFO, WARNING, CRITICAL, got \'WARN\'; did you mean "WARNING"?'),
        ("exit: 75", "exit: 81", 'my.yaml:12: rules[0].severities[0].exit: 81 is on the wrong side of enter; with ">=" it is 80 or below'),
        ("enter: 90", "enter: 80", "my.yaml:13: rules[0].severities[1].enter: CRITICAL at 80 is no worse than WARNING at 80"),
        ("exit: 85", "exit: 70", "my.yaml:13: rules[0].severities[1].exit: CRITICAL would outlast WARNING, whose exit is 75"),
        ("level: CRITICAL", "level: WARNING", "my.yaml:13: rules[0].severities[1].level: WARNING is there twice"),
        ("      size: 1h\n", "      size: 50m\n", "my.yaml:17: rules[1].window.size: expected a multiple of the slide, 15m, got 50m"),
        ("      slide: 15m\n", "      slide: 500ms\n", "my.yaml:18: rules[1].window.slide: expected whole seconds, got 500ms"),
        ("      slide: 15m\n", "      slide: 15\n", 'my.yaml:18: rules[1].window.slide: expected a duration such as "500ms"'),
        ("      slide: 15m\n", "      slide: 15m\n      grow_to: 1h\n", "my.yaml:19: rules[1].window.grow_to: expected more than size"),
        (", baseline: slow", "", "my.yaml:20: rules[1].compare.baseline: zscore needs one of the file's baselines: slow"),
        ("baseline: slow", "baseline: slwo", "zscore needs one of the file's baselines: slow"),
        ("to: value}", "to: value, baseline: slow}", 'my.yaml:10: rules[0].compare.baseline: means nothing with "to: value"'),
        ("name: odd", "name: hot", "my.yaml:14: rules[1].name: 'hot' is there twice"),
        ("name: odd", "name: Odd one", "my.yaml:14: rules[1].name: expected lower-case letters"),
        ("enter: 80", "enter: .nan", "my.yaml:12: rules[0].severities[0].enter: expected a finite number, got .nan"),
        ("enter: 80", "enter: 1e999", "expected a finite number, got 1e999"),
        ("enter: 80", "enter: hot", "my.yaml:12: rules[0].severities[0].enter: expected float, got str ('hot')"),
        ("enter: 80", "enter: 1" + "0" * 400, "expected a number of at most 64 bits"),
        ("for: 3m", "for: soon", "my.yaml:12: rules[0].severities[0].for: expected a duration such as"),
        ("for: 3m", "for: -1", "expected 0 or more evaluations, got -1"),
        ("for: 3m", "for: 1:30", "my.yaml:12: rules[0].severities[0].for: YAML reads 1:30 as 90"),
        ("for: 3m", "for: true", "rules[0].severities[0].for: expected"),
        ("enter: 2.5", "enter: -2.5", 'my.yaml:21: rules[1].severities[0]: "abs>=" compares distances'),
        ("n0: 6400", "n0: 20", "my.yaml:3: baselines.slow.warmup: is never reached with n0 20"),
        ("kind: decayed", "kind: decade", "my.yaml:3: baselines.slow.kind: expected one of decayed, seasonal, weekly, frozen, constant, fitted, got 'decade'; did you mean \"decayed\"?"),
        ("warmup: 50", "warm_up: 50", 'my.yaml:3: baselines.slow.warm_up: unknown key; did you mean "warmup"?'),
        ("metric: temperature", "metric: 'a b'", "my.yaml:7: rules[0].match.metric: expected a name or a glob such as vibration_*, got 'a b'"),
        ("metric: temperature", "metric: []", "my.yaml:7: rules[0].match.metric: expected a name or a glob"),
        ("metric: temperature", "metric: {}", "my.yaml:7: rules[0].match.metric: expected"),
        ("    aggregate: mean\n", "", "my.yaml:5: rules[0].aggregate: missing"),
        ("    aggregate: mean\n", "    aggregate: mean\n    aggregate: max\n", "my.yaml:9: rules[0].aggregate: is there twice, the second time on line 10"),
        ("    aggregate: mean\n", "    aggregate: mean\n    annotations: {a: '{{valeu}}'}\n", "my.yaml:10: rules[0].annotations.a: knows no {{valeu}}"),
        ("    aggregate: mean\n", "    aggregate: mean\n    min_samples: 0\n", "my.yaml:10: rules[0].min_samples: expected 1 or more, got 0"),
        ('op: ">="', "op: >=", "my.yaml:10: not YAML"),
        ('metric: "*"', "metric: *", "my.yaml:15: not YAML"),
        ("    aggregate: mean\n", "\taggregate: mean\n", "my.yaml:9: not YAML: found character '\\t' that cannot start any token; YAML is indented with spaces, never with tabs"),
        (GOOD, "", "my.yaml:1: expected the keys version and rules, got none"),
        ("severities: [{level: INFO, enter: 2.5, keep_firing_for: 3}]", "severities: []", "my.yaml:21: rules[1].severities: expected at least one severity"),
        ("  slow: {", "  slow: 5\n  slower: {", "my.yaml:3: baselines.slow: expected a table, got 5"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line_and_what_was_expected(old, new, told):
    assert told in refused(old, new)


def test_all_mistakes_are_told_at_once():
    wrong = GOOD.replace("exit: 75", "exit: 99").replace("enter: 2.5", "enter: -1")
    with pytest.raises(ConfigError) as refusal:
        parse_rules(wrong, "my.yaml")
    assert {line.split(":")[1] for line in refusal.value.lines} == {"12", "13", "21"}


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "5", "\x00", "rules:\n\t- a", "version: 1\nrules: {}", "version: 1\nrules: [1]",
        "version: 1\nrules: []", "[" * 500, "a: &a [*a]", "? [a, b]\n: 1", "version: !!int x",
        "version: !!python/object:os.system x", "version: 1\nrules: 2014-02-30", "<<: {a: 1}",
    ],
)  # fmt: skip
def test_what_is_no_rule_file_is_refused_without_a_traceback(text):
    with pytest.raises(ConfigError, match=r"^odd\.yaml"):
        parse_rules(text, "odd.yaml")


@given(st.text(max_size=60))
def test_any_text_is_taken_or_refused(text):
    try:
        parse_rules(text)
    except ConfigError as refusal:
        assert refusal.lines  # noqa: PT017


@given(st.data())
def test_a_file_cut_or_garbled_anywhere_is_taken_or_refused(data):
    at = data.draw(st.integers(0, len(GOOD)))
    upto = data.draw(st.integers(at, len(GOOD)))
    try:
        parse_rules(GOOD[:at] + data.draw(st.text(max_size=3)) + GOOD[upto:])
    except ConfigError as refusal:
        assert refusal.lines  # noqa: PT017


def test_aliases_do_not_grow_without_bound():
    bomb = "a: &a [x, x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(20)
    )
    with pytest.raises(ConfigError, match="unknown key"):
        parse_rules(bomb)


def test_every_shipped_pack_is_good():
    assert {"demo", "generic"} <= set(packs())
    for name in packs():
        assert load_rules(name).rules
        assert parse_rules(rules_text(name)) == load_rules(name)


def test_neither_a_file_nor_a_pack_is_told_with_the_packs_there_are():
    with pytest.raises(
        ConfigError, match="generik: no such rule file, and no pack; packs: bearing_wear, demo, gen"
    ):
        rules_text("generik")


def test_a_file_s_mistakes_are_told_with_its_path(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("version: 1\nrules: []\n")
    with pytest.raises(ConfigError, match=rf"{path}:2: rules: expected at least one rule"):
        rules_text(str(path))


def test_a_rule_matches_by_metric_device_and_site():
    (rule,) = rules("""
        - name: limit
          match: {metric: [a, "vib_*"], device: "plant.pump-?", site: plant}
          window: {size: 1m, slide: 1m}
          aggregate: max
          compare: {op: ">=", to: value}
          severities: [{level: INFO, enter: 1}]
    """).rules
    covers = rule.match.covers
    assert covers("plant.pump-1", "a", "plant")
    assert covers("plant.pump-1", "vib_x", "plant")
    assert not covers("plant.pump-1", "b", "plant")
    assert not covers("plant.pump-10", "a", "plant")
    assert not covers("plant.pump-1", "a", "other")


def both(first: str, second: str) -> str:
    body = """
        - name: {0}
          match: {{metric: {1}}}
          window: {2}
          aggregate: max
          compare: {{op: ">=", to: value}}
          severities: [{{level: INFO, enter: 1}}]
    """
    a = body.format("one", *first.split("|"))
    b = body.format("two", *second.split("|"))
    return pane_sizes(rules(a + b))


@pytest.mark.parametrize(
    ("first", "second", "sizes"),
    [
        ("a|{size: 1h, slide: 15m}", "b|{size: 1m, slide: 5s}", "a=900000,b=5000,*=3600000"),
        ("a|{size: 1h, slide: 15m}", "'*'|{size: 10m, slide: 5m}", "a=300000,*=300000"),
        ("a|{size: 1h, slide: 20m}", "a|{size: 30m, slide: 30m}", "a=300000,*=3600000"),
        ("a|{size: 2d, slide: 1d}", "'v_*'|{size: 3m, slide: 3m}", "a=86400000,*=60000"),
        ("a|{size: 1d, slide: 1d}", "'[a]'|{size: 3m, slide: 3m}", "a=60000,*=60000"),
        ("a|{size: 7s, slide: 7s}", "b|{size: 2h, slide: 2h}", "a=1000,b=3600000,*=3600000"),
    ],
)
def test_a_metric_s_pane_divides_the_slides_of_all_rules_that_may_match_it(first, second, sizes):
    assert both(first, second) == sizes


def test_offline_and_operator_cut_the_same_panes():
    loaded = load_rules("demo")
    size = pane_ms(loaded)
    for entry in pane_sizes(loaded).split(","):
        metric, ms = entry.split("=")
        assert size("anything" if metric == "*" else metric) == int(ms)


def test_a_window_of_too_many_panes_is_refused():
    assert limit("[{level: INFO, enter: 1}]", window="{size: 1d, slide: 1m}")
    with pytest.raises(ConfigError, match=r"makes 2880 panes of 1m, at most 1440"):
        limit("[{level: INFO, enter: 1}]", window="{size: 2d, slide: 1m}")


def test_the_digest_changes_with_what_a_rule_means_and_not_with_its_words():
    def digest(**over: str) -> str:
        return limit("[{level: INFO, enter: 1}]", **over).rules[0].digest

    assert digest() == digest(metric="a")
    assert digest() != digest(window=f"{{size: {DAY // HOUR}h, slide: 1h}}")
    assert digest() != digest(op="<=")


@pytest.mark.parametrize(
    ("own", "former", "expected"),
    [
        ("a=300000,*=900000", "a=900000,*=900000", "a=300000,*=900000"),
        ("a=900000,*=3600000", "a=300000,*=900000", "a=300000,*=900000"),
        ("*=900000", "a=300000,*=3600000", "a=300000,*=900000"),
        ("a=60000,*=3600000", "*=10000", "a=10000,*=10000"),
    ],
)
def test_panes_of_a_job_that_goes_on_are_no_larger(own: str, former: str, expected: str) -> None:
    assert no_larger(own, former) == expected
