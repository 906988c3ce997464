"""What people say of alerts while the job runs: done once, through a kill as well."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e_rig import Readings, cancel, eventually_records, prepare, records, submit
from stack_fixture import RunningStack, eventually

from schemas.records import Alert

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(400)]
PREFIX = "operator."
DEVICE = "operator.pump-1"
RULES = """version: 1
rules:
  - name: trip
    match: {metric: temperature}
    window: {size: 1s, slide: 1s}
    aggregate: max
    compare: {op: ">=", to: value}
    severities: [{level: CRITICAL, enter: 80, latch: true}]
"""


class Pump:
    """One device that reports twice a second, up to now."""

    def __init__(self, stack: RunningStack) -> None:
        self._readings = Readings(stack.endpoints, PREFIX)
        self._at = time.time_ns() // 1_000_000 - 20_000

    def report(self, value: float) -> None:
        """Report this value for each moment since the last time."""
        now_ms = time.time_ns() // 1_000_000
        for ts in range(self._at, now_ms, 500):
            self._readings.put(DEVICE, "temperature", value, ts)
            self._at = ts + 500
        self._readings.flush()


@pytest.fixture
def pump(stack: RunningStack, tmp_path: Path) -> Iterator[Pump]:
    prepare(stack.endpoints, PREFIX)
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    submit(stack, "alerts", PREFIX, f"--rules={rules}")
    try:
        yield Pump(stack)
    finally:
        cancel(stack, "alerts", PREFIX)


def say(stack: RunningStack, verb: str, *words: str) -> dict[str, Any]:
    done = stack.tidegate("alerts", verb, *words, f"--prefix={PREFIX}", "--json")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def refused(stack: RunningStack, verb: str, *words: str) -> str:
    done = stack.tidegate("alerts", verb, *words, f"--prefix={PREFIX}")
    assert done.returncode == 1, done.stdout
    return str(done.stderr)


def test_an_alert_is_acknowledged_shelved_and_reset(stack: RunningStack, pump: Pump) -> None:
    topic = f"{PREFIX}alerts"

    def events() -> list[str]:
        return [each.event for each in records(stack.endpoints, topic, Alert)]

    def told(event: str, value: float) -> None:
        def look() -> bool:
            pump.report(value)
            return event in events()

        eventually(f"a record of {event}", look, 120)

    told("FIRED", 90.0)
    (alert,) = eventually_records(stack.endpoints, topic, Alert, bool)
    short = alert.alert_id[:8]
    listed = stack.tidegate("alerts", "list", f"--prefix={PREFIX}").stdout
    assert short in listed
    assert "it is FIRING and not LATCHED" in refused(stack, "reset", short)
    assert "12h at most" in stack.tidegate("alerts", "shelve", short, "--for=13h").stderr
    say(stack, "ack", short, "--by=anna", "--note=on my way")
    told("ACKED", 90.0)
    assert "anna has acknowledged it" in refused(stack, "ack", short)
    stack.await_restart("taskmanager", stack.kill("taskmanager"))
    say(stack, "shelve", short, "--for=8h", "--by=anna")
    told("SHELVED", 90.0)
    assert "shelved until" in stack.tidegate("alerts", "list", f"--prefix={PREFIX}").stdout
    told("RENOTIFY", 20.0)  # into the latch
    say(stack, "reset", short, "--by=anna")
    told("RESOLVED", 20.0)
    found = records(stack.endpoints, topic, Alert)
    assert [each.event for each in found] == ["FIRED", "ACKED", "SHELVED", "RENOTIFY", "RESOLVED"]
    assert [each.seq for each in found] == list(range(5))
    assert {each.alert_id for each in found} == {alert.alert_id}
    assert (found[-1].resolve_reason, found[-1].acked_by) == ("RESET", "anna")
    assert "over since" in refused(stack, "ack", short)
    assert stack.tidegate("alerts", "list", f"--prefix={PREFIX}", "--json").stdout == ""
