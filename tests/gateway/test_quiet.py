"""When a device counts as quiet, and which markers follow."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.quiet import Policy, Quiet, QuietDevices, Snapshot, learned

S = 1000
MINUTE = 60 * S
DAY = 86_400 * S
POLICY = Policy(2 * MINUTE, 2 * DAY, 1000)
DEVICE = ("plant.d1", True)


def heard_every(seconds: int, times: int, policy: Policy = POLICY) -> QuietDevices:
    devices = QuietDevices(policy)
    for i in range(times):
        devices.heard(DEVICE, "plant", 5_000_000 + i * seconds * S, i * seconds * S)
    return devices


def markers_until(devices: QuietDevices, end_ms: int, step_ms: int = S) -> list[tuple[int, Quiet]]:
    return [(now, m) for now in range(0, end_ms, step_ms) for m in devices.due(now, 100)]


def test_a_device_that_reports_gets_no_marker() -> None:
    devices = QuietDevices(POLICY)
    for second in range(0, 3600, 10):
        devices.heard(DEVICE, "plant", second * S, second * S)
        assert devices.due(second * S, 10) == []


def test_silence_of_two_minutes_brings_a_marker_with_the_time_since() -> None:
    devices = heard_every(10, 5)
    last_heard, last_ts = 40 * S, 5_000_000 + 40 * S
    found = markers_until(devices, 3 * MINUTE)
    assert found[0][0] == last_heard + 2 * MINUTE
    assert found[0][1] == Quiet("plant.d1", "plant", True, last_ts + 2 * MINUTE)


def test_a_slow_device_is_quiet_only_after_three_intervals() -> None:
    devices = heard_every(600, 5)
    assert markers_until(devices, 4 * 600 * S + 3 * 600 * S) == []
    assert devices.due(4 * 600 * S + 3 * 600 * S, 10)


def test_markers_repeat_until_the_limit_and_close_a_window_at_most_a_quarter_late() -> None:
    devices = heard_every(10, 5)
    last = 40 * S
    silences = [now - last for now, _ in markers_until(devices, 4 * DAY, 10 * S)]
    assert silences[0] == 2 * MINUTE
    for earlier, later in itertools.pairwise(silences):
        assert later - earlier <= 0.25 * earlier + 20 * S
        assert later > earlier
    assert 2 * DAY <= silences[-1] <= 2 * DAY + 10 * S
    assert len(silences) < 40


def test_a_device_heard_again_starts_over() -> None:
    devices = heard_every(10, 5)
    assert markers_until(devices, 10 * MINUTE)
    devices.heard(DEVICE, "plant", 9_000_000, 10 * MINUTE)
    assert devices.due(10 * MINUTE + S, 10) == []
    assert devices.due(12 * MINUTE, 10) == [
        Quiet("plant.d1", "plant", True, 9_000_000 + 2 * MINUTE)
    ]


def test_a_device_back_after_its_last_marker_is_followed_again() -> None:
    devices = heard_every(10, 5)
    markers_until(devices, 3 * DAY, MINUTE)
    devices.heard(DEVICE, "plant", 1, 3 * DAY)
    assert devices.due(3 * DAY + 3 * MINUTE, 10)


def test_the_two_clocks_of_a_device_are_followed_apart() -> None:
    devices = QuietDevices(POLICY)
    devices.heard(("d", True), "s", 100, 0)
    devices.heard(("d", False), "s", 200, 0)
    assert {(m.own_clock, m.ts) for m in devices.due(2 * MINUTE, 10)} == {
        (True, 100 + 2 * MINUTE),
        (False, 200 + 2 * MINUTE),
    }


@pytest.mark.parametrize(
    ("gaps", "low", "high"),
    [
        ([10_000] * 20, 10_000, 10_000),
        ([10_000] * 20 + [6 * 3600 * S] + [10_000] * 30, 10_000, 12_000),
        ([2000, 2000, 596_000] * 10, 300_000, 600_000),
        ([600_000] * 3, 600_000, 600_000),
    ],
)
def test_the_interval_is_the_usual_longest_gap(gaps: list[int], low: int, high: int) -> None:
    interval = 0
    for gap in gaps:
        interval = learned(interval, gap)
    assert low <= interval <= high


@given(st.lists(st.integers(1000, 10**9), min_size=1, max_size=50))
def test_a_learned_interval_lies_within_what_was_seen(gaps: list[int]) -> None:
    interval = 0
    for gap in gaps:
        interval = learned(interval, gap)
    assert min(gaps) <= interval <= max(gaps)


def test_a_device_that_died_while_the_gateway_was_down_still_gets_its_markers() -> None:
    devices = QuietDevices(POLICY)
    devices.restore(
        [Snapshot("plant.d1", True, "plant", 7_000_000, 10 * MINUTE, 10 * S)], now_ms=50 * S
    )
    assert devices.due(50 * S + 2 * MINUTE - 1, 10) == []
    (marker,) = devices.due(50 * S + 2 * MINUTE, 10)
    assert marker.ts == 7_000_000 + 12 * MINUTE


def test_a_new_device_is_saved_at_once_and_a_known_one_now_and_then() -> None:
    devices = heard_every(10, 3)
    assert [s.last_ts for s in devices.unsaved(20 * S, 10)] == [5_020_000]
    devices.heard(DEVICE, "plant", 5_030_000, 30 * S)
    assert devices.unsaved(30 * S, 10) == []
    devices.heard(DEVICE, "plant", 5_090_000, 90 * S)
    assert devices.unsaved(95 * S, 10) == [
        Snapshot("plant.d1", True, "plant", 5_090_000, 5 * S, devices._devices[DEVICE].interval_ms)
    ]


def test_what_was_saved_comes_back_as_it_was() -> None:
    devices = heard_every(10, 3)
    saved = devices.unsaved(25 * S, 10)
    again = QuietDevices(POLICY)
    again.restore(saved, now_ms=0)
    assert again.due(10 * MINUTE, 10)[0].ts == 5_020_000 + 5 * S + 10 * MINUTE


def test_memory_is_bounded_and_the_longest_silent_go_first() -> None:
    devices = QuietDevices(Policy(2 * MINUTE, 2 * DAY, 100))
    for i in range(1000):
        devices.heard((f"d{i}", True), "s", i, i)
    assert len(devices) <= 100
    assert devices.forgotten >= 900
    assert ("d999", True) in devices._devices
    assert len(devices._due) <= 100


def test_a_burst_of_due_markers_comes_in_portions() -> None:
    devices = QuietDevices(POLICY)
    for i in range(300):
        devices.heard((f"d{i}", True), "s", i, 0)
    portions = [len(devices.due(5 * MINUTE, 100)) for _ in range(4)]
    assert portions == [100, 100, 100, 0]
