"""Whether the gateway believes its own clock."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import Steady, Steps, SystemClock, clock_is_synced


def test_the_system_is_asked_only_now_and_then() -> None:
    now = [0.0]
    answers = [True, False, True]
    clock = SystemClock(now=lambda: now[0], ask=lambda: answers.pop(0), every_s=5.0)
    assert [clock.synced() for _ in range(10)] == [True] * 10
    now[0] = 5.0
    assert not clock.synced()
    now[0] = 9.0
    assert not clock.synced()
    now[0] = 10.0
    assert clock.synced()


def test_the_kernel_can_be_asked() -> None:
    assert clock_is_synced() in (True, False)


def test_small_steps_back_are_not_shown_and_large_ones_are_followed() -> None:
    steady = Steady()
    shown = [steady.shown(ms) for ms in (5000, 5010, 4600, 4990, 5011, 1000, 1001, 99_000, 98_500)]
    assert shown == [5000, 5010, 5010, 5010, 5011, 1000, 1001, 99_000, 99_000]


@given(st.lists(st.integers(-1000, 5000), max_size=50))
def test_shown_times_never_go_back_while_steps_are_small(moves: list[int]) -> None:
    steady, now, shown = Steady(), 10**12, []
    highest = now
    for move in moves:
        now = max(now + move, highest - 1000)
        highest = max(highest, now)
        shown.append(steady.shown(now))
    assert shown == sorted(shown)
    assert all(-1000 <= s - 10**12 <= 5000 * len(moves) for s in shown)


def test_a_step_is_told_once_and_drift_is_not() -> None:
    steps = Steps()
    assert steps.look(1_000_000, 0) == 0
    told = [
        steps.look(1_000_000 + second * 1000 + second * 10, second * 1000) for second in range(90)
    ]
    assert told == [0] * 90, "slewed at 1 %"
    assert steps.look(4_600_900 + 90_000, 90_000) == 3_600_900
    assert steps.look(4_600_900 + 91_000, 91_000) == 0
    assert steps.look(1_000_900 + 92_000, 92_000) == -3_600_000
    assert steps.count == 2
