import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.failure import BadConfig
from simulators.clock import (
    WEEK_MS,
    iso,
    monday_before,
    parse_time,
    run_site,
    safe_name,
    start_time,
    weeks_to,
)
from simulators.message import checked_site

TIMES = st.integers(0, 4_102_444_800_000)


@given(TIMES, TIMES)
def test_a_shift_is_whole_weeks_and_lands_in_the_week_from_the_start(first: int, start: int):
    shift = weeks_to(first, start)
    assert shift % WEEK_MS == 0
    assert start <= first + shift < start + WEEK_MS


@given(TIMES.filter(lambda at: at > WEEK_MS))
def test_the_monday_before_is_a_monday_midnight_within_the_week(at: int):
    monday = datetime.fromtimestamp(monday_before(at) / 1000, UTC)
    assert (monday.weekday(), monday.hour, monday.minute, monday.second) == (0, 0, 0, 0)
    assert 0 <= at - monday_before(at) < WEEK_MS


@pytest.fixture
def in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_new_york")
def test_times_without_an_offset_are_utc_also_in_the_hour_that_summer_time_skips():
    assert iso(parse_time("2014-03-09 02:30:00")) == "2014-03-09T02:30:00Z"
    assert parse_time("2014-03-09T02:30:00Z") == parse_time("2014-03-09 04:30:00+02:00")


def test_without_a_start_the_clock_starts_on_the_last_monday_from_which_all_is_past():
    now = parse_time("2026-03-04T10:00")
    day = 86_400_000
    assert iso(start_time(None, now_ms=now, span_ms=2 * day)) == "2026-03-02T00:00:00Z"
    assert iso(start_time(None, now_ms=now, span_ms=3 * day)) == "2026-02-23T00:00:00Z"


def test_a_start_may_be_now_or_a_time_and_nothing_else():
    assert start_time("now", now_ms=17, span_ms=5) == 17
    assert start_time("1970-01-01T00:00:01Z", now_ms=17, span_ms=5) == 1000
    with pytest.raises(BadConfig, match="yesterday"):
        start_time("yesterday", now_ms=17, span_ms=5)


def test_a_runs_own_site_is_a_valid_id_and_differs_from_one_ms_to_the_next():
    now = 1_764_040_000_000
    assert checked_site(run_site(now)).startswith("run-")
    assert run_site(now) != run_site(now + 1)


@given(st.text(max_size=200))
def test_any_file_name_becomes_a_valid_id(name: str):
    assert checked_site(safe_name(name)) == safe_name(name)
