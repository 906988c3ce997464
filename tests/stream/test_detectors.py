"""Comparisons with a baseline that forgets."""

from dataclasses import dataclass
from math import inf, nan, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_builders import MINUTE, PANE, pane, rules

from stream.backtest import panes
from stream.baselines import Baseline, Decayed, learn
from stream.detectors import against_baseline, against_value
from stream.device_state import DeviceState, SeriesState
from stream.engine import Engine
from stream.panes import Pane

FIVE = 5 * MINUTE
OF = ("plant.pump", "temperature", "plant", "degC")


@dataclass
class Textbook:
    """The decayed mean and variance of one reading a time, as published: a = max(1/n, 1/N0)."""

    n0: float
    n: int = 0
    mean: float = 0.0
    variance: float = 0.0

    def add(self, x: float) -> None:
        self.n += 1
        a = max(1 / self.n, 1 / self.n0)
        delta = x - self.mean
        self.mean += a * delta
        self.variance = (1 - a) * (self.variance + a * delta * delta)


def taken(values: list[float], spec: Decayed, size: int = FIVE) -> Baseline:
    baseline = Baseline()
    points = [(i * FIVE, x) for i, x in enumerate(values)]
    learn(baseline, spec, list(panes(points, size)), 1 << 60, frozen=False)
    return baseline


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=80))
def test_reading_by_reading_it_is_the_published_recursion(values):
    spec, book = Decayed(n0=20), Textbook(n0=20)
    for value in values:
        book.add(value)
    baseline = taken(values, spec)
    assert baseline.mean == pytest.approx(book.mean, rel=1e-9, abs=1e-9)
    assert baseline.variance == pytest.approx(book.variance, rel=1e-9, abs=1e-9)


def test_before_it_forgets_panes_give_the_same_as_readings():
    values = [float((i * 37) % 11) for i in range(300)]
    fine, coarse = taken(values, Decayed()), taken(values, Decayed(), size=PANE)
    assert coarse.mean == pytest.approx(fine.mean, rel=1e-12)
    assert coarse.variance == pytest.approx(fine.variance, rel=1e-12)
    assert coarse.weight == fine.weight == 300


def test_a_sensor_at_ten_hertz_is_not_forgotten_in_ten_minutes():
    baseline = Baseline()
    many = [pane(i, *[float(i)] * 900) for i in range(8)]
    learn(baseline, Decayed(), many, 1 << 60, frozen=False)
    assert baseline.weight == 24  # three readings at five minutes each


def test_a_slow_sensor_s_readings_count_whole_in_short_panes():
    minutes = [pane(i, 1.0, size=MINUTE) for i in range(0, 60, 5)]
    baseline = Baseline()
    learn(baseline, Decayed(), minutes, 1 << 60, frozen=False)
    assert baseline.weight == pytest.approx(12, abs=1)


def test_nothing_is_compared_before_the_warm_up():
    spec = Decayed(warmup=50)
    assert against_baseline(">=", 9.0, spec, taken([1.0, 2.0] * 24, spec), 0) is None
    assert against_baseline(">=", 9.0, spec, taken([1.0, 2.0] * 25, spec), 0) is not None


def test_the_deviation_has_a_floor_relative_to_the_mean():
    spec = Decayed(warmup=2)
    verdict = against_baseline(">=", 101.0, spec, taken([100.0] * 10, spec), 0)
    assert verdict is not None
    assert verdict.statistic == pytest.approx(1.0 / (100 * 1e-3))


def test_without_any_spread_nothing_is_compared():
    spec = Decayed(warmup=2)
    assert against_baseline("abs>=", 5.0, spec, taken([0.0] * 10, spec), 0) is None


def test_a_value_is_as_many_deviations_off_as_it_is():
    spec = Decayed(warmup=2)
    verdict = against_baseline("abs>=", 1.0, spec, taken([4.0, 6.0] * 5, spec), 0)
    assert verdict is not None
    assert (verdict.statistic, verdict.score) == (pytest.approx(-4.0), pytest.approx(4.0))
    assert (verdict.baseline_mean, verdict.baseline_std) == (pytest.approx(5.0), pytest.approx(1.0))


@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_what_is_no_number_is_not_compared(value):
    assert against_value(">=", value) is None
    assert against_baseline(">=", value, Decayed(warmup=0), Baseline(60.0, 0.0, 1.0, 0), 0) is None


def test_an_absurd_value_does_not_spoil_the_baseline_for_ever():
    baseline = taken([1.0, 2.0, 1e300, 1.0, 2.0], Decayed())
    assert baseline.mean == pytest.approx(1.5)
    assert sqrt(baseline.variance) == pytest.approx(0.5)


def test_a_frozen_baseline_passes_over_panes_and_never_comes_back_to_them():
    baseline, spec = taken([1.0, 3.0], Decayed()), Decayed()
    later = [pane(i, 50.0) for i in range(4, 8)]
    learn(baseline, spec, later[:2], 1 << 60, frozen=True)
    learn(baseline, spec, later, 1 << 60, frozen=False)
    assert baseline.weight == pytest.approx(4.0)


def test_a_baseline_learns_only_up_to_the_given_time():
    baseline = Baseline()
    learn(baseline, Decayed(), [pane(i, 1.0) for i in range(4)], 2 * PANE, frozen=False)
    assert (baseline.weight, baseline.taken_to) == (2.0, 2 * PANE)


ZSCORE = """
- name: unusual
  match: {{metric: "*"}}
  window: {{size: 1h, slide: 15m}}
  aggregate: mean
  compare: {{op: "abs>=", to: zscore, baseline: short}}
  severities: [{{level: WARNING, enter: 3}}]
"""


def baselines(**over: str) -> str:
    keys = {"kind": "decayed", "warmup": "4", "n0": "400", **over}
    inside = ", ".join(f"{key}: {value}" for key, value in keys.items())
    return f"version: 1\nbaselines:\n  short: {{{inside}}}"


def play(series: list[Pane], **over: str) -> tuple[list, SeriesState]:
    engine, state = Engine(rules(ZSCORE.format(), header=baselines(**over))), DeviceState()
    found = [a for each in series for a in engine.on_pane(state, *OF, each).alerts]
    return found, state.series(OF[1])


def wave(count: int, level: float = 10.0) -> list[Pane]:
    return [pane(i, level - 1, level + 1) for i in range(count)]


def test_the_baseline_lags_by_one_window():
    _, state = play(wave(10))
    assert state.rules["unusual"].baseline.taken_to == 6 * PANE


def test_a_shift_fires_and_the_baseline_that_learns_it_resolves():
    series = wave(40) + [pane(i, 19.0, 21.0) for i in range(40, 400)]
    found, _ = play(series)
    assert [a.event for a in found] == ["FIRED", "RESOLVED"]
    assert found[0].window_end == 42 * PANE  # two of the hour's four quarters are high
    assert found[0].score == pytest.approx(5.0)
    assert (found[0].baseline_mean, found[0].comparator) == (10.0, "zscore abs>=")


def test_a_frozen_baseline_does_not_learn_the_fault():
    series = wave(40) + [pane(i, 19.0, 21.0) for i in range(40, 400)]
    found, state = play(series, freeze_while="[PENDING, FIRING]")
    assert [a.event for a in found] == ["FIRED"]
    assert state.rules["unusual"].baseline.mean == pytest.approx(10.0)


def test_panes_that_leave_the_window_during_a_gap_are_learned_after_it():
    series = [*wave(10), *(pane(i, 9.0, 11.0) for i in range(200, 210))]
    _, state = play(series)
    assert state.rules["unusual"].baseline.weight == pytest.approx(2 * 16)
