"""The Numenta benchmark's score, by hand and on the shipped series."""

import json
from math import exp
from pathlib import Path

import pytest

from stream.nab import PROFILES, Labelled, Profile, in_window, probation, score

STANDARD = PROFILES["standard"]
TIMES = list(range(0, 2000_000, 1000))  # 2000 rows, 300 of them probation
WINDOW = (1000_000, 1099_000)  # rows 1000 to 1099


def sigmoid(y: float) -> float:
    return 2 / (1 + exp(5 * y)) - 1


def scored(*rows: int, windows: tuple = (WINDOW,), profile: Profile = STANDARD) -> float | None:
    return score([Labelled(TIMES, windows, [row * 1000 for row in rows])], profile)


def test_probation_is_the_first_15_percent_and_at_most_750_rows():
    assert [probation(n) for n in (0, 100, 4032, 5000, 22_695)] == [0, 15, 604, 750, 750]


def test_finding_a_window_with_its_first_row_is_perfect():
    assert scored(1000) == pytest.approx(100)


def test_finding_nothing_scores_zero():
    for profile in PROFILES.values():
        assert scored(profile=profile) == 0


def test_a_later_row_of_the_window_earns_less_by_the_sigmoid():
    # Row 1050 is 50 rows, that is half the window, from its end.
    earned = sigmoid(-0.5) / sigmoid(-1)
    assert scored(1050) == pytest.approx(100 * (earned + 1) / 2)


def test_only_the_earliest_row_in_a_window_counts():
    assert scored(1010, 1050, 1090) == scored(1010)
    assert scored(1090, 1010) == scored(1010)


def test_an_alert_before_any_window_costs_all_of_a_false_alert():
    assert scored(999) == pytest.approx(100 * -0.11 / 2)
    assert scored(999, profile=PROFILES["low_fp"]) == pytest.approx(100 * -0.22 / 2)
    assert scored(999, profile=PROFILES["low_fn"]) == pytest.approx(100 * -0.11 / 3)


def test_an_alert_right_behind_a_window_costs_less_than_one_far_behind():
    near, far = 0.11 * sigmoid(10 / 99), -0.11
    assert scored(1000, 1109) == pytest.approx(100 * (1 + near + 1) / 2)
    assert scored(1000, 1396) == pytest.approx(100 * (1 + far + 1) / 2)  # 3 lengths behind


def test_alerts_in_probation_count_neither_way():
    assert scored(0, 299) == 0
    assert scored(0, 299, 1000) == pytest.approx(100)


def test_a_window_inside_probation_is_not_to_be_found():
    early = (100_000, 200_000)
    assert scored(windows=(early,)) is None
    assert scored(1000, windows=(early, WINDOW)) == pytest.approx(100)


def test_the_score_of_several_series_is_that_of_their_sums():
    found = Labelled(TIMES, [WINDOW], [1000_000])
    missed = Labelled(TIMES, [WINDOW, (1500_000, 1600_000)], [])
    assert score([found, missed], STANDARD) == pytest.approx(100 / 3)


def test_a_series_without_windows_only_costs():
    quiet = Labelled(TIMES, [], [1000_000])
    found = Labelled(TIMES, [WINDOW], [1000_000])
    assert score([found, quiet], STANDARD) == pytest.approx(100 * (2 - 0.11) / 2)


def test_window_edges_between_rows_take_the_rows_inside():
    each = Labelled(TIMES, [(999_500, 1100_500)], [])
    assert [in_window(each, row * 1000) for row in (999, 1000, 1100, 1101)] == [
        False, True, True, False,
    ]  # fmt: skip


PUBLISHED = json.loads((Path(__file__).parent / "nab_published.json").read_text())
"""What two detectors of the benchmark found in its 58 files, and the scores published for it."""


def published(detector: str) -> list[Labelled]:
    return [
        Labelled(range(each["rows"]), [tuple(span) for span in each["windows"]], each[detector])
        for each in PUBLISHED["files"].values()
    ]


@pytest.mark.parametrize(
    ("detector", "hits", "outside"), [("relativeEntropy", 78, 156), ("windowedGaussian", 73, 409)]
)
def test_the_scores_of_the_benchmark_s_own_detectors_are_the_published_ones(
    detector, hits, outside
):
    series = published(detector)
    assert (len(series), sum(len(each.windows) for each in series)) == (58, 116)
    scored = [
        (each, row) for each in series for row in each.onsets if row >= probation(len(each.times))
    ]
    assert sum(not in_window(each, row) for each, row in scored) == outside
    met = {
        (id(each), first)
        for each, row in scored
        for first, last in each.windows
        if first <= row <= last
    }
    assert len(met) == hits
    for name, profile in PROFILES.items():
        assert score(series, profile) == pytest.approx(
            PUBLISHED["published"][detector][name], abs=1e-6
        )


def test_perfect_and_null_detectors_score_what_they_do_by_definition():
    series = published("relativeEntropy")
    perfect = [each._replace(onsets=[first for first, _ in each.windows]) for each in series]
    for profile in PROFILES.values():
        assert score((each._replace(onsets=[]) for each in series), profile) == 0
        assert score(perfect, profile) == pytest.approx(100)
