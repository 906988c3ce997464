"""What the alerts topic says of itself, against a count by brute force."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_builders import DAY, HOUR, MINUTE

from schemas.records import Alert
from stream.kpis import Actor, Day, Episode, Flood, checks, episodes, kpis, period

TEN = 10 * MINUTE
T0 = 20_000 * DAY


def record(name: str, at: int, seq: int = 0, event: Any = "FIRED", **over: Any) -> Alert:
    usual: dict[str, Any] = {
        "alert_id": name, "fingerprint": f"hot/{name}/heat", "seq": seq, "rule": "hot",
        "rule_version": 1, "category": "PROCESS", "event": event, "state": "FIRING",
        "severity": "WARNING", "asset_id": name, "device_id": name, "site": "s", "metric": "heat",
        "value": 9.0, "threshold_enter": 8.0, "threshold_exit": 8.0, "comparator": "value >=",
        "sample_count": 3, "peak_value": 9.0, "window_start": at - HOUR, "window_end": at,
        "condition_since": at, "starts_at": at, "last_true_at": at, "emitted_at": at,
    }  # fmt: skip
    return Alert(**usual | over)


def rung(*times: int, series: str = "a", lasts: int | None = 0) -> list[Episode]:
    return [
        Episode(series, "WARNING", at, None if lasts is None else at + lasts, True) for at in times
    ]


def verdicts(every: list[Episode], days: int = 1) -> dict[str, bool | None]:
    return {each.name: each.ok for each in checks(kpis(every, T0, T0 + days * DAY))}


def test_an_alert_is_one_episode_whatever_its_records_and_their_order():
    told = [
        record("a", T0),
        record("a", T0 + HOUR, 1, "ESCALATED", severity="CRITICAL", starts_at=T0),
        record("a", T0 + 2 * HOUR, 2, "RESOLVED", starts_at=T0, ends_at=T0 + 2 * HOUR),
        record("b", T0 + 1),
    ]
    expected = [
        Episode("hot/a/heat", "WARNING", T0, T0 + 2 * HOUR, True),
        Episode("hot/b/heat", "WARNING", T0 + 1, None, True),
    ]
    assert episodes(told) == episodes([*reversed(told), told[0]]) == expected
    assert period(told) == (T0, T0 + 2 * HOUR + TEN)


def test_who_acknowledges_twice_has_acknowledged_at_the_first():
    told = [
        record("a", T0),
        record("a", T0 + HOUR, 1, "ACKED", starts_at=T0, acked_at=T0 + 7 * MINUTE),
        record("a", T0 + 2 * HOUR, 2, "ESCALATED", severity="CRITICAL", starts_at=T0),
        record("a", T0 + 3 * HOUR, 3, "ACKED", starts_at=T0, acked_at=T0 + 3 * HOUR),
        record("b", T0),
        record("b", T0 + HOUR, 1, "ACKED", starts_at=T0, acked_at=T0 + 9 * MINUTE),
        record("c", T0),
        record("before", T0 - HOUR),
        record("before", T0, 1, "ACKED", starts_at=T0 - HOUR, acked_at=T0),
    ]
    measured = kpis(episodes(told), T0, T0 + DAY)
    assert (measured.alerts, measured.acknowledged) == (3, 2)
    assert measured.median_ack_ms == 8 * MINUTE
    assert kpis(episodes(told[:1]), T0, T0 + DAY).median_ack_ms is None


def test_what_a_backfill_found_rings_for_nobody_and_stands_all_the_same():
    told = [record("a", T0, event="CORRECTED", late=True)]
    measured = kpis(episodes(told), T0, T0 + 2 * DAY)
    assert (measured.alerts, len(measured.standing)) == (0, 1)


def test_a_correction_that_ends_an_alert_ends_it():
    told = [record("a", T0), record("a", T0, 1, "CORRECTED", ends_at=T0 + HOUR)]
    assert kpis(episodes(told), T0, T0 + 2 * DAY).standing == ()


def test_a_flood_begins_above_ten_in_ten_minutes_and_ends_below_five():
    counts = [10, 11, 5, 4, 11, 0, 11]
    every = [
        each for i, n in enumerate(counts) for each in rung(*(T0 + i * TEN + k for k in range(n)))
    ]
    assert kpis(every, T0, T0 + 7 * TEN).floods == (
        Flood(T0 + TEN, T0 + 3 * TEN, 16),
        Flood(T0 + 4 * TEN, T0 + 5 * TEN, 11),
        Flood(T0 + 6 * TEN, T0 + 7 * TEN, 11),
    )
    assert verdicts(every)["flood_share"] is False
    assert verdicts(rung(*(T0 + k for k in range(10))))["flood_share"] is True


def test_a_flood_lies_inside_the_period():
    every = rung(*(T0 + 5 * MINUTE + k for k in range(11)))
    (flood,) = kpis(every, T0 + MINUTE, T0 + 6 * MINUTE).floods
    assert flood == Flood(T0 + MINUTE, T0 + 6 * MINUTE, 11)


def test_three_changes_within_a_minute_are_chatter_and_two_are_none():
    on_off_on = [*rung(T0, lasts=20_000), *rung(T0 + MINUTE, lasts=None)]
    assert kpis(on_off_on, T0, T0 + DAY).chattering == ("a",)
    assert kpis([on_off_on[0], *rung(T0 + MINUTE + 1, lasts=None)], T0, T0 + DAY).chattering == ()
    assert kpis([on_off_on[0], *rung(T0 + 30_000, series="b")], T0, T0 + DAY).chattering == ()
    assert verdicts(on_off_on)["chattering_series"] is False


def test_an_alert_stands_when_it_is_on_for_more_than_a_day():
    old = rung(T0 - 1, lasts=None)
    assert kpis(old, T0, T0 + DAY).standing == tuple(old)
    assert kpis(rung(T0, lasts=None), T0, T0 + DAY).standing == ()
    assert kpis(rung(T0 - 1, lasts=DAY + 1), T0, T0 + DAY).standing == ()
    over = kpis(rung(T0 - 1, lasts=DAY + 2), T0, T0 + 2 * DAY)
    assert [day.standing for day in over.days] == [1, 0]
    assert verdicts(old * 4)["standing_over_24h"] is True
    assert verdicts(old * 5)["standing_over_24h"] is False


def test_load_is_a_mean_over_the_whole_period():
    every = rung(*(T0 + k * TEN for k in range(144)), *(T0 + k * TEN + 1 for k in range(7)))
    assert verdicts(every)["alerts_per_day"] is False
    assert verdicts(every, days=2)["alerts_per_day"] is True
    assert verdicts(every)["alerts_per_10_min"] is False


def test_the_mix_is_of_severities_as_they_rang_and_nothing_is_no_mix():
    every = [*rung(T0), *rung(T0)[0:0], Episode("b", "CRITICAL", T0, T0, True)]
    assert kpis(every, T0, T0 + DAY).mix == {"WARNING": 1, "CRITICAL": 1}
    assert verdicts(every)["critical_share"] is False
    quiet = verdicts([])
    assert quiet.pop("critical_share") is quiet.pop("warning_share") is None
    assert set(quiet.values()) == {True}


def test_the_ten_worst_are_told_by_their_share():
    every = [each for k in range(12) for each in rung(*[T0] * (k + 1), series=f"s{k:02}")]
    worst = kpis(every, T0, T0 + DAY).bad_actors
    assert (len(worst), worst[0], worst[-1].alerts) == (10, Actor("s11", 12, 12 / 78), 3)


episode = st.builds(
    lambda name, on, lasts, told: Episode(name, "INFO", T0 + on, None if lasts is None else T0 + on + lasts, told),
    st.sampled_from("abc"),
    st.integers(-2 * DAY, 2 * DAY) | st.integers(0, 40 * MINUTE),
    st.none() | st.integers(0, 2 * MINUTE) | st.integers(0, 3 * DAY),
    st.booleans() | st.just(True),
)  # fmt: skip


@given(st.lists(episode, max_size=80), st.integers(0, 3 * HOUR), st.integers(1, 2 * DAY))
def test_the_measures_are_those_of_a_count_by_brute_force(every, after, length):
    begin, end = T0 + after, T0 + after + length
    measured = kpis(every, begin, end)
    rang = [e for e in every if e.rang and begin <= e.on < end]
    assert measured.alerts == sum(measured.intervals.values()) == len(rang)
    flooded, count = set(), 0
    for start in range(begin // TEN * TEN, end, TEN):
        count = sum(start <= e.on < start + TEN for e in rang)
        if count > 10 or (start - TEN in flooded and count >= 5):
            flooded.add(start)
    told = [(f.start, f.end) for f in measured.floods]
    clipped = [(max(s, begin), min(s + TEN, end)) for s in sorted(flooded)]
    assert sum(b - a for a, b in told) == sum(b - a for a, b in clipped)
    assert all(any(a <= s and e <= b for a, b in told) for s, e in clipped)
    chatter = set()
    for name in "abc":
        changes = [at for e in every if e.fingerprint == name and e.rang for at in (e.on, e.off)]
        times = sorted(at for at in changes if at is not None)
        for i, at in enumerate(times):
            if begin <= at < end and sum(at - MINUTE <= t for t in times[: i + 1]) >= 3:
                chatter.add(name)
    assert set(measured.chattering) == chatter
    on = [e for e in every if e.on < end - DAY and (e.off is None or e.off > end)]
    assert len(measured.standing) == len(on)
    assert [day.start for day in measured.days] == list(range(begin // DAY * DAY, end, DAY))
    assert sum(day.alerts for day in measured.days) == len(rang)
    assert sum(day.flood_ms for day in measured.days) == sum(b - a for a, b in told)
    assert isinstance(measured.days[0], Day)
    assert measured.days[-1].standing == len(on)


@pytest.mark.parametrize("n", [0, 1, 5])
def test_the_peak_of_a_day_is_its_busiest_ten_minutes(n):
    every = rung(*(T0 + k for k in range(n)), T0 + DAY)
    assert [(d.alerts, d.peak) for d in kpis(every, T0, T0 + DAY + 1).days] == [(n, n), (1, 1)]
