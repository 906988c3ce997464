"""What was given out before against what is recomputed: what is sent, and as what."""

from math import nan

from msgspec.structs import replace

from schemas.records import Alert, WindowFeatures
from stream import correction
from stream.correction import Scope, compare_alerts

SCOPE = Scope(1_000, 2_000)


def compare_windows(before, now, *, lake: int = 99):
    """With so many readings in the lake for any window."""
    return correction.compare_windows(before, now, lambda metric, start, end: lake)


VERSIONS = {"hot": 1}


def window(end: int = 1_500, *, length: int = 500, count: int = 5, mean: float = 20.0):
    return WindowFeatures(
        "plant.pump", "temperature", "plant", end - length, end, count, 1.0, 2.0, mean, 0.1, mean,
        1.0, 2.0, 0.0,
    )  # fmt: skip


def alert(starts: int = 1_200, ends: int | None = 1_600, **over: object) -> Alert:
    at = starts if ends is None else ends
    usual: dict[str, object] = {
        "alert_id": f"id-{starts}", "fingerprint": "hot/plant.pump/temperature",
        "seq": 0 if ends is None else 1, "rule": "hot", "rule_version": 1, "category": "PROCESS",
        "event": "FIRED" if ends is None else "RESOLVED",
        "state": "FIRING" if ends is None else "RESOLVED",
        "prev_state": None if ends is None else "RECOVERING", "severity": "WARNING",
        "asset_id": "plant.pump", "device_id": "plant.pump", "site": "plant",
        "metric": "temperature", "value": 20.0, "threshold_enter": 15.0, "threshold_exit": 14.0,
        "comparator": "value >=", "sample_count": 5, "peak_value": 21.0,
        "window_start": at - 500, "window_end": at, "condition_since": starts - 100,
        "starts_at": starts, "ends_at": ends, "last_true_at": at - 100, "emitted_at": at,
        "resolve_reason": None if ends is None else "VALUE",
    }  # fmt: skip
    return Alert(**{**usual, **over})


def told(starts: int = 1_200, ends: int = 1_600) -> list[Alert]:
    return [alert(starts, None), alert(starts, ends)]


def fates(before: list[Alert], now: list[Alert], scope: Scope = SCOPE) -> dict[str, int]:
    changes = compare_alerts(before, now, VERSIONS, scope)._asdict()
    return {name: n for name, n in changes.items() if name != "send" and n}


def test_windows_that_are_equal_are_not_sent_even_with_no_number_in_them():
    same = [window(), window(2_000, mean=nan)]
    changes = compare_windows(same, [replace(each) for each in same])
    assert changes == ([], 0, 0, 0, 2, None)


def test_the_newest_of_a_window_is_what_counts():
    changes = compare_windows([window(count=3), window()], [window()])
    assert changes.unchanged == 1


def test_a_window_that_holds_more_now_is_sent_as_it_is_now():
    changes = compare_windows([window(count=3)], [window(count=5), window(2_000)])
    assert changes == ([window(count=5), window(2_000)], 1, 1, 0, 0, None)


def test_a_window_that_two_rules_make_is_one():
    assert compare_windows([window()], [window(), window()]).send == []
    assert compare_windows([], [window(), window()]).new == 1


def test_a_window_that_is_not_made_any_more_is_taken_back_where_nothing_is_lost():
    changes = compare_windows([window()], [], lake=5)
    assert ([each.count for each in changes.send], changes.fewer) == ([0], None)


def test_a_window_that_has_grown_less_takes_the_longer_one_back():
    long, short = window(length=1_000), window(length=500, count=4)
    changes = compare_windows([long], [short])
    assert [(each.window_start, each.count) for each in changes.send] == [(1_000, 4), (500, 0)]
    assert (changes.new, changes.withdrawn, changes.fewer) == (1, 1, None)
    again = compare_windows([long, *changes.send], [short])
    assert (again.send, again.unchanged) == ([], 1)


def test_a_window_that_is_gone_or_holds_fewer_is_told():
    assert compare_windows([window()], [], lake=4).fewer == window()
    assert compare_windows([window()], [window(count=4)], lake=4).fewer == window()
    # A derived metric may have lost a value although all readings are there.
    assert compare_windows([window()], [window(count=4)], lake=9).fewer is None


def test_an_alert_that_is_the_same_is_not_sent():
    before = told()
    # One late reading moves the baseline of weeks to come by next to nothing.
    now = [alert(1_200, None, score=3.0), alert(score=3.0, baseline_mean=0.5)]
    assert compare_alerts(before, now, VERSIONS, SCOPE).send == []
    assert fates(before, now) == {"unchanged": 1}


def test_a_changed_alert_is_one_record_that_says_how_it_stands_now():
    now = [alert(1_200, None), alert(ends=1_900, peak_value=30.0, severity="CRITICAL")]
    changes = compare_alerts(told(), now, VERSIONS, SCOPE)
    assert (changes.corrected, len(changes.send)) == (1, 1)
    assert changes.send[0] == replace(
        now[-1], event="CORRECTED", seq=2, prev_state="RESOLVED", prev_severity="WARNING", late=True
    )
    assert fates([*told(), *changes.send], now) == {"unchanged": 1}


def test_an_alert_that_nobody_knew_of_is_one_record():
    changes = compare_alerts([], told(), VERSIONS, SCOPE)
    assert changes.send == [replace(alert(), event="CORRECTED", seq=0, prev_state=None, late=True)]
    assert changes.new == 1
    assert fates(changes.send, told()) == {"unchanged": 1}


def test_an_alert_that_should_not_have_been_ends_when_it_starts():
    changes = compare_alerts(told(), [], VERSIONS, SCOPE)
    assert changes.withdrawn == 1
    assert changes.send == [
        replace(
            alert(), event="CORRECTED", seq=2, prev_state="RESOLVED", prev_severity="WARNING",
            ends_at=1_200, resolve_reason="RESET", late=True,
        )
    ]  # fmt: skip
    assert fates([*told(), *changes.send], []) == {"unchanged": 1}
    # And if still later readings show that it was right after all:
    again = compare_alerts([*told(), *changes.send], told(), VERSIONS, SCOPE)
    assert (again.corrected, again.send[0].seq, again.send[0].ends_at) == (1, 3, 1_600)


def test_what_people_did_about_an_alert_changes_nothing_but_the_number():
    acked = alert(event="ACKED", seq=7)
    assert fates([*told(), acked], told()) == {"unchanged": 1}
    longer = [alert(1_200, None), alert(ends=1_900)]
    assert compare_alerts([*told(), acked], longer, VERSIONS, SCOPE).send[0].seq == 8


def test_alerts_that_are_not_over_are_left_to_the_job():
    assert fates([alert(1_200, None)], told()) == {"open": 1}
    assert fates(told(), [alert(1_200, None)]) == {"open": 1}
    assert fates([], [alert(1_200, None)]) == {"open": 1}
    assert fates([alert(1_200, None)], []) == {"open": 1}
    assert fates([alert(1_200, None)], [alert(1_200, None)]) == {"unchanged": 1}


def test_alerts_of_other_rules_are_none_of_its_business():
    other = [replace(each, rule_version=2) for each in told()]
    assert fates(other, []) == {"left": 1}
    ended = replace(alert(), resolve_reason="RULE_CHANGED")
    assert fates([alert(1_200, None), ended], []) == {"left": 1}
    assert fates([replace(each, rule="gone") for each in told()], []) == {}


def test_only_alerts_active_in_the_scope_are_looked_at():
    assert fates(told(500, 1_000), []) == {}
    assert fates(told(500, 1_001), []) == {"withdrawn": 1}
    assert fates(told(2_000, 2_100), []) == {"withdrawn": 1}
    assert fates(told(2_001, 2_100), []) == {}


def test_one_long_alert_for_several_takes_all_of_them_back():
    several = [*told(1_200, 1_600), *told(2_400, 2_600), *told(4_000, 4_100)]
    one = [alert(1_200, None), alert(1_200, 3_000)]
    assert fates(several, one) == {"corrected": 1, "withdrawn": 1}
    assert fates(one, several) == {"corrected": 1, "new": 1}
