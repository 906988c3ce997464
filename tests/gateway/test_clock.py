"""Whether the gateway believes its own clock."""

from gateway.clock import SystemClock, clock_is_synced


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
