"""Lines through window values and when they meet a limit, against figures from elsewhere."""

from math import exp, inf, log
from statistics import linear_regression, median

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from stream.trends import Trend, exponential, linear, theil_sen, time_to

# Anscombe's first set (The American Statistician 27(1), 1973), by x: y = 3.0001 + 0.5001x, t 4.24.
ANSCOMBE = [
    (4.0, 4.26), (5.0, 5.68), (6.0, 7.24), (7.0, 4.82), (8.0, 6.95), (9.0, 8.81), (10.0, 8.04),
    (11.0, 8.33), (12.0, 10.84), (13.0, 7.58), (14.0, 9.96),
]  # fmt: skip
HOUR = 3_600_000

numbers = st.floats(-1e3, 1e3).map(lambda x: round(x, 3))
series = st.lists(numbers, min_size=10, max_size=20)


def trend(**over) -> Trend:
    usual = {
        "fit": "linear", "points": 12, "limit": 10.0, "falling": False, "floor": 0.0,
        "least_t": 2.0, "horizon_ms": 1000 * HOUR, "unit_ms": HOUR,
    }  # fmt: skip
    return Trend(**{**usual, **over})


def hourly(values: list[float]) -> list[tuple[float, float]]:
    """Values an hour apart, the newest of them now."""
    return [(float(i - len(values) + 1), value) for i, value in enumerate(values)]


def test_a_line_and_its_significance_are_those_published():
    line = linear(ANSCOMBE)
    assert line is not None
    assert line.level == pytest.approx(3.0001, abs=5e-5)
    assert line.slope == pytest.approx(0.5001, abs=5e-5)
    assert line.t == pytest.approx(4.24, abs=5e-3)


@given(series)
def test_a_line_is_the_least_squares_one(values):
    points = hourly(values)
    line = linear(points)
    slope, intercept = linear_regression(*zip(*points, strict=True))
    assert line is not None
    assert line.slope == pytest.approx(slope, rel=1e-9, abs=1e-9)
    assert line.level == pytest.approx(intercept, rel=1e-9, abs=1e-6)


def test_a_line_through_values_near_a_large_one_is_exact():
    line = linear([(t, 1e9 + 0.25 * t) for t in range(-20, 1)])
    assert line == pytest.approx((1e9, 0.25, inf))


def test_equal_weights_are_none():
    assert linear(ANSCOMBE, [3.0] * 11) == pytest.approx(linear(ANSCOMBE))


def test_a_weight_of_zero_leaves_a_point_out_of_the_line():
    line = linear([*ANSCOMBE, (20.0, 1000.0)], [1.0] * 11 + [0.0])
    assert line is not None
    assert (line.level, line.slope) == pytest.approx(linear(ANSCOMBE)[:2])


def test_theil_sen_is_the_median_slope():
    line = theil_sen(ANSCOMBE)
    slopes = [(y2 - y1) / (x2 - x1) for x1, y1 in ANSCOMBE for x2, y2 in ANSCOMBE if x1 < x2]
    assert line is not None
    assert line.slope == median(slopes)
    # 45 pairs rise and 10 fall: (35 - 1) / sqrt(11·10·27/18).
    assert sum(s > 0 for s in slopes) - sum(s < 0 for s in slopes) == 35
    assert line.t == pytest.approx(34 / 165**0.5)


@given(series, st.floats(0.5, 5))
def test_a_fifth_of_wild_points_turns_no_theil_sen_line(values, slope):
    points = [(t, slope * t) for t, _ in hourly(values)]
    wild = list(points)
    for index in range(len(points) // 5):
        wild[2 * index] = (points[2 * index][0], values[index] * 1e3)
    line = theil_sen(wild)
    assert line is not None
    assert line.slope == pytest.approx(slope, rel=1e-6)


def test_an_exponential_is_found_as_it_is():
    points = [(t, 2 + 3 * exp(0.1 * t)) for t, _ in hourly([0.0] * 20)]
    line = exponential(points, 2.0)
    assert line is not None
    assert (line.level, line.slope) == pytest.approx((log(3), 0.1))
    assert time_to(trend(fit="exponential", floor=2.0, limit=10.0), points) == pytest.approx(
        (log(8) - log(3)) / 0.1
    )


def test_exponential_points_weigh_their_height_squared():
    points = [(float(t), y) for t, y in enumerate((1, 1.5, 2, 4, 5, 9, 12, 20, 33, 50))]
    line = exponential(points, 0.0)
    # The normal equations of the weighted squares, written out.
    w = [y * y for _, y in points]
    s = sum(w)
    st_, sz = (
        sum(a * t for a, (t, _) in zip(w, points, strict=True)),
        sum(a * log(y) for a, (_, y) in zip(w, points, strict=True)),
    )
    stt = sum(a * t * t for a, (t, _) in zip(w, points, strict=True))
    stz = sum(a * t * log(y) for a, (t, y) in zip(w, points, strict=True))
    slope = (s * stz - st_ * sz) / (s * stt - st_ * st_)
    assert line is not None
    assert (line.slope, line.level) == pytest.approx((slope, (sz - slope * st_) / s))


def test_of_an_exponential_ten_points_must_lie_above_its_floor():
    points = hourly([0.0] * 5 + [1.0 + i for i in range(9)])
    assert exponential(points, 0.5) is None
    assert time_to(trend(fit="exponential", floor=0.5, limit=50), points) == inf


FITS = ["linear", "theil_sen", "exponential"]


@pytest.mark.parametrize("fit", FITS)
def test_the_time_is_that_of_the_line_at_its_limit(fit):
    rising = [1.0 + 0.1 * i for i in range(12)]
    if fit == "exponential":
        rising = [exp(0.1 * i) for i in range(12)]
    limit = rising[-1] + 1 if fit != "exponential" else exp(0.1 * 21)
    assert time_to(trend(fit=fit, limit=limit), hourly(rising)) == pytest.approx(10)


@pytest.mark.parametrize("fit", FITS)
@given(series)
def test_down_to_a_limit_is_up_to_it_in_a_mirror(fit, values):
    up = trend(fit=fit, limit=1500.0, floor=-1500.0)
    down = trend(fit=fit, limit=-1500.0, floor=1500.0, falling=True)
    mirrored = [(t, -y) for t, y in hourly(values)]
    assert time_to(up, hourly(values)) == time_to(down, mirrored)


@pytest.mark.parametrize("fit", FITS)
@given(series)
def test_a_trend_away_from_its_limit_never_meets_it(fit, values):
    falls = [-abs(v) - 100 * i for i, v in enumerate(values)]
    assert time_to(trend(fit=fit, limit=5000.0, floor=-1e6), hourly(falls)) == inf


@pytest.mark.parametrize("fit", FITS)
def test_a_trend_without_significance_never_meets_it(fit):
    noise = [5.0, 3.0, 6.0, 4.0, 5.5, 3.5, 6.5, 4.5, 5.2, 3.2, 6.2, 4.9]
    assert time_to(trend(fit=fit, floor=-1.0), hourly(noise)) == inf
    assert time_to(trend(fit=fit, floor=-1.0, least_t=0.0), hourly(noise)) < inf


@pytest.mark.parametrize("fit", FITS)
@given(series)
def test_a_value_at_its_limit_is_there(fit, values):
    assume(values[-1] > -1e3)
    assert time_to(trend(fit=fit, limit=values[-1], floor=-1001.0), hourly(values)) == 0


@pytest.mark.parametrize("fit", FITS)
def test_values_that_overflow_are_no_trend(fit):
    points = hourly([(-1) ** i * 1e300 for i in range(11)] + [0.0])
    assert time_to(trend(fit=fit, floor=-1e308), points) == inf


def test_of_values_too_large_to_add_up_there_is_no_line():
    points = hourly([1e308 + 1e306 * i for i in range(12)])
    assert time_to(trend(limit=1.7e308), points) == inf


def test_a_line_that_is_flat_for_most_pairs_never_meets_its_limit():
    points = hourly([1.0] * 15 + [1.1, 1.2, 1.3, 1.4, 1.5])
    line = theil_sen(points)
    assert line is not None
    assert (line.slope, line.t > 2) == (0, True)
    assert time_to(trend(fit="theil_sen"), points) == inf
