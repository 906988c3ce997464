"""Sliding windows against a brute-force HOP over the readings themselves."""

from fractions import Fraction
from math import isnan, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_builders import HOUR, MINUTE, PANE, limit, pane, rules

from schemas.records import WindowFeatures
from stream.backtest import panes
from stream.detectors import AGGREGATES
from stream.device_state import DeviceState
from stream.engine import Engine
from stream.pane_sizes import pane_ms
from stream.panes import fold_points
from stream.windows import Subject, WindowSpec, cut, features

NEVER = "[{level: WARNING, enter: 1e300}]"
ONE = """
- name: limit_{0}
  match: {{metric: "*"}}
  window: {{size: {1}}}
  aggregate: mean
  compare: {{op: ">=", to: value}}
  severities: [{{level: WARNING, enter: 1e300}}]
"""
OF = ("plant.pump", "temperature", "plant", "degC")

# Gaps from seconds to half a day, so that windows are full, nearly empty, and skipped.
steps = st.one_of(st.integers(1, 20 * MINUTE), st.integers(1, 12 * HOUR))
series = st.lists(st.tuples(steps, st.floats(-1e3, 1e3)), min_size=1, max_size=40).map(
    lambda pairs: [(sum(p for p, _ in pairs[: i + 1]), x) for i, (_, x) in enumerate(pairs)]
)
hops = st.sampled_from([
    ("{size: 1h, slide: 15m}", HOUR, 15 * MINUTE),
    ("{size: 15m, slide: 15m}", 15 * MINUTE, 15 * MINUTE),
    ("{size: 1h, slide: 20m}", HOUR, 20 * MINUTE),
    ("{size: 90m, slide: 45m}", 90 * MINUTE, 45 * MINUTE),
    ("{size: 1d, slide: 1h}", 24 * HOUR, HOUR),
])  # fmt: skip


def windows(points: list[tuple[int, float]], spec: str) -> tuple[list[WindowFeatures], int]:
    loaded = limit(NEVER, window=spec)
    size = pane_ms(loaded)("temperature")
    engine, state, made, end = Engine(loaded), DeviceState(), [], 0
    for each in panes(points, size):
        made += engine.on_pane(state, *OF, each).windows
        end = each.pane_end
    return made, end


def brute_force(points: list[tuple[int, float]], size: int, slide: int, upto: int) -> list:
    """Every HOP window that ends by ``upto`` and holds something, from the raw readings."""
    ends = {
        end
        for ts, _ in points
        for end in range((ts // slide + 1) * slide, ts + size + 1, slide)
        if end <= upto
    }
    return [
        (end - size, end, [p for p in points if end - size <= p[0] < end]) for end in sorted(ends)
    ]


@given(series, hops)
def test_windows_are_those_of_a_hop_over_the_readings(points, hop):
    spec, size, slide = hop
    made, upto = windows(points, spec)
    expected = brute_force(points, size, slide, upto)
    assert [
        (w.window_start, w.window_end, w.count, w.min, w.max, w.first, w.last) for w in made
    ] == [
        (start, end, len(held), min(x for _, x in held), max(x for _, x in held), held[0][1], held[-1][1])
        for start, end, held in expected
    ]  # fmt: skip


@given(series, hops)
def test_their_moments_are_those_of_the_readings(points, hop):
    spec, size, slide = hop
    made, upto = windows(points, spec)
    for window, (_, _, held) in zip(made, brute_force(points, size, slide, upto), strict=True):
        xs = [Fraction(x) for _, x in held]
        ts = [Fraction(t, 1000) for t, _ in held]
        mean, t_mean = sum(xs) / len(xs), sum(ts) / len(ts)
        var = sum((x - mean) ** 2 for x in xs) / len(xs)
        t_var = sum((t - t_mean) ** 2 for t in ts) / len(xs)
        cov = sum((t - t_mean) * (x - mean) for t, x in zip(ts, xs, strict=True)) / len(xs)
        assert window.mean == pytest.approx(float(mean), rel=1e-12, abs=1e-10)
        assert window.stddev == pytest.approx(sqrt(var), rel=1e-9, abs=1e-9)
        assert window.rms == pytest.approx(
            sqrt(sum(x * x for x in xs) / len(xs)), rel=1e-9, abs=1e-9
        )
        assert window.slope == pytest.approx(
            float(cov / t_var) if t_var else 0.0, rel=1e-6, abs=1e-9
        )


@given(series)
def test_rules_with_other_windows_beside_it_change_no_window(points):
    both = rules(
        "".join(ONE.format(i, hop) for i, hop in enumerate(["1h, slide: 15m", "3h, slide: 1h"]))
    )
    engine, state, made = Engine(both), DeviceState(), []
    for each in panes(points, 15 * MINUTE):
        made += engine.on_pane(state, *OF, each).windows
    assert [w.window_end for w in made] == sorted(w.window_end for w in made)
    for i, (size, slide) in enumerate([(HOUR, 15 * MINUTE), (3 * HOUR, HOUR)]):
        alone = Engine(rules(ONE.format(i, f"{size // HOUR}h, slide: {slide // MINUTE}m")))
        state, expected = DeviceState(), []
        for each in panes(points, 15 * MINUTE):
            expected += alone.on_pane(state, *OF, each).windows
        assert [w for w in made if w.window_end - w.window_start == size] == expected


def test_merging_keeps_a_hundredth_on_a_million():
    halves = [pane(i, *[1e6 + 0.01 * (-1) ** k for k in range(900)]) for i in range(4)]
    window = features(Subject(*OF), 0, HOUR, halves)
    assert window.stddev == pytest.approx(0.01, rel=1e-6)


def test_a_straight_line_has_its_own_slope_across_panes():
    points = [(t, 5 + 0.25 * t / 1000) for t in range(0, HOUR, 30_000)]
    made, _ = windows(points, "{size: 1h, slide: 15m}")
    assert made[-1].slope == pytest.approx(0.25, rel=1e-12)


def test_the_standard_deviation_is_the_population_s():
    window = features(Subject(*OF), 0, PANE, [pane(0, 1.0, 3.0)])
    assert (window.mean, window.stddev, window.rms) == (2.0, 1.0, sqrt(5.0))


def test_readings_at_one_time_have_no_slope():
    window = features(Subject(*OF), 0, PANE, [fold_points(0, PANE, [(7, 1.0), (7, 3.0)])])
    assert window.slope == 0.0


def test_sums_beyond_the_largest_double_raise_nothing():
    # 1.5e308 - (-1.5e308) overflows, and the sum of squares becomes -inf.
    window = features(Subject(*OF), 0, PANE, [fold_points(0, PANE, [(0, 1.5e308), (1, -1.5e308)])])
    assert isnan(window.stddev)


def test_nothing_comes_of_a_window_before_a_pane_at_or_behind_its_end():
    engine, state = Engine(limit(NEVER, window="{size: 1h, slide: 30m}")), DeviceState()
    size = 30 * MINUTE
    assert engine.on_pane(state, *OF, pane(0, 1.0, size=size)).windows[-1].window_end == size
    ends = [w.window_end for w in engine.on_pane(state, *OF, pane(2, 2.0, size=size)).windows]
    assert ends == [2 * size, 3 * size]


def test_after_a_long_gap_only_windows_that_hold_something_come():
    engine, state = Engine(limit(NEVER, window="{size: 1h, slide: 15m}")), DeviceState()
    engine.on_pane(state, *OF, pane(0, 1.0))
    century = 100 * 365 * 24 * 4
    ends = [w.window_end // PANE for w in engine.on_pane(state, *OF, pane(century, 2.0)).windows]
    assert ends == [2, 3, 4, century + 1]


def test_a_pane_of_bad_readings_completes_windows_and_adds_nothing():
    engine, state = Engine(limit(NEVER, window="{size: 30m, slide: 15m}")), DeviceState()
    engine.on_pane(state, *OF, pane(0, 1.0))
    assert [w.count for w in engine.on_pane(state, *OF, pane(1, bad=3)).windows] == [1]
    assert engine.on_pane(state, *OF, pane(2, bad=3)).windows == ()


@given(series)
def test_what_a_rule_looks_at_is_to_the_bit_what_the_row_says(points: list[tuple[int, float]]):
    inside = list(panes(points, PANE))
    end = inside[-1].pane_end
    made = features(Subject(*OF), inside[0].pane_start, end, inside)
    row = {
        "mean": made.mean, "min": made.min, "max": made.max, "range": made.max - made.min,
        "rms": made.rms, "stddev": made.stddev, "count": made.count, "first": made.first,
        "last": made.last, "delta": made.last - made.first, "slope": made.slope,
    }  # fmt: skip
    for name, aggregate in AGGREGATES.items():
        # Each of a window that nobody has merged yet: the mean needs no more than means.
        window = cut(WindowSpec(end - inside[0].pane_start, PANE), inside, end)
        assert window is not None
        assert aggregate(window) == row[name], name


def test_a_window_grows_back_to_the_samples_it_needs_and_no_further():
    spec = WindowSpec(HOUR, PANE, 3, 12 * HOUR)
    hourly = [pane(i, float(i)) for i in range(0, 32, 4)]
    window = cut(spec, hourly, 29 * PANE)
    assert window is not None
    assert (window.window_start, [p.mean for p in window.panes]) == (20 * PANE, [20.0, 24.0, 28.0])


def test_a_window_that_holds_enough_does_not_grow():
    dense = [pane(i, 1.0, 2.0, 3.0) for i in range(40)]
    window = cut(WindowSpec(HOUR, PANE, 6, 12 * HOUR), dense, 40 * PANE)
    assert window is not None
    assert (window.window_start, len(window.panes), window.enough) == (36 * PANE, 4, True)


def test_a_window_that_cannot_grow_far_enough_says_so_and_keeps_its_size():
    spec = WindowSpec(HOUR, PANE, 3, 2 * HOUR)
    window = cut(spec, [pane(i, 1.0) for i in range(0, 32, 4)], 29 * PANE)
    assert window is not None
    assert (window.window_start, len(window.panes), window.enough) == (25 * PANE, 1, False)


def test_growing_is_the_same_with_finer_panes():
    points = [(i * HOUR + 7 * MINUTE, float(i)) for i in range(30)]
    growing = limit(NEVER, window="{size: 1h, slide: 15m, grow_to: 12h}", min_samples=6)
    made = {}
    for size in (5 * MINUTE, 15 * MINUTE):
        engine, state = Engine(growing), DeviceState()
        made[size] = [
            window
            for each in panes(points, size)
            for window in engine.on_pane(state, *OF, each).windows
        ]
    common = made[5 * MINUTE][-1].window_end
    assert made[5 * MINUTE] == [w for w in made[15 * MINUTE] if w.window_end <= common]
    assert made[5 * MINUTE][-1].count == 6
