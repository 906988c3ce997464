"""Rules that look at several windows, or at a ratio, in the engine; state as bytes at every pane."""

from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rule_builders import DAY, HOUR, MINUTE, OF, PANE, Store, pane, rules

from schemas.records import Alert
from stream.baselines import Decayed
from stream.device_state import DeviceState
from stream.engine import Engine
from stream.panes import Pane
from stream.rule import Rules
from stream.run_in import learns, memory_ms, settling_ms

VENDOR = "version: 1\nbaselines:\n  usual: {kind: constant, mean: 10, std: 2}"
FIRST = "version: 1\nbaselines:\n  usual: {kind: frozen, learn_for: 2h%s}"
DECAYED = "version: 1\nbaselines:\n  usual: {kind: %s, n0: 400, warmup: 4%s}"


def rule(
    compare: str, severities: str, *, header: str = "version: 1", more: str = "", size: str = "15m"
) -> Rules:
    return rules(
        f"""
        - name: found
          match: {{metric: temperature}}
          window: {{size: {size}, slide: 15m}}
          aggregate: mean
          compare: {{{compare}}}
          severities: [{severities}]
          {more}
        """,
        header=header,
    )


def play(loaded: Rules, panes: list[Pane], store: Store | None = None) -> list[Alert]:
    engine, store = Engine(loaded), store or Store()
    found: list[Alert] = []
    for each in panes:
        state = store.load()
        found += engine.on_pane(state, *OF, each).alerts
        store.keep(state)
    return found


def flat(values: list[float], first: int = 0) -> list[Pane]:
    return [pane(first + i, value, value) for i, value in enumerate(values)]


def told(alerts: list[Alert]) -> list[tuple[str, int]]:
    return [(each.event, each.window_end // PANE) for each in alerts]


RATIO = 'op: ">=", to: ratio, baseline: usual'


def test_a_ratio_is_that_to_what_was_usual():
    loaded = rule(RATIO, "{level: WARNING, enter: 1.25, exit: 1.1}", header=FIRST % "")
    values = [8.0, 12.0] * 5 + [12.0, 13.0, 11.0, 10.9]
    fired, resolved = play(loaded, flat(values))
    assert told([fired, resolved]) == [("FIRED", 12), ("RESOLVED", 14)]
    assert (fired.score, fired.baseline_mean, fired.value) == (1.3, 10.0, 13.0)
    assert fired.comparator == "ratio >="


def test_a_ratio_to_nothing_is_none():
    loaded = rule(RATIO, "{level: WARNING, enter: 1.25}", header=FIRST % "")
    assert play(loaded, flat([0.0] * 10 + [5.0] * 10)) == []
    assert play(loaded, flat([-1.0] * 10 + [-5.0] * 10)) == []


def test_an_offset_is_in_the_unit_of_the_metric_and_needs_no_spread():
    loaded = rule(
        'op: "<=", to: offset, baseline: usual',
        "{level: WARNING, enter: -3}",
        header=FIRST % ", floor_rel: 0",
    )
    (fired,) = play(loaded, flat([0.0] * 10 + [-2.9, -3.0]))
    assert (fired.score, fired.window_end) == (-3.0, 12 * PANE)


def test_a_robust_score_takes_no_notice_of_what_was_odd_at_first():
    plain = 'op: ">=", to: zscore, baseline: usual', "{level: WARNING, enter: 3.5}"
    robust = 'op: ">=", to: robust_z, baseline: usual', "{level: WARNING, enter: 3.5}"
    values = [9.0, 11.0, 9.0, 500.0, 11.0, 9.0, 11.0, 10.0] + [10.0] * 4 + [16.0]
    assert play(rule(*plain, header=FIRST % ""), flat(values)) == []
    (fired,) = play(rule(*robust, header=FIRST % ", stat: median"), flat(values))
    # The median of the eight is 10.5, their absolute deviations .5 .5 .5 .5 1.5 1.5 1.5 489.5.
    assert fired.score == pytest.approx(0.6745 * (16 - 10.5) / 1.0, rel=1e-4)


RATE = 'op: ">=", to: rate, over: 30m, unit: h'


def test_a_rate_is_the_change_since_that_time_ago():
    loaded = rule(RATE, "{level: WARNING, enter: 8, exit: 7}")
    fired, resolved = play(loaded, flat([1.0, 1.0, 2.0, 5.0, 5.0]))
    assert told([fired, resolved]) == [("FIRED", 4), ("RESOLVED", 5)]
    assert (fired.score, fired.value, resolved.score) == (8.0, 5.0, 6.0)


def test_a_rate_across_a_gap_is_none():
    loaded = rule(RATE, "{level: WARNING, enter: 8}")
    assert play(loaded, [*flat([1.0, 1.0]), *flat([50.0, 50.0], first=40)]) == []
    assert play(loaded, [*flat([1.0, 1.0]), *flat([1.0, 50.0], first=40)]) == []
    assert play(loaded, [*flat([1.0]), *flat([50.0], first=2)])


def test_a_rate_across_a_stop_of_the_machine_is_none():
    loaded = rule(
        RATE, "{level: WARNING, enter: 8}", more='when: {metric: running, op: ">=", value: 1}'
    )
    engine, state = Engine(loaded), DeviceState()
    found: list[Alert] = []
    for index, (run, value) in enumerate([(1, 1), (1, 1), (0, 1), (1, 9), (1, 9), (1, 9)]):
        for metric, told_value in (("running", float(run)), ("temperature", float(value))):
            given_pane = pane(index, told_value, told_value)
            found += engine.on_pane(state, OF[0], metric, OF[2], OF[3], given_pane).alerts
    assert found == []


EWMA = 'op: "abs>=", to: ewma, baseline: usual, lambda: 0.25'
CUSUM = 'op: "%s", to: cusum, baseline: usual, k: 0.5'


def test_a_small_shift_that_lasts_is_found_by_a_chart_and_not_by_a_score():
    shifted = flat([10.0] * 10 + [12.4] * 30)  # 1.2 sigma
    score = 'op: "abs>=", to: zscore, baseline: usual', "{level: WARNING, enter: 3}"
    assert play(rule(*score, header=VENDOR), shifted) == []
    # 1.2(1 - .75^i) over the chart's deviation, sqrt(.25/1.75): 2.94 after nine, 3.00 after ten.
    smooth = play(rule(EWMA, "{level: WARNING, enter: 2.98}", header=VENDOR), shifted)
    assert told(smooth) == [("FIRED", 20)]
    sums = play(rule(CUSUM % ">=", "{level: WARNING, enter: 5}", header=VENDOR), shifted)
    assert told(sums) == [("FIRED", 18)]  # eight times .7


def test_a_cusum_looks_to_the_side_that_is_asked():
    low = flat([10.0] * 4 + [4.0] * 6)
    above = rule(CUSUM % ">=", "{level: WARNING, enter: 5}", header=VENDOR)
    below = rule(CUSUM % "<=", "{level: WARNING, enter: -5}", header=VENDOR)
    both = rule(CUSUM % "abs>=", "{level: WARNING, enter: 5}", header=VENDOR)
    assert play(above, low) == []
    (fired,), (same,) = play(below, low), play(both, low)
    assert (fired.score, fired.window_end) == (same.score, same.window_end) == (-5.0, 6 * PANE)


def test_a_chart_starts_anew_when_its_alert_is_over():
    loaded = rule(CUSUM % ">=", "{level: WARNING, enter: 5, exit: 4}", header=VENDOR)
    store = Store()
    values = [16.0] * 4 + [10.0] * 13
    assert told(play(loaded, flat(values), store)) == [("FIRED", 2), ("RESOLVED", 17)]
    memory = store.load().series(OF[1]).rules["found"].memory
    assert memory is not None
    assert memory.high == 0  # and not 3.5, near enough to the limit for one odd window


TREND = 'op: "<=", to: time_to_limit, limit: 50, points: 10, unit: min'
SOON = "{level: WARNING, enter: 120, exit: 150}, {level: CRITICAL, enter: 30}"


def test_a_trend_tells_when_it_meets_its_limit_and_ends_when_it_is_over():
    rising = [10.0 + 2 * i for i in range(20)]
    fired, worse, resolved = play(rule(TREND, SOON), flat(rising + [10.0] * 12))
    # The line gains 2 in 15 min, from a window's middle on: 7.5 min before its end.
    assert (fired.event, fired.window_end // PANE, fired.value) == ("FIRED", 13, 34.0)
    assert fired.score == pytest.approx(16 / 2 * 15 - 7.5)
    assert (worse.event, worse.window_end // PANE) == ("ESCALATED", 19)
    assert worse.score == pytest.approx(4 / 2 * 15 - 7.5)
    assert (resolved.event, resolved.window_end // PANE) == ("RESOLVED", 21)
    assert (resolved.score, resolved.value) == (None, 10.0)


def test_a_trend_says_nothing_of_a_stretch_that_is_too_short():
    rising = [10.0 + 4 * i for i in range(9)]
    assert play(rule(TREND, SOON), flat(rising)) == []


def test_a_trend_beyond_its_horizon_is_none():
    rising = [10.0 + 2 * i for i in range(16)]
    assert play(rule(TREND, "{level: WARNING, enter: 120}"), flat(rising))
    short = TREND + ", horizon: 1h"
    assert play(rule(short, "{level: WARNING, enter: 60}"), flat(rising)) == []


COMPARED = [
    (RATIO, "{level: WARNING, enter: 1.25}"),
    ('op: ">=", to: offset, baseline: usual', "{level: WARNING, enter: 3}"),
    (EWMA, "{level: WARNING, enter: 3}"),
    (CUSUM % ">=", "{level: WARNING, enter: 5}"),
]


@pytest.mark.parametrize("kind", ["decayed", "seasonal", "weekly"])
@pytest.mark.parametrize(("compare", "severity"), COMPARED)
def test_a_baseline_freezes_while_an_alert_lasts_unless_said(kind, compare, severity):
    def freeze(more: str) -> tuple[str, ...]:
        spec = rule(compare, severity, header=DECAYED % (kind, more)).rules[0].baseline
        return (spec if isinstance(spec, Decayed) else spec.hourly).freeze_while

    assert freeze("") == ("PENDING", "FIRING")
    assert freeze(", freeze_while: []") == ()


@pytest.mark.parametrize(("compare", "severity"), COMPARED)
def test_a_fault_is_not_learned(compare, severity):
    values = [10.0] * 40 + [20.0] * 300
    loaded = rule(compare, severity, header=DECAYED % ("decayed", ", floor: 1"))
    assert [each.event for each in play(loaded, flat(values))] == ["FIRED"]
    learns_on = DECAYED % ("decayed", ", floor: 1, freeze_while: []")
    learned = play(rule(compare, severity, header=learns_on), flat(values))
    assert [each.event for each in learned] == ["FIRED", "RESOLVED"]


ALL = [
    (RATIO, "{level: WARNING, enter: 1.25}", FIRST % ""),
    ('op: "abs>=", to: robust_z, baseline: usual', "{level: WARNING, enter: 3}", FIRST % ", stat: median"),
    (RATE, "{level: WARNING, enter: 8}", "version: 1"),
    (EWMA, "{level: WARNING, enter: 2}", VENDOR),
    (CUSUM % "abs>=", "{level: WARNING, enter: 3}", VENDOR),
    (TREND, SOON, "version: 1"),
]  # fmt: skip


@pytest.mark.parametrize(("compare", "severities", "header"), ALL)
@settings(max_examples=20)
@given(st.lists(st.one_of(st.none(), st.floats(0, 60)), min_size=12, max_size=30))
def test_going_to_disk_and_back_changes_nothing(compare, severities, header, values):
    loaded = rule(compare, severities, header=header)
    panes = [pane(i, v, v) for i, v in enumerate(values) if v is not None]
    engine, state = Engine(loaded), DeviceState()
    kept = [a for each in panes for a in engine.on_pane(state, *OF, each).alerts]
    assert play(loaded, panes) == kept


def test_how_far_back_a_rule_remembers():
    def memory(compare: str, severities: str, header: str = "version: 1") -> float:
        made = rule(compare, severities, header=header)
        return memory_ms(made.rules[0], made)

    one = "{level: WARNING, enter: 3}"
    assert memory(RATE, one) == 0
    assert settling_ms(rule(RATE, one)) == 15 * MINUTE + 30 * MINUTE
    assert memory(EWMA, one, VENDOR) == HOUR
    assert memory(CUSUM % ">=", one, VENDOR) == inf
    assert memory(TREND, SOON) == 150 * MINUTE
    assert memory(RATIO, one, FIRST % "") == inf
    weekly = 'op: ">=", to: zscore, baseline: usual', one, DECAYED % ("weekly", "")
    assert memory(*weekly) == 7 * DAY / HOUR * 400 * 5 * MINUTE
    assert [learns(rule(c, s, header=h)) for c, s, h in ALL] == [True, True, False] + [True] * 3
