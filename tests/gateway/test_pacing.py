"""Back-off is bounded and jittered; trouble is told once per cause."""

import logging

import pytest

from gateway.pacing import Trouble, backoff_s


def test_backoff_grows_to_its_bound_and_is_spread() -> None:
    assert all(0 < backoff_s(0) <= 0.55 for _ in range(100))
    late = [backoff_s(50) for _ in range(200)]
    assert max(late) <= 30.05
    assert max(late) - min(late) > 10


def test_trouble_is_told_once_per_cause_with_a_count(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    trouble = Trouble(logging.getLogger("t"), "MQTT", now=lambda: now[0])
    with caplog.at_level(logging.WARNING, "t"):
        for _ in range(50):
            trouble.seen("refused")
        assert trouble.cause == "refused"
        now[0] = 61.0
        trouble.seen("refused")
        trouble.seen("reset")
        trouble.over()
        trouble.over()
    assert [r.message for r in caplog.records] == [
        "MQTT: refused",
        "MQTT: refused (51 times)",
        "MQTT: reset",
        "MQTT: over after 1 times",
    ]
    assert trouble.cause == ""
