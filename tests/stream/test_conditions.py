"""The gates that tell a machine's state, from the panes of the metric that says it."""

from hypothesis import given
from hypothesis import strategies as st
from rule_builders import HOUR, PANE, pane

from stream.conditions import Gate, When, enabled_since, is_out_of_question, told
from stream.panes import Pane

RUNS = When("running", ">=", 0.5, HOUR)


def after(*panes: Pane, when: When = RUNS) -> Gate:
    gate = None
    for each in panes:
        gate = told(gate, when, each)
    assert gate is not None
    return gate


def test_a_state_counts_from_its_first_reading():
    assert after(pane(4, 1, 1, 1)) == Gate(4 * PANE, 5 * PANE)
    assert after(pane(4, 1), pane(5, 1), pane(6, 1)).since == 4 * PANE


def test_a_stop_in_a_pane_ends_it_and_its_last_reading_may_begin_it_anew():
    third = PANE // 3
    assert after(pane(0, 1, 1, 1), pane(1, 1, 0, 0)).since is None
    assert after(pane(0, 1, 1, 1), pane(1, 1, 0, 1)).since == PANE + 2 * third


def test_silence_and_bad_readings_leave_it_as_it_was():
    assert after(pane(0, 1), pane(1, bad=2)) == Gate(0, 2 * PANE)
    assert after(pane(0, 0), pane(1, bad=2)) == Gate(None, 2 * PANE)


def test_a_pane_that_was_seen_is_passed_over():
    assert after(pane(0, 1), pane(1, 1), pane(1, 0), pane(0, 0)) == Gate(0, 2 * PANE)


def test_below_is_as_good_as_above():
    cold = When("temperature", "<=", 5)
    assert after(pane(0, 5, 4), when=cold).since == 0
    assert after(pane(0, 5, 6), when=cold).since is None


def test_it_must_have_held():
    gates = {RUNS.gate: Gate(2 * PANE, 9 * PANE)}
    assert enabled_since(RUNS, gates, 5 * PANE) is None
    assert enabled_since(RUNS, gates, 6 * PANE) == 2 * PANE
    assert enabled_since(RUNS, {RUNS.gate: Gate(None, 9 * PANE)}, 6 * PANE) is None


def test_never_told_and_absent_are_each_other_s_opposite():
    absent = When("running")
    seen = {absent.gate: after(pane(0, 0), when=absent), RUNS.gate: after(pane(0, 0))}
    assert enabled_since(absent, {}, HOUR) == 0
    assert enabled_since(RUNS, {}, HOUR) is None
    assert enabled_since(absent, seen, HOUR) is None
    assert [is_out_of_question(each, {}) for each in (absent, RUNS)] == [False, True]
    assert [is_out_of_question(each, seen) for each in (absent, RUNS)] == [True, False]


@given(st.lists(st.lists(st.sampled_from([0.0, 1.0]), max_size=4), min_size=1, max_size=30))
def test_it_says_what_a_look_at_all_readings_says(values):
    panes = [pane(i, *inside, bad=not inside) for i, inside in enumerate(values)]
    readings = [
        (i * PANE + k * (PANE // len(inside)), x)
        for i, inside in enumerate(values)
        for k, x in enumerate(inside)
    ]
    since = after(*panes).since
    if since is None:
        assert not readings or readings[-1][1] == 0
        return
    # Everything since then is true, and had it begun a whole pane earlier, something is not.
    assert all(x == 1 for at, x in readings if at >= since)
    earlier = [x for at, x in readings if at < since]
    assert (
        not earlier
        or 0.0 in [x for at, x in readings if since - PANE <= at < since]
        or (earlier[-1] == 0)
    )
