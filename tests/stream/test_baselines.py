"""Baselines that are learned once, or said; those that forget are in test_detectors."""

import random
from itertools import pairwise
from math import inf, sqrt
from statistics import fmean, median, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import astuple
from rule_builders import DAY, HOUR, PANE, pane

from stream.baselines import (
    Baseline,
    BaselineSpec,
    Constant,
    Decayed,
    Frozen,
    Median,
    Seasonal,
    Usual,
    Weekly,
    freezes,
    learn,
    usual,
)
from stream.detectors import against_baseline
from stream.panes import Pane
from stream.samples import MOST_KEPT, Sample, add

QUARTERS = 24 * 4
NOW = 0
"""For baselines that are the same at any time."""


def learned(spec: BaselineSpec, panes: list[Pane]) -> Baseline:
    baseline = Baseline()
    for end in range(1, len(panes) + 1):
        learn(baseline, spec, panes[:end], panes[end - 1].pane_end, frozen=False)
    return baseline


def noise(count: int, seed: int = 1, level: float = 10.0) -> list[Pane]:
    rng = random.Random(seed)
    return [pane(i, *(rng.gauss(level, 1) for _ in range(3))) for i in range(count)]


@given(st.lists(st.lists(st.floats(-100, 100), min_size=1, max_size=4), min_size=8, max_size=40))
def test_it_is_the_mean_and_spread_of_all_readings_of_its_time(values):
    panes = [pane(i, *inside) for i, inside in enumerate(values)]
    spec = Frozen(learn_for_ms=4 * PANE, skip_first_ms=2 * PANE, floor_rel=0)
    taken = [x for inside in values[2:6] for x in inside]
    found = usual(spec, learned(spec, panes), NOW)
    assert found is not None
    assert astuple(found) == pytest.approx((fmean(taken), pstdev(taken)), rel=1e-9, abs=1e-6)


def test_what_comes_later_changes_nothing():
    spec = Frozen(DAY)
    early, late = learned(spec, noise(QUARTERS)), learned(spec, noise(QUARTERS * 3))
    assert (early.mean, early.variance, early.weight) == (late.mean, late.variance, late.weight)
    assert late.weight == 3 * QUARTERS


def test_nothing_is_known_before_its_time_is_over():
    spec = Frozen(DAY, skip_first_ms=HOUR)
    assert usual(spec, learned(spec, noise(QUARTERS + 3)), NOW) is None
    assert usual(spec, learned(spec, noise(QUARTERS + 4)), NOW) is not None


def test_time_passed_over_is_not_counted():
    spec, baseline, panes = Frozen(DAY), Baseline(), noise(3 * QUARTERS)
    for index, each in enumerate(panes):
        learn(baseline, spec, panes, each.pane_end, frozen=index % 2 == 1)
    assert baseline.learned_ms == DAY
    assert baseline.weight == 3 * QUARTERS
    assert baseline.taken_to == panes[2 * QUARTERS - 2].pane_end


def test_a_gap_counts_for_an_hour_at_most():
    spec, baseline = Frozen(DAY), Baseline()
    learn(baseline, spec, [pane(0, 1.0), pane(400, 1.0)], 401 * PANE, frozen=False)
    assert baseline.learned_ms == PANE + HOUR


def test_panes_from_before_the_state_are_passed_over():
    spec, baseline, panes = Frozen(DAY), Baseline(), noise(8)
    learn(baseline, spec, panes, 8 * PANE, frozen=False, since=5 * PANE)
    assert (baseline.learned_ms, baseline.weight) == (3 * PANE, 9)


def test_a_spread_is_no_smaller_than_its_floors():
    flat = [pane(i, 100.0) for i in range(QUARTERS)]
    for spec, least in (
        (Frozen(HOUR, floor_rel=1e-2, floor=0.5), 1.0),
        (Frozen(HOUR, floor_rel=1e-3, floor=0.5), 0.5),
        (Frozen(HOUR, floor_rel=0), 0.0),
    ):
        found = usual(spec, learned(spec, flat), NOW)
        assert found is not None
        assert astuple(found) == pytest.approx((100.0, least))
    decayed = Decayed(warmup=1, floor=2.0)
    baseline = Baseline(weight=9, mean=5.0)
    assert usual(decayed, baseline, NOW) == Usual(5.0, 2.0)


def test_without_any_spread_nothing_is_compared():
    spec = Frozen(HOUR, floor_rel=0)
    flat = learned(spec, [pane(i, 100.0) for i in range(QUARTERS)])
    assert against_baseline("abs>=", 101.0, spec, flat, NOW) is None


def test_a_value_that_overflows_is_not_learned():
    spec = Frozen(DAY)
    panes = [*noise(3), pane(3, 1e200, -1e200), *noise(8)[4:]]
    baseline = learned(spec, panes)
    assert sqrt(baseline.variance) < inf
    assert baseline.weight == 21


def test_a_constant_is_what_was_said():
    spec = Constant(20.0, 2.5)
    verdict = against_baseline(">=", 25.0, spec, Baseline(), NOW)
    assert verdict is not None
    assert (verdict.score, verdict.baseline_mean, verdict.baseline_std) == (2.0, 20.0, 2.5)
    baseline = Baseline()
    learn(baseline, spec, noise(3), 3 * PANE, frozen=False)
    assert baseline == Baseline()


DAILY = Seasonal(Decayed(n0=100, counted_every_ms=PANE, warmup=8, floor=0.01))


def by_the_hour(days: int, *, offset: float = 0.0) -> list[Pane]:
    """Panes of a value that is the hour of the day."""
    return [pane(i, i // 4 % 24 + offset) for i in range(days * QUARTERS)]


def test_a_seasonal_one_knows_each_hour_of_the_day_by_itself():
    baseline = learned(DAILY, by_the_hour(3))
    for hour in range(24):
        known = usual(DAILY, baseline, 5 * DAY + hour * HOUR + 1)
        assert known is not None
        assert astuple(known) == pytest.approx((hour, max(0.01, hour * 1e-3)))


def test_a_seasonal_one_says_nothing_of_an_hour_it_has_seen_too_little_of():
    baseline = learned(DAILY, by_the_hour(2)[: QUARTERS + 8])
    assert usual(DAILY, baseline, HOUR) is not None
    assert usual(DAILY, baseline, 2 * HOUR) is None
    assert usual(DAILY, Baseline(), HOUR) is None


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=60), st.integers(0, 14))
def test_an_hour_of_a_seasonal_one_is_a_baseline_of_the_panes_of_that_hour(values, hour):
    spec = Seasonal(Decayed(n0=3, counted_every_ms=PANE, warmup=2))
    panes = [pane(i, x) for i, x in enumerate(values)]
    own = [each for each in panes if each.pane_start // HOUR % 24 == hour]
    alone = Baseline()
    for each in own:
        learn(alone, spec.hourly, [each], each.pane_end, frozen=False)
        alone.taken_to = None  # or the other hours' time would count
    assert usual(spec, learned(spec, panes), hour * HOUR) == usual(spec.hourly, alone, NOW)


WEEKLY = Weekly(Decayed(n0=100, counted_every_ms=PANE, warmup=8, floor=0.01))


def by_the_week(weeks: int) -> list[Pane]:
    """Panes of a value that is the hour of the week, of a Monday's first hour 0."""
    return [pane(i, float((i // 4 + 3 * 24) % 168)) for i in range(weeks * 7 * QUARTERS)]


def test_a_weekly_one_knows_each_hour_of_the_week_by_itself():
    baseline = learned(WEEKLY, by_the_week(2)[-9 * QUARTERS :])
    assert usual(WEEKLY, baseline, 0) is None  # a Thursday, seen once
    twice = learned(WEEKLY, by_the_week(2))
    monday = 4 * DAY  # 1970-01-05
    for hour in (0, 1, 23, 24, 100, 167):
        known = usual(WEEKLY, twice, monday + hour * HOUR + 1)
        assert known is not None
        assert astuple(known) == pytest.approx((hour, max(0.01, hour * 1e-3)))
        assert usual(WEEKLY, twice, monday + 7 * DAY * 52 + hour * HOUR) == known


values = st.lists(st.floats(-100, 100), min_size=3, max_size=60)


@given(values)
def test_a_median_is_that_of_the_panes_means_of_its_time(means):
    spec = Median(Frozen(learn_for_ms=len(means) * PANE - 2 * PANE, skip_first_ms=2 * PANE))
    panes = [pane(i, mean, mean) for i, mean in enumerate(means)] + noise(90)[60:]
    known = usual(spec, learned(spec, panes), NOW)
    center = median(means[2:])
    spread = 1.4826 * median(abs(mean - center) for mean in means[2:])
    assert known is not None
    assert astuple(known) == pytest.approx((center, max(spread, 1e-3 * abs(center))))


def test_a_median_is_unknown_until_its_time_is_over_and_forgets_what_it_is_from():
    spec = Median(Frozen(DAY))
    baseline = learned(spec, noise(QUARTERS - 1))
    assert usual(spec, baseline, NOW) is None
    assert len(baseline.sample.kept) == QUARTERS - 1
    baseline = learned(spec, noise(QUARTERS + 9))
    assert usual(spec, baseline, NOW) is not None
    assert baseline.sample.kept == []


def test_of_a_long_time_a_median_keeps_a_bounded_sample_from_all_of_it():
    spec, baseline = Median(Frozen(4000 * PANE)), Baseline()
    for index in range(4000):
        each = pane(index, float(index))
        learn(baseline, spec, [each], each.pane_end, frozen=False)
        assert baseline.sample is not None
        assert len(baseline.sample.kept) < MOST_KEPT
    known = usual(spec, baseline, NOW)
    assert known is not None
    assert astuple(known) == pytest.approx((2000, 1.4826 * 1000), rel=0.01)


def test_the_sample_is_spread_evenly():
    sample = Sample()
    for index in range(10_000):
        add(sample, float(index))
        if index >= MOST_KEPT:
            steps = {b - a for a, b in pairwise(sample.kept)}
            assert steps == {float(sample.stride)}
            assert sample.kept[0] == 0
            assert index - sample.kept[-1] < sample.stride


@pytest.mark.parametrize("kind", [lambda frozen: frozen, Median])
def test_a_gap_while_skipping_leaves_something_to_learn_from(kind):
    spec = kind(Frozen(PANE, skip_first_ms=2 * PANE, floor=1.0))
    panes = [pane(0, 1.0), pane(8, 2.0), pane(9, 5.0), pane(10, 8.0)]
    assert usual(spec, learned(spec, panes[:2]), NOW) is None
    assert usual(spec, learned(spec, panes), NOW) == Usual(5.0, 1.0)


def test_what_freezes_a_baseline_freezes_each_hour_of_it():
    hourly = Decayed(freeze_while=("FIRING",))
    for spec in (hourly, Seasonal(hourly), Weekly(hourly)):
        assert [freezes(spec, each) for each in ("PENDING", "FIRING")] == [False, True]
    assert not freezes(Frozen(DAY), "FIRING")
