"""Control charts, against the worked examples of the NIST/SEMATECH e-Handbook (6.3.2.3, 6.3.2.4)."""

from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.charts import Cusum, Ewma, Sums, next_ewma, next_sums

scores = st.lists(st.floats(-20, 20), max_size=60)
MUCH = 1e9

CUSUM_X = [
    324.925, 324.675, 324.725, 324.350, 325.350, 325.225, 324.125, 324.525, 325.225, 324.600,
    324.625, 325.150, 328.325, 327.250, 327.825, 328.500, 326.675, 327.775, 326.875, 328.350,
]  # fmt: skip
CUSUM_HIGH = [
    0, 0, 0, 0, 0.03, 0, 0, 0, 0, 0, 0, 0, 3.01, 4.94, 7.45, 10.63, 11.99, 14.44, 16.00, 19.04,
]  # fmt: skip
CUSUM_LOW = [0, 0.01, 0, 0.33, 0, 0, 0.56, 0.72, 0.17, 0.25, 0.31, *[0] * 9]

EWMA_X = [
    52.0, 47.0, 53.0, 49.3, 50.1, 47.0, 51.0, 50.1, 51.2, 50.5, 49.6, 47.6, 49.9, 51.3, 47.8, 51.2,
    52.6, 52.4, 53.6, 52.1,
]  # fmt: skip
EWMA = [
    50.60, 49.52, 50.56, 50.18, 50.16, 49.21, 49.75, 49.85, 50.26, 50.33, 50.11, 49.36, 49.52,
    50.05, 49.38, 49.92, 50.73, 51.23, 51.94, 51.99,
]  # fmt: skip
EWMA_LIMIT = 52.5884


def test_the_sums_are_those_of_the_published_example():
    sums, highs, lows = Sums(0, 0), [], []
    for x in CUSUM_X:
        sums = next_sums(Cusum(slack=0.3175, most=MUCH), sums, x - 325)
        highs.append(sums.high)
        lows.append(sums.low)
    assert highs == pytest.approx(CUSUM_HIGH, abs=6e-3)
    assert lows == pytest.approx(CUSUM_LOW, abs=1.2e-2)  # the example adds up rounded figures


def test_the_weighted_mean_is_that_of_the_published_example():
    sigma, told, chart = 2.0539, [], 0.0
    for x in EWMA_X:
        chart = next_ewma(Ewma(share=0.3, most=MUCH), chart, (x - 50) / sigma)
        told.append(50 + chart * sigma * sqrt(0.3 / 1.7))
    assert told == pytest.approx(EWMA, abs=6e-3)
    assert pytest.approx(EWMA_LIMIT, abs=1e-3) == 50 + 3 * sigma * sqrt(0.3 / 1.7)


@given(scores)
def test_a_sum_is_the_largest_of_what_has_come_since_any_time(values):
    sums = Sums(0, 0)
    for z in values:
        sums = next_sums(Cusum(slack=0.5, most=MUCH), sums, z)
    tails = [values[i:] for i in range(len(values) + 1)]
    assert sums.high == pytest.approx(max(sum(z - 0.5 for z in tail) for tail in tails))
    assert sums.low == pytest.approx(max(sum(-z - 0.5 for z in tail) for tail in tails))


@given(scores, st.floats(0.05, 1))
def test_a_chart_of_lower_scores_is_the_mirror_of_that_of_higher_ones(values, share):
    up = down = 0.0
    sums = mirrored = Sums(0, 0)
    for z in values:
        up, down = (next_ewma(Ewma(share, 6), c, v) for c, v in ((up, z), (down, -z)))
        sums = next_sums(Cusum(0.5, 10), sums, z)
        mirrored = next_sums(Cusum(0.5, 10), mirrored, -z)
    assert up == -down
    assert sums == Sums(mirrored.low, mirrored.high)


@given(scores)
def test_a_chart_stays_within_its_bound(values):
    chart, sums = 0.0, Sums(0, 0)
    for z in values:
        chart, sums = next_ewma(Ewma(0.2, 6), chart, z), next_sums(Cusum(0.5, 10), sums, z)
        assert abs(chart) <= 6
        assert max(sums) <= 10
        assert min(sums) >= 0


def test_a_chart_comes_back_soon_after_a_long_fault():
    chart, sums = 0.0, Sums(0, 0)
    for z in [1e6] * 500 + [0.0] * 10:
        chart, sums = next_ewma(Ewma(0.2, 6), chart, z), next_sums(Cusum(0.5, 10), sums, z)
    assert chart < 3
    assert sums.high == 5
