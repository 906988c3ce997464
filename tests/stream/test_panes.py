"""Readings folded into panes."""

import itertools
import random
from fractions import Fraction
from math import nan

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_builders import MINUTE, reading

from schemas.records import Reading
from stream.panes import Pane, PaneRow, fold_one, fold_points, panes_of

near_a_million = st.floats(-0.01, 0.01).map(lambda x: 1e6 + x)
ordinary = st.floats(-1e4, 1e4)
points = st.lists(
    st.tuples(st.integers(0, MINUTE - 1), st.one_of(near_a_million, ordinary)),
    min_size=1,
    max_size=30,
).map(sorted)


def five_minutes(_metric: str) -> int:
    return 5 * MINUTE


def panes(*readings: Reading) -> list[PaneRow]:
    return list(panes_of(readings, five_minutes))


def exact(
    pairs: list[tuple[int, float]],
) -> tuple[Fraction, Fraction, Fraction, Fraction, Fraction]:
    ts = [Fraction(t, 1000) for t, _ in pairs]
    xs = [Fraction(x) for _, x in pairs]
    x_mean, t_mean = sum(xs) / len(xs), sum(ts) / len(ts)
    return (
        x_mean,
        sum(((x - x_mean) ** 2 for x in xs), Fraction()),
        t_mean,
        sum(((t - t_mean) ** 2 for t in ts), Fraction()),
        sum(((t - t_mean) * (x - x_mean) for t, x in zip(ts, xs, strict=True)), Fraction()),
    )


@given(
    st.integers(-1000, 1000),
    st.integers(0, MINUTE - 1),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_the_pane_of_one_reading_is_that_of_a_fold_to_the_bit(index, since, value):
    start, end = index * MINUTE, (index + 1) * MINUTE
    folded = fold_points(start, end, [(start + since, value)])
    made = fold_one(start, end, start + since, value)
    assert msgspec.msgpack.encode(made) == msgspec.msgpack.encode(folded)


@given(points)
def test_a_fold_agrees_with_exact_arithmetic(pairs):
    pane = fold_points(0, MINUTE, pairs)
    mean, m2, t_mean, t_m2, t_c = map(float, exact(pairs))
    xs = [x for _, x in pairs]
    # Welford's error grows with n·ε·|x|: for a spread s around x, sums are off by n·ε·|x|·s.
    spread = max(xs) - min(xs)
    slack = 1e-15 * len(xs) * (1 + max(map(abs, xs)))
    assert pane.mean == pytest.approx(mean, rel=1e-14, abs=slack)
    assert pane.m2 == pytest.approx(m2, rel=1e-9, abs=10 * slack * (spread + slack) * len(xs))
    assert pane.t_mean == pytest.approx(t_mean, rel=1e-12)
    assert pane.t_m2 == pytest.approx(t_m2, rel=1e-9, abs=1e-12)
    assert pane.t_c == pytest.approx(t_c, rel=1e-9, abs=100 * slack * 60 * len(xs))
    assert (pane.n, pane.lo, pane.hi) == (len(xs), min(xs), max(xs))
    assert (pane.first_value, pane.last_value) == (xs[0], xs[-1])
    assert (pane.first_ts, pane.last_ts) == (pairs[0][0], pairs[-1][0])
    assert pane.step == max((abs(b - a) for a, b in itertools.pairwise(xs)), default=0.0)


def test_a_hundredth_on_a_million_is_not_lost():
    pairs = [(i * 100, 1e6 + 0.01 * (-1) ** i) for i in range(600)]
    assert fold_points(0, MINUTE, pairs).m2 / 600 == pytest.approx(1e-4, rel=1e-6)


def test_the_order_of_the_operations_is_pinned_to_the_bit():
    pairs = [
        (15595, 1.853),
        (24245, 831.89),
        (26026, 2.781),
        (35453, 672.923),
        (36096, -531.338),
        (41007, 0.162),
        (59560, 67.494),
    ]
    pane = fold_points(0, MINUTE, pairs)
    assert (pane.mean.hex(), pane.m2.hex()) == ("0x1.2aca3d70a3d71p+7", "0x1.37680fa5accd4p+20")
    assert (pane.t_mean.hex(), pane.t_m2.hex()) == ("0x1.0ffabbd4b30dcp+5", "0x1.2d99e77c1f72ap+10")
    assert pane.t_c.hex() == "-0x1.9b252d46f5878p+12"


def test_the_longest_run_of_equal_values_counts():
    assert fold_points(0, MINUTE, [(i, x) for i, x in enumerate([1, 2, 2, 2, 1, 1])]).run == 3


@given(st.integers(0, 1 << 30))
def test_panes_do_not_depend_on_the_order_of_arrival(seed):
    rng = random.Random(seed)
    readings = [
        reading(
            ts=rng.randrange(0, 20 * MINUTE, 30_000),
            metric=rng.choice(["a", "b"]),
            device_id=rng.choice(["x.1", "x.2"]),
            device_boot=rng.choice([None, "b1", "b2"]),
            device_seq=rng.choice([None, 1, 2]),
            value=rng.choice([1.0, 0.1, -0.0, 0.0, nan]),
            gateway_seq=i,
        )
        for i in range(40)
    ]
    shuffled = list(readings)
    rng.shuffle(shuffled)
    assert panes(*shuffled) == panes(*readings)


def test_rows_come_by_device_then_pane_end_then_metric():
    rows = panes(
        reading(device_id="x.2", ts=0),
        reading(device_id="x.1", metric="b", ts=6 * MINUTE),
        reading(device_id="x.1", metric="b", ts=0),
        reading(device_id="x.1", metric="a", ts=0),
    )
    assert [(row.device_id, row.pane.pane_end // MINUTE, row.metric) for row in rows] == [
        ("x.1", 5, "a"), ("x.1", 5, "b"), ("x.1", 10, "b"), ("x.2", 5, "temperature"),
    ]  # fmt: skip


def test_a_reading_on_the_border_belongs_to_the_later_pane():
    (row,) = panes(reading(ts=5 * MINUTE))
    assert (row.pane.pane_start, row.pane.pane_end) == (5 * MINUTE, 10 * MINUTE)


def test_a_reading_sent_again_by_another_gateway_counts_once():
    (row,) = panes(reading(), reading(gateway_epoch=2, gateway_seq=9))
    assert (row.pane.n, row.pane.duplicates) == (1, 1)


def test_equal_values_of_one_message_all_count():
    (row,) = panes(reading(repeat=0), reading(repeat=1))
    assert (row.pane.n, row.pane.duplicates) == (2, 0)


def test_without_a_device_time_the_gateway_s_counters_tell_readings_apart():
    (row,) = panes(reading(device_ts=None), reading(device_ts=None, gateway_seq=1))
    assert (row.pane.n, row.pane.duplicates) == (2, 0)


def test_a_clamped_reading_sent_again_is_the_same_though_its_time_differs():
    (row,) = panes(
        reading(ts=0, device_ts=99 * MINUTE),
        reading(ts=1000, device_ts=50 * MINUTE),
        reading(ts=2000, device_ts=99 * MINUTE),
    )
    assert (row.pane.n, row.pane.duplicates) == (2, 1)


def test_the_lag_is_the_least_by_which_the_gateway_was_ahead_of_the_device():
    (row,) = panes(
        reading(ts=0, received_ts=900),
        reading(ts=1, received_ts=-300, quality="BAD"),
        reading(ts=2, received_ts=-9000, clock="UNSYNCED"),
        reading(ts=3, received_ts=-9000, device_ts=None),
    )
    assert row.pane.lag == -301
    (untimed,) = panes(reading(device_ts=None))
    assert untimed.pane.lag is None


def test_bad_readings_are_counted_and_not_folded():
    (row,) = panes(reading(value=5.0), reading(ts=1, quality="BAD"), reading(ts=2, value=nan))
    assert (row.pane.n, row.pane.bad, row.pane.mean) == (1, 2, 5.0)


def test_nan_sent_twice_is_one_bad_reading():
    (row,) = panes(reading(value=float("nan")), reading(value=float("nan")))
    assert (row.pane.bad, row.pane.duplicates) == (1, 1)


def test_a_pane_of_bad_readings_alone_is_empty_but_there():
    (row,) = panes(reading(ts=7 * MINUTE, quality="BAD"))
    assert row.pane == Pane(
        5 * MINUTE, 10 * MINUTE, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 5 * MINUTE, 5 * MINUTE,
        0.0, 0.0, 0.0, 0, 0.0, 1, 0, 0,
    )  # fmt: skip


def test_uncertain_readings_are_folded():
    (row,) = panes(reading(quality="UNCERTAIN"))
    assert row.pane.n == 1


def test_markers_make_no_panes():
    assert panes(reading(kind="MARKER", metric="")) == []


def test_site_and_unit_are_those_of_the_last_reading():
    (row,) = panes(reading(ts=1, unit="degF", site="b"), reading(ts=0, unit="degC", site="a"))
    assert (row.site, row.unit) == ("b", "degF")
