"""The checks of a sensor by themselves: what they find in a pane, against plain computations."""

import itertools
from math import ceil, inf, log, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_builders import MINUTE, pane

from stream.baselines import Usual
from stream.panes import Pane
from stream.reports import Reports, note, patience_ms
from stream.sensor_checks import (
    BadSeen,
    BadShare,
    Drift,
    DriftSeen,
    NoData,
    OutOfRange,
    Spike,
    SpikeSeen,
    Stuck,
    StuckSeen,
    bad_share,
    drift,
    out_of_range,
    spike,
    stuck,
)


def moved(*, changes: int = 200, longest: int = 1, last: float = -1.0) -> StuckSeen:
    """What is known of a series that has moved with every reading."""
    return StuckSeen(last=last, longest=longest, seen=changes, changes=changes)


def runs(values: list[float]) -> list[int]:
    """How long the run is that each reading ends."""
    found: list[int] = []
    for index, value in enumerate(values):
        found.append(found[-1] + 1 if index and values[index - 1] == value else 1)
    return found


def test_a_run_is_too_long_from_its_limit_on_however_it_is_cut_into_panes():
    for size in (1, 2, 4, 7):
        seen = moved()
        panes = [pane(i, *[5.0] * size) for i in range(20)]
        scores = [stuck(Stuck(20), seen, each).score for each in panes]
        assert [score >= 1 for score in scores] == [size * (i + 1) >= 20 for i in range(20)]


def test_a_run_inside_a_pane_counts_as_it_is():
    found = stuck(Stuck(20), moved(), pane(0, 1.0, *[5.0] * 20, 2.0))
    assert (found.score, found.value, found.enter) == (1.0, 20, 20)


def test_healthy_runs_raise_the_limit_to_three_times_and_five():
    seen = moved(changes=2000)
    for index, value in enumerate([1.0] * 9 + [2.0]):
        stuck(Stuck(20), seen, pane(index, value))
    assert stuck(Stuck(20), seen, pane(10, 3.0)).enter == 3 * 9 + 5


def test_a_run_that_was_a_fault_raises_nothing():
    seen = moved()
    for index in range(30):
        stuck(Stuck(20), seen, pane(index, 5.0))
    for index in range(30, 40):
        found = stuck(Stuck(20), seen, pane(index, float(index)))
    assert (seen.longest, found.enter, found.score < 1) == (1, 20, True)


def test_what_begins_at_the_end_of_a_pane_is_not_learned_as_healthy_before_it_is_over():
    seen = moved()
    stuck(Stuck(20), seen, pane(0, 1.0, 2.0, *[5.0] * 15))
    found = [stuck(Stuck(20), seen, pane(i, *[5.0] * 10)) for i in (1, 2)]
    assert [(each.enter, each.score >= 1) for each in found] == [(20, False), (20, True)]


def test_what_never_moved_is_no_measurement():
    seen = StuckSeen()
    for index in range(19):  # 18 changes, and the first is none
        stuck(Stuck(20), seen, pane(index, float(index)))
    for index in range(19, 200):
        found = stuck(Stuck(20), seen, pane(index, 5.0))
    assert found.score == 0


def test_where_neighbours_are_often_equal_a_run_must_be_beyond_chance():
    seen = StuckSeen(last=0.0, longest=1, seen=1000, changes=200)  # four in five are
    assert stuck(Stuck(20), seen, pane(0, 1.0)).enter == ceil(log(1e-6) / log(0.8)) == 62


def test_within_the_resolution_readings_are_equal():
    seen = moved()
    values = [5.0, 5.1] * 10
    scores = [stuck(Stuck(20, 0.2), seen, pane(i, v)).score for i, v in enumerate(values)]
    assert scores[-1] >= 1 > scores[-2]


@given(st.lists(st.sampled_from([1.0, 2.0, 3.0]), min_size=1, max_size=200), st.integers(1, 5))
def test_a_run_over_panes_is_never_found_early_and_at_most_a_pane_late(values, size):
    seen = moved(changes=100_000)
    lengths = runs(values)
    whole = len(values) // size * size
    for index in range(0, whole, size):
        found = stuck(Stuck(1_000_000), seen, pane(index // size, *values[index : index + size]))
        inside = max(lengths[index : index + size])
        assert inside - 2 * (size - 1) <= found.value <= inside


@given(st.lists(st.sampled_from([1.0, 2.0]), min_size=1, max_size=300))
def test_reading_by_reading_runs_and_changes_are_those_of_the_series(values):
    seen = StuckSeen()
    for index, value in enumerate(values):
        stuck(Stuck(1_000_000), seen, pane(index, value))
    lengths = runs(values)
    ended = [a for a, b in itertools.pairwise(lengths) if b == 1]
    assert seen.run == lengths[-1]
    assert (seen.longest, seen.changes, seen.seen) == (
        max(ended, default=0),
        len(ended),
        sum(ended),
    )


@pytest.mark.parametrize(
    ("limits", "values", "told"),
    [
        (OutOfRange(0, 10), (0.0, 10.0), None),
        (OutOfRange(0, 10), (5.0, 10.5), (10.5, 10, False)),
        (OutOfRange(0, 10), (-3.0, 11.0), (-3.0, 0, True)),
        (OutOfRange(0, None), (5.0, 1e9), None),
        (OutOfRange(0, None), (-0.1, 1e9), (-0.1, 0, True)),
        (OutOfRange(None, 10), (-1e9, 10.1), (10.1, 10, False)),
    ],
)
def test_a_limit_itself_is_within_it(limits, values, told):
    found = out_of_range(limits, pane(0, *values))
    if told is None:
        assert found.score < 1
    else:
        assert found.score > 1
        assert (found.value, found.enter, found.below) == told


def test_drift_is_the_ewma_of_pane_means_from_the_baseline_on():
    usual, seen, by_hand = Usual(10.0, 2.0), DriftSeen(), 10.0
    for index in range(200):
        found = drift(Drift(6.0), seen, usual, pane(index, 29.0, 31.0))
        by_hand += 0.02 * (30.0 - by_hand)
        assert found is not None
        assert found.value == pytest.approx(by_hand)
        assert found.score == pytest.approx(abs(by_hand - 10.0) / 2.0 / 6.0)
    assert found.exit == pytest.approx(0.7 * 6)


def test_drift_says_nothing_without_a_baseline_or_spread():
    assert drift(Drift(6.0), DriftSeen(), None, pane(0, 1.0)) is None
    assert drift(Drift(6.0), DriftSeen(), Usual(1.0, 0.0), pane(0, 1.0)) is None
    assert drift(Drift(6.0), DriftSeen(), Usual(1.0, 1.0), pane(0, inf)) is None


def test_a_spike_is_far_from_the_panes_before_it_and_a_usual_reading_is_not():
    seen = SpikeSeen()
    usual = [20.0, 21.0, 19.0, 20.5, 19.5] * 4
    found = [spike(Spike(10.0), seen, pane(i, v)) for i, v in enumerate(usual)]
    assert found[:15] == [None] * 15
    assert all(each is not None and each.score < 1 for each in found[15:])
    high, low = spike(Spike(10.0), seen, pane(30, 20.0, 60.0)), None
    low = spike(Spike(10.0), seen, pane(31, 20.0, -30.0))
    assert high is not None
    assert low is not None
    assert (high.score > 1, high.value, low.score > 1, low.value) == (True, 60.0, True, -30.0)


def test_no_spread_at_all_makes_no_spike():
    seen = SpikeSeen()
    found = [spike(Spike(10.0), seen, pane(i, 5.0)) for i in range(30)]
    assert found == [None] * 30


def test_the_share_of_bad_readings_is_that_of_the_last_fifty():
    seen = BadSeen()
    found = [bad_share(BadShare(0.5), seen, pane(i, 1.0)) for i in range(100)]
    assert [each is None for each in found[24:27]] == [True, False, False]
    bad = [bad_share(BadShare(0.5), seen, pane(i, bad=1)) for i in range(100, 200)]
    first = next(i for i, each in enumerate(bad) if each is not None and each.score >= 1)
    bads = next(n for n in range(1, 99) if (1 - 0.98**n) / (1 - 0.98 ** (100 + n)) >= 0.5)
    assert first + 1 == bads == 31


def spaced(start: int, gap: int, count: int) -> list[Pane]:
    """Panes of a minute with a reading each, ``gap`` minutes apart."""
    return [pane(start + i * gap, 1.0, size=MINUTE) for i in range(count)]


def test_an_interval_is_learned_and_one_outage_is_no_habit():
    reports = Reports()
    for each in spaced(0, 5, 40):
        note(reports, each, silent=False)
    assert reports.interval_ms == pytest.approx(5 * MINUTE)
    note(reports, pane(5_000, 1.0, size=MINUTE), silent=False)
    assert reports.interval_ms == pytest.approx(5.5 * MINUTE)


def test_inside_a_pane_the_interval_is_that_of_its_readings():
    reports = Reports()
    for index in range(40):
        note(reports, pane(index, *[1.0] * 60, size=MINUTE), silent=False)
    assert reports.interval_ms == pytest.approx(1000)
    assert patience_ms(NoData(intervals=5), reports) == MINUTE  # a pane at least


def test_patience_in_intervals_is_not_known_before_five_gaps():
    reports = Reports()
    known = []
    for each in spaced(0, 5, 7):
        note(reports, each, silent=False)
        known.append(patience_ms(NoData(intervals=5), reports))
    assert known == [None] * 5 + [25 * MINUTE] * 2
    assert patience_ms(NoData(after_ms=7), Reports()) == 7


def test_not_a_number_in_a_pane_is_counted_as_bad_elsewhere_and_breaks_nothing():
    assert out_of_range(OutOfRange(0, 1), pane(0, nan)).score < 1
