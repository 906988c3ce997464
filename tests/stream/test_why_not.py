"""Why nothing fired: the reason is the engine's own, for every window."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from rule_builders import HOUR, MINUTE, limit, rules, two_kinds

from compose.rules_cli import rules as command
from schemas.failure import Failure
from stream.backtest import Series, run
from stream.rule import Rules
from stream.rules import parse_rules
from stream.why_not import Seen, mismatch, spans, watcher

QUARTER = 15 * MINUTE
BASELINES = """version: 1
baselines:
  slow: {kind: decayed, n0: 200, warmup: 20, counted_every: 15m}
  first: {kind: frozen, learn_for: 4h, skip_first: 1h}
  daily: {kind: seasonal, warmup: 3, counted_every: 15m}
"""


def looks(of: Rules, *values: float, states: tuple[float, ...] = ()) -> list[Seen]:
    """Play a reading each quarter of an hour, beside one of `running`; return what was seen."""
    found: list[Seen] = []
    series = [Series("pump", "heat", [(i * QUARTER, x) for i, x in enumerate(values)])]
    if states:
        series.append(Series("pump", "running", [(i * QUARTER, x) for i, x in enumerate(states)]))
    run(of, series, watcher(found, metric="heat"))
    return found


def told(found: list[Seen]) -> list[tuple[str, str]]:
    return [(each.outcome, each.told) for each in found]


def scored(baseline: str, *, when: str = "") -> Rules:
    return rules(
        f"""
        - name: odd
          match: {{metric: heat}}
          window: {{size: 15m, slide: 15m}}
          aggregate: mean
          compare: {{op: "abs>=", to: zscore, baseline: {baseline}}}
          severities: [{{level: WARNING, enter: 3}}]
          {when}
        """,
        header=BASELINES.rstrip(),
    )


def test_a_value_below_its_limit_is_told_with_both():
    (only,) = looks(limit("[{level: WARNING, enter: 10}, {level: CRITICAL, enter: 20}]"), 8.5)
    assert (only.outcome, only.told) == ("below", "mean 8.5 (WARNING >= 10, CRITICAL >= 20)")
    assert (only.value, only.short, only.phase, only.event) == (8.5, 1.5, "INACTIVE", None)


def test_a_delay_that_runs_is_told_until_the_alert_and_then_its_phase():
    of = limit("[{level: WARNING, enter: 10, for: 30m, keep_firing_for: 15m}]")
    found = looks(of, 11, 12, 13, 14, 1, 1)
    assert told(found) == [
        ("pending", "WARNING true since 1970-01-01 00:15, 30m are needed; mean 11 (WARNING >= 10)"),
        ("pending", "WARNING true since 1970-01-01 00:15, 30m are needed; mean 12 (WARNING >= 10)"),
        ("event", "FIRED WARNING: mean 13 (WARNING >= 10)"),
        ("active", "FIRING since 1970-01-01 00:45; mean 14 (WARNING >= 10)"),
        ("event", "RESOLVED WARNING: mean 1 (WARNING >= 10)"),
        ("below", "mean 1 (WARNING >= 10)"),
    ]


def test_too_few_readings_are_counted():
    found = looks(limit("[{level: WARNING, enter: 1}]", min_samples=2), 5)
    assert told(found) == [("few", "1 readings in the window, 2 are needed")]


def test_a_cooldown_is_told_with_its_end():
    of = rules(
        """
        - name: hot
          match: {metric: heat}
          window: {size: 15m, slide: 15m}
          aggregate: mean
          compare: {op: ">=", to: value}
          severities: [{level: WARNING, enter: 10}]
          cooldown: 1h
        """
    )
    assert told(looks(of, 11, 1, 11))[2] == ("rests", "cooldown until 1970-01-01 01:30")


def test_a_warm_up_tells_how_far_it_is_and_then_the_baseline():
    found = looks(scored("slow"), *[1.0, 2.0] * 20, 2.5)
    assert found[9].told == "warm-up: the baseline has 9 of 20 readings"
    assert found[19].outcome == "unknown"
    assert found[20].outcome == "below"
    assert "mean 2.5 where 1.5 ± 0.5" in found[-1].told
    assert found[-1].statistic == pytest.approx(2, abs=0.1)


def test_a_baseline_that_learns_once_tells_its_hours():
    found = looks(scored("first"), *[1.0, 2.0] * 20)
    assert found[7].told == "still learning: 1.8 of 5.0 h, of which the first 1h are skipped"
    assert [each.outcome for each in found[18:22]] == ["unknown"] * 2 + ["below"] * 2


def test_a_seasonal_baseline_tells_the_readings_of_the_hour():
    found = looks(scored("daily"), *[1.0, 2.0] * 48, 1.0)
    assert found[94].told.startswith("warm-up: the baseline has 2 of 3")
    assert found[95].outcome == "below"
    assert found[0].told == "warm-up: the baseline has 0 of 3 readings of this hour of the day"


def test_a_series_without_spread_and_floor_has_no_number_to_compare():
    found = looks(scored("slow"), *[0.0] * 30)
    assert found[-1].told.startswith("nothing to compare")


def test_a_condition_that_is_not_met_is_named():
    of = scored("slow", when='when: {metric: running, op: ">=", value: 0.5, for: 30m}')
    found = looks(of, *[1.0] * 8, states=(0, 0, 1, 1, 1, 1, 1, 1))
    late = "running >= 0.5 only since 1970-01-01 00:30; it counts from 1970-01-01 01:00 on"
    assert told(found)[:2] == [
        ("condition", "not met: running >= 0.5 for 30m"),
        ("condition", f"{late}, for windows wholly inside"),
    ]
    assert [each.outcome for each in found] == ["condition"] * 2 + ["unknown"] * 5


def test_globs_that_leave_a_series_out_are_named():
    (rule,) = limit("[{level: WARNING, enter: 1}]", metric="[heat, vib*]").rules
    assert mismatch(rule, "pump", "vibration", "s") is None
    assert mismatch(rule, "pump", "force", "s") == "is for metric heat, vib*"


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([1.0, 5.0, 11.0, 13.0, 15.0]), max_size=60))
def test_watching_changes_no_alert_and_sees_each_of_them(values):
    found: list[Seen] = []
    series = [Series("pump", "temperature", [(i * QUARTER, x) for i, x in enumerate(values)])]
    alerts = run(two_kinds(), series, watcher(found))
    assert alerts == run(two_kinds(), series)
    events = [(each.rule, each.window_end, each.event) for each in found if each.event]
    assert events == [(a.rule, a.window_end, a.event) for a in alerts]
    for name in ("hot", "odd"):
        own = [each for each in found if each.rule == name]
        made = list(spans(own))
        assert sum(each.windows for each in made) == len(own)
        assert all(each.windows == 1 for each in made if each.seen.outcome == "event")
        for each in made:
            if each.seen.outcome == "below":
                inside = [
                    x for x in own if each.first.window_end <= x.window_end <= each.last.window_end
                ]
                assert each.seen.short == min(x.short for x in inside)


RULES = """
version: 1
rules:
  - name: hot
    match: {metric: heat}
    window: {size: 1h, slide: 1h}
    aggregate: mean
    compare: {op: ">=", to: value}
    severities: [{level: WARNING, enter: 10}]
  - name: shakes
    match: {metric: vibration}
    when: {absent: running}
    window: {size: 1h, slide: 1h}
    aggregate: mean
    compare: {op: ">=", to: value}
    severities: [{level: WARNING, enter: 10}]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [f"{i * HOUR},{5 + i},{i % 2}" for i in range(8)]
    (tmp_path / "pump.csv").write_text("timestamp,heat,running\n" + "\n".join(rows))
    (tmp_path / "fan.csv").write_text(
        "timestamp,vibration,running\n" + "\n".join(f"{i * HOUR},1,1" for i in range(3))
    )
    (tmp_path / "r.yaml").write_text(RULES)
    return tmp_path


def asked(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(
        command, ["why-not", str(folder / "r.yaml"), *words, "--data", str(folder)]
    )


def test_the_command_tells_spans_by_rule_and_metric(folder):
    done = asked(folder, "pump")
    assert done.exit_code == 0, done.output
    assert "pump heat: 8 readings, 1970-01-01 00:00 to 1970-01-01 07:00 UTC" in done.stdout
    assert "  shakes: is for metric vibration" in done.stdout
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert (
        "1970-01-01 01:00 1970-01-01 05:00 5 below nearest at 1970-01-01 05:00: mean 9 (WARNING >= 10)"
        in lines
    )
    assert (
        "1970-01-01 06:00 1970-01-01 06:00 1 event FIRED WARNING: mean 10 (WARNING >= 10)" in lines
    )


def test_the_command_tells_why_a_rule_made_no_window(folder):
    done = asked(folder, "fan", "--metric", "vibration")
    assert "is for devices that never tell running, and this one does" in done.stdout
    assert "running:" not in done.stdout


def test_a_period_is_not_empty_and_has_readings(folder):
    assert asked(folder, "pump", "--from=1970-01-02", "--to=1970-01-01").exit_code == 2
    late = asked(folder, "pump", "--metric=heat", "--from=2020-01-01")
    assert "no reading lies behind --from 2020-01-01 00:00" in late.stdout
    assert "has no complete window" not in late.stdout


def test_the_command_shows_one_window_in_full(folder):
    done = asked(folder, "pump", "--metric", "heat", "--at", "1970-01-01T02:30Z")
    assert "window 1970-01-01 02:00 to 1970-01-01 03:00: 1 readings, INACTIVE" in done.stdout
    assert "mean 7 (WARNING >= 10)" in done.stdout
    late = asked(folder, "pump", "--metric", "heat", "--at", "2020-01-01")
    assert "no window ends at 2020-01-01 00:00 or later" in late.stdout


def test_a_program_gets_a_line_for_each_window_and_rule(folder):
    done = asked(folder, "pump", "--from", str(6 * HOUR), "--json")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(each["outcome"], each["window_end"]) for each in found] == [
        ("active", 7 * HOUR), ("active", 8 * HOUR),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pmup"], r'no device \'pmup\'; did you mean "pump"'),
        (["pump", "--metric", "heta"], r'pump has no metric \'heta\'; did you mean "heat"'),
    ],
)
def test_a_name_that_is_not_there_is_refused_with_the_nearest(folder, words, said):
    done = asked(folder, *words)
    with pytest.raises(Failure, match=said):
        raise done.exception  # type: ignore[misc]


def test_what_holds_a_rule_back_is_told():
    weak, strong = (
        f"""
  - name: {name}
    match: {{metric: {metric}}}
    window: {{size: 15m, slide: 15m}}
    aggregate: mean
    compare: {{op: ">=", to: value}}
    severities: [{{level: WARNING, enter: 1}}]
"""
        for name, metric in (("weak", "heat"), ("strong", "cold"))
    )
    loaded = parse_rules(
        f"version: 1\nrules:{weak}{strong}\nsuppress:\n"
        "  - {inhibit: weak, if_firing: strong}\n"
        "  - {rules: weak, from: 1970-01-01T00:45Z, to: 1970-01-01T01:00Z}\n"
    )
    found: list[Seen] = []
    points = {"cold": [0, 1, 0, 0, 0], "heat": [0, 1, 0, 1, 1]}
    series = [
        Series("pump", metric, [(i * QUARTER, float(x)) for i, x in enumerate(values)])
        for metric, values in points.items()
    ]
    run(loaded, series, watcher(found, metric="heat"))
    assert [each.outcome for each in found] == ["below", "inhibited", "below", "work", "event"]
    assert told(found)[1] == ("inhibited", "a stronger alert stands; mean 1 (WARNING >= 1)")
    assert told(found)[3] == ("work", "planned work")
