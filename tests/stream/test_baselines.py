"""Baselines that are learned once, or said; those that forget are in test_detectors."""

import random
from math import inf, sqrt
from statistics import fmean, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_builders import DAY, HOUR, PANE, pane

from stream.baselines import (
    Baseline,
    BaselineSpec,
    Constant,
    Decayed,
    Frozen,
    Seasonal,
    Usual,
    freezes,
    learn,
    usual,
)
from stream.detectors import against_baseline
from stream.panes import Pane

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
    assert found == pytest.approx((fmean(taken), pstdev(taken)), rel=1e-9, abs=1e-6)


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
        assert usual(spec, learned(spec, flat), NOW) == pytest.approx((100.0, least))
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
        assert known == pytest.approx((hour, max(0.01, hour * 1e-3)))


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


def test_what_freezes_a_baseline_freezes_each_hour_of_it():
    hourly = Decayed(freeze_while=("FIRING",))
    for spec in (hourly, Seasonal(hourly)):
        assert [freezes(spec, each) for each in ("PENDING", "FIRING")] == [False, True]
    assert not freezes(Frozen(DAY), "FIRING")
