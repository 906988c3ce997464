"""The life of an alert, evaluation by evaluation."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from rule_builders import MINUTE, PANE, limit, pane

from schemas.records import Alert
from stream.device_state import DeviceState
from stream.engine import Engine
from stream.lifecycle import Life, advance, phase
from stream.rule import Rules

OF = ("plant.pump", "temperature", "plant", "degC")
TWO = """
            - {level: WARNING, enter: 10, exit: 8, for: 30m, keep_firing_for: 30m}
            - {level: CRITICAL, enter: 20, exit: 18, for: 2, keep_firing_for: 2}"""


def alerts(rules: Rules, *values: float | None) -> list[Alert]:
    """Play one value a quarter of an hour; None is a quarter without readings."""
    engine, state, found = Engine(rules), DeviceState(), []
    for i, value in enumerate(values):
        if value is not None:
            found += engine.on_pane(state, *OF, pane(i, value)).alerts
    return found


def told(rules: Rules, *values: float | None) -> list[tuple[int, str, str]]:
    """The transitions as (which evaluation, event, severity)."""
    return [(a.window_end // PANE - 1, a.event, a.severity) for a in alerts(rules, *values)]


def test_without_delays_an_alert_fires_and_resolves_at_once():
    rules = limit("[{level: WARNING, enter: 10}]")
    assert told(rules, 9, 10, 11, 9.9, 9) == [(1, "FIRED", "WARNING"), (3, "RESOLVED", "WARNING")]


def test_between_exit_and_enter_an_alert_goes_on_but_does_not_begin():
    rules = limit("[{level: WARNING, enter: 10, exit: 8}]")
    assert told(rules, 9, 10, 9, 8, 7.9, 9, 9.9) == [
        (1, "FIRED", "WARNING"), (4, "RESOLVED", "WARNING"),
    ]  # fmt: skip


def test_a_condition_must_last_as_long_as_for_says():
    rules = limit("[{level: WARNING, enter: 10, for: 30m}]")
    assert told(rules, 10, 10, 9, 10, 10, 10) == [(5, "FIRED", "WARNING")]


def test_a_bare_integer_counts_evaluations():
    rules = limit("[{level: WARNING, enter: 10, for: 3, keep_firing_for: 2}]")
    assert told(rules, 10, 10, 10, 9, 10, 9, 9, 9) == [
        (2, "FIRED", "WARNING"), (6, "RESOLVED", "WARNING"),
    ]  # fmt: skip


def test_an_alert_is_kept_firing_through_a_dip():
    rules = limit("[{level: WARNING, enter: 10, keep_firing_for: 45m}]")
    assert told(rules, 10, 9, 9, 10, 9, 9, 9) == [
        (0, "FIRED", "WARNING"), (6, "RESOLVED", "WARNING"),
    ]  # fmt: skip


def test_each_severity_has_its_own_limits_and_delays():
    rules = limit(TWO)
    values = (10, 12, 12, 20, 25, 19, 17, 17, 12, 7, 7, 7)
    assert told(rules, *values) == [
        (2, "FIRED", "WARNING"),  # 30 min after the first
        (4, "ESCALATED", "CRITICAL"),  # the second evaluation at 20 or more
        (7, "DEESCALATED", "WARNING"),  # the second below 18
        (10, "RESOLVED", "WARNING"),  # 30 min after the last at 8 or more
    ]


def test_a_jump_to_critical_fires_once_and_steps_down():
    # CRITICAL is quicker than WARNING; when it ends, WARNING, true all the time, stays.
    rules = limit(TWO)
    assert told(rules, 25, 25, 12, 12, 12, 7, 7) == [
        (1, "FIRED", "CRITICAL"), (3, "DEESCALATED", "WARNING"), (6, "RESOLVED", "WARNING"),
    ]  # fmt: skip


def test_a_lower_severity_takes_over_at_once_though_its_own_delay_is_longer():
    rules = limit("""
            - {level: WARNING, enter: 10, for: 4h}
            - {level: CRITICAL, enter: 20}""")
    assert told(rules, 25, 12, 12, 9) == [
        (0, "FIRED", "CRITICAL"),
        (1, "DEESCALATED", "WARNING"),
        (3, "RESOLVED", "WARNING"),
    ]


def test_all_records_of_an_alert_carry_one_id_and_count_up():
    found = alerts(limit(TWO), 10, 12, 12, 20, 25, 17, 17, 7, 7, 7)
    assert len({a.alert_id for a in found}) == 1
    assert [a.seq for a in found] == [0, 1, 2, 3]
    assert {a.starts_at for a in found} == {3 * PANE}
    assert {a.condition_since for a in found} == {PANE}


def test_two_alerts_of_a_rule_have_two_ids():
    found = alerts(limit("[{level: WARNING, enter: 10}]"), 10, 9, 10, 9)
    assert len({a.alert_id for a in found}) == 2
    assert len({a.fingerprint for a in found}) == 1


def test_states_tell_where_an_alert_comes_from():
    found = alerts(limit(TWO), 10, 12, 12, 7, 7)
    assert [(a.prev_state, a.state) for a in found] == [
        ("PENDING", "FIRING"), ("RECOVERING", "RESOLVED"),
    ]  # fmt: skip
    at_once = alerts(limit("[{level: WARNING, enter: 10}]"), 10, 9)
    assert [(a.prev_state, a.state) for a in at_once] == [(None, "FIRING"), ("FIRING", "RESOLVED")]


def test_a_resolved_record_says_when_it_was_last_true_and_how_bad_it_was():
    *_, last = alerts(limit(TWO), 10, 12, 14, 12, 9, 7, 7, 7)
    assert (last.event, last.last_true_at, last.ends_at) == ("RESOLVED", 5 * PANE, 7 * PANE)
    assert (last.peak_value, last.value, last.resolve_reason) == (14.0, 7.0, "VALUE")


def test_low_limits_work_the_other_way_round():
    rules = limit(
        "[{level: WARNING, enter: 2, exit: 3}, {level: CRITICAL, enter: 1, exit: 1.5}]", op="<="
    )
    assert told(rules, 3, 2, 2.5, 1, 1.4, 1.6, 3, 3.1) == [
        (1, "FIRED", "WARNING"), (3, "ESCALATED", "CRITICAL"),
        (5, "DEESCALATED", "WARNING"), (7, "RESOLVED", "WARNING"),
    ]  # fmt: skip
    peak = alerts(rules, 2, 0.5, 1.2, 9)[-1]
    assert (peak.event, peak.peak_value) == ("RESOLVED", 0.5)


def test_distances_count_on_both_sides():
    rules = limit("[{level: WARNING, enter: 5, exit: 4}]", op="abs>=")
    assert told(rules, 4, -5, 4.5, -4, 3.9) == [(1, "FIRED", "WARNING"), (4, "RESOLVED", "WARNING")]


def test_a_quarter_without_readings_is_neither_true_nor_false():
    rules = limit("[{level: WARNING, enter: 10, for: 3, keep_firing_for: 2}]")
    assert told(rules, 10, None, 10, None, 10, None, 9, None, 9) == [
        (4, "FIRED", "WARNING"), (8, "RESOLVED", "WARNING"),
    ]  # fmt: skip


levels = st.sampled_from([0.0, 7.9, 8.0, 9.9, 10.0, 17.9, 18.0, 20.0, 30.0])
holds = st.sampled_from(["0s", "15m", "1h", "1", "3"])


@given(st.lists(levels, max_size=60), holds, holds, holds, holds)
def test_records_of_any_series_make_sense(values, on1, off1, on2, off2):
    rules = limit(f"""
            - {{level: WARNING, enter: 10, exit: 8, for: {on1}, keep_firing_for: {off1}}}
            - {{level: CRITICAL, enter: 20, exit: 18, for: {on2}, keep_firing_for: {off2}}}""")
    found = alerts(rules, *values)
    rank = {"WARNING": 1, "CRITICAL": 2}
    for before, after in pairwise([None, *found]):
        opens = before is None or before.event == "RESOLVED"
        assert (after.event == "FIRED") == opens
        if not opens:
            assert (after.alert_id, after.seq) == (before.alert_id, before.seq + 1)
            assert after.window_end > before.window_end
        if after.event == "ESCALATED":
            assert rank[after.severity] > rank[after.prev_severity]
        if after.event == "DEESCALATED":
            assert rank[after.severity] < rank[after.prev_severity]
    assert len({a.alert_id for a in found}) == sum(a.event == "FIRED" for a in found)


@given(st.lists(levels, max_size=60))
def test_no_alert_ends_before_its_keep_firing_time(values):
    rules = limit("[{level: WARNING, enter: 10, exit: 8, for: 30m, keep_firing_for: 1h}]")
    for last in alerts(rules, *values):
        if last.event == "RESOLVED":
            assert last.ends_at - last.last_true_at >= 60 * MINUTE
        else:
            assert last.starts_at - last.condition_since >= 30 * MINUTE


quarters = st.integers(0, 6)


@settings(max_examples=50)
@given(st.lists(levels, max_size=80), quarters, quarters)
def test_no_alert_chatters_above_its_delays(values, on, off):
    rules = limit(
        f"[{{level: WARNING, enter: 10, exit: 8, for: {on * 15}m, keep_firing_for: {off * 15}m}}]"
    )
    for before, after in pairwise(alerts(rules, *values)):
        waits = off if after.event == "RESOLVED" else on
        # What is true has been so since an evaluation, and what is over, for one at least.
        assert after.emitted_at - before.emitted_at >= max(waits, 1) * PANE


@settings(max_examples=50)
@given(st.lists(levels, max_size=60), holds, holds, holds, holds)
def test_what_has_begun_has_ended_or_is_open_and_an_evaluation_makes_one_record(
    values, on1, off1, on2, off2
):
    rules = limit(f"""
            - {{level: WARNING, enter: 10, exit: 8, for: {on1}, keep_firing_for: {off1}}}
            - {{level: CRITICAL, enter: 20, exit: 18, for: {on2}, keep_firing_for: {off2}}}""")
    engine, state, standing = Engine(rules), DeviceState(), {}
    for index, value in enumerate(values):
        made = engine.on_pane(state, *OF, pane(index, value)).alerts
        assert len(made) <= 1
        for each in made:
            assert (each.event == "FIRED") == (each.alert_id not in standing)
            standing[each.alert_id] = each
            if each.event == "RESOLVED":
                del standing[each.alert_id]
        own = state.series(OF[1]).rules.get("limit")
        assert list(standing.values()) == ([own.life.open] if own and own.life.open else [])
        assert sorted(standing) == sorted(
            each.alert_id for each in standing.values() if each.state in ("FIRING", "RECOVERING")
        )


scores = st.lists(st.tuples(levels, st.booleans()), max_size=60)


@settings(max_examples=50)
@given(scores, quarters)
def test_what_may_not_begin_is_pending_and_begins_once_it_may(steps, on):
    (severity,) = limit(f"[{{level: WARNING, enter: 10, for: {on * 15}m}}]").rules[0].severities
    life, since, is_open = Life(), None, False
    for index, (value, may_begin) in enumerate(steps):
        change = advance(life, [severity], value, value, index * PANE, may_begin=may_begin)
        true = value >= 10
        since = (index if since is None else since) if true else None
        begins = not is_open and true and may_begin and index - since >= on
        assert (change is not None and change.event == "FIRED") == begins
        is_open = true and (is_open or begins)
        assert phase(life) == ("FIRING" if is_open else "PENDING" if true else "INACTIVE")
