"""What a rule file may say of sensors, and what is wrong with what it may not."""

from math import inf

import pytest
from click.testing import CliRunner
from rule_builders import limit, rules

from schemas.config import ConfigError
from schemas.records import WindowFeatures
from stream.recompute import makes, memory_ms
from stream.rules_cli import rules as command
from stream.sensor_checks import NoData


def wrong(body: str) -> str:
    with pytest.raises(ConfigError) as raised:
        rules(body)
    return str(raised.value)


def sensor(checks: str, more: str = "") -> str:
    return f"""
        - name: sensor
          match: {{metric: "*"}}
          checks: {checks}
          {more}
    """


@pytest.mark.parametrize(
    ("checks", "told"),
    [
        ("{}", "test.yaml:6: rules[0].checks: expected at least one of stuck, range, drift"),
        ("{stuk: {n: 20}}", 'rules[0].checks.stuk: unknown key; did you mean "stuck"?'),
        ("{stuck: {n: 1}}", "test.yaml:6: rules[0].checks.stuck.n: expected 2 or more, got 1"),
        ("{stuck: {resolution: -1}}", "rules[0].checks.stuck.resolution: expected 0 or more"),
        ("{range: {}}", "test.yaml:6: rules[0].checks.range: expected lo, hi or both"),
        ("{range: {lo: 5, hi: 5}}", "rules[0].checks.range.hi: expected more than lo, 5, got 5"),
        ("{drift: {k: 6}}", "rules[0].checks.drift.learn_for: missing; it has no default"),
        ("{drift: {k: 0, learn_for: 1d}}", "rules[0].checks.drift.k: expected more than 0, got 0"),
        ("{drift: {learn_for: 0s}}", "rules[0].checks.drift.learn_for: nothing would be learned"),
        ("{drift: {learn_for: 1d, floor: -1}}", "rules[0].checks.drift.floor: expected 0 or more"),
        ("{no_data: {after: 1x}}", "rules[0].checks.no_data.after: expected 2x to 1000x"),
        ("{no_data: {after: 5y}}", "or usual intervals such as 5x"),
        ("{no_data: {after: 5}}", "or usual intervals such as 5x"),
        ("{no_data: {after: 30s}}", "30s is less than a pane, 60 s: it cannot be seen"),
        ("{spike: {k: -1}}", "rules[0].checks.spike.k: expected more than 0, got -1"),
        ("{clock: {}}", "test.yaml:6: rules[0].checks.clock: expected ahead, behind or both"),
        ("{bad_share: {share: 2}}", "rules[0].checks.bad_share.share: expected more than 0, and 1"),
    ],
)
def test_what_cannot_work_is_told_with_its_line(checks, told):
    assert told in wrong(sensor(checks))


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("every: 90m", "test.yaml:7: rules[0].every: expected whole seconds, from 1s to 1h"),
        ("every: 1500ms", "rules[0].every: expected whole seconds"),
        ("for: never", "rules[0].for:"),
        ("aggregate: mean", "rules[0].aggregate: unknown key"),
        ('annotations: {summary: "{{valu}}"}', "annotations.summary: knows no {{valu}}"),
    ],
)
def test_what_is_wrong_beside_the_checks_is_told_too(more, told):
    assert told in wrong(sensor("{range: {hi: 1}}", more))


def test_a_name_that_a_check_takes_is_taken():
    twice = sensor("{range: {hi: 1}}") + sensor("{range: {hi: 2}}").replace("sensor", "sensor")
    assert "rules[1].name: 'sensor_range' is there twice" in wrong(twice)


def test_a_slip_in_the_word_checks_is_told_as_such():
    told = wrong("- {name: s, match: {metric: a}, cheks: {range: {hi: 1}}}")
    assert 'rules[0].cheks: unknown key; did you mean "checks"?' in told
    assert "window" not in told


def test_an_entry_that_is_no_table_is_told_of():
    assert "test.yaml:3: rules[0]: expected a table, got 'sensor'" in wrong("- sensor")


def test_a_process_rule_says_what_silence_means_to_it():
    body = """
        - name: hot
          match: {metric: a}
          window: {size: 1h, slide: 15m}
          aggregate: mean
          compare: {op: ">=", to: value}
          severities: [{level: CRITICAL, enter: 9}]
          no_data: {after: %s}
    """
    (hot, silent) = rules(body % "1h, action: resolve").rules
    assert (silent.name, silent.check) == ("hot_no_data", NoData(after_ms=3_600_000, ends="hot"))
    assert hot.digest == rules(body.replace("no_data: {after: %s}", "")).rules[0].digest
    for none in ("keep", "ignore"):
        (alone,) = rules(body % f"1h, action: {none}").rules
        assert alone == rules(body.replace("{after: %s}", f"{{action: {none}}}")).rules[0]
        assert alone == rules(body.replace("{after: %s}", none)).rules[0]
        assert alone.digest == hot.digest
    assert "rules[0].no_data.after: 5m is less than a pane" in wrong(body % "5m")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "{after: 1h, action: drop}",
            "no_data.action: expected one of alert, resolve, keep, ignore, got 'drop'",
        ),
        ("{action: alert}", "no_data.after: missing; it has no default"),
        ("{action: resolve}", "no_data.after: missing; it has no default"),
        ("{action: ignore, afer: 1h}", 'no_data.afer: unknown key; did you mean "after"?'),
        (
            "ignored",
            """no_data: expected one of keep, ignore, got 'ignored'; did you mean "ignore"?""",
        ),
        ("alert", "no_data: expected one of keep, ignore, got 'alert'; or a table"),
        ("[ignore]", "no_data: expected one of keep, ignore, got ['ignore']"),
    ],
)
def test_what_silence_cannot_mean_is_told_with_its_line(said, told):
    body = f"""
        - name: hot
          match: {{metric: a}}
          window: {{size: 1h, slide: 15m}}
          aggregate: mean
          compare: {{op: ">=", to: value}}
          severities: [{{level: CRITICAL, enter: 9}}]
          no_data: {said}
    """
    assert wrong(body).startswith(f"test.yaml:10: rules[0].{told}")


def test_check_tells_of_a_rule_whose_silence_nobody_minds(tmp_path):
    path = tmp_path / "door.yaml"
    path.write_text(
        "version: 1\nrules:\n  - {name: door, match: {metric: open}, window: {size: 1h, slide: 1h}, "
        'aggregate: last, compare: {op: ">=", to: value}, '
        "severities: [{level: WARNING, enter: 1}], no_data: ignore}\n"
    )
    done = CliRunner().invoke(command, ["check", str(path)])
    assert done.stdout.splitlines()[0].endswith("; no sensor rule minds its silence")


def test_a_backfill_knows_which_checks_have_learned_and_that_none_makes_windows():
    body = sensor(
        "{stuck: {}, range: {hi: 1}, drift: {learn_for: 1d}, no_data: {after: 5x}, spike: {}}"
    ) + sensor("{no_data: {after: 1h}}").replace("name: sensor", "name: hourly")
    made = rules(body)
    reach = {rule.name: memory_ms(rule, made) for rule in made.rules}
    assert {name for name, back in reach.items() if back == inf} == {
        "sensor_stuck", "sensor_drift", "sensor_no_data", "sensor_spike",
    }  # fmt: skip
    assert reach["sensor_range"] == reach["hourly_no_data"] == 0
    window = WindowFeatures("d", "m", "s", 0, 60_000, 1, *[1.0] * 8)
    assert not makes(made, window, None)


def test_rules_that_were_there_before_mean_what_they_did():
    # Digests of this release's first day: another would end every open alert at an upgrade.
    assert limit("[{level: WARNING, enter: 1}]").rules[0].digest == "dd77e9514679"


def test_check_prints_what_each_check_finds_and_costs():
    done = CliRunner().invoke(command, ["check", "sensor_health"])
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0] == (
        "sensor_no_data: *; no reading for 5 usual intervals; 130 bytes a series; each pane of 1m"
    )
    assert lines[5].startswith("sensor_running_stuck: *; 20 equal readings, more where")
    assert lines[5].endswith("while running >= 0.5 for 1h")
    assert lines[-2] == "panes: running 1m, * 1m"


def test_every_kind_of_check_is_told_in_words(tmp_path):
    path = tmp_path / "all.yaml"
    path.write_text(
        "version: 1\nrules:\n  - name: s\n    match: {metric: a}\n    checks: {stuck: {n: 9, "
        "resolution: 0.5}, range: {lo: 1}, drift: {learn_for: 1d}, no_data: {after: 2m}, "
        "spike: {k: 9}, bad_share: {share: 0.5}, clock: {ahead: 30s, behind: 1d}}\n"
    )
    done = CliRunner().invoke(command, ["check", str(path)])
    told = [line.split("; ")[1] for line in done.stdout.splitlines()[:-2]]
    assert told == [
        "9 equal readings within 0.5, more where healthy runs are long",
        "readings outside [1, ]",
        "a slow mean 6 deviations off the first 24 h",
        "no reading for 120 s",
        "a reading 9 spreads off its neighbours",
        "a share of 0.5 of the last readings bad",
        "times 30 s ahead of or 86400 s behind its gateway's",
    ]
