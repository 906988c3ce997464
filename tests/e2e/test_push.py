"""Rules pushed to a job that runs: all devices have them from one event time on, and no restart."""

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from e2e_rig import Readings, cancel, eventually_records, prepare, records, submit
from stack_fixture import RunningStack, eventually

from schemas.records import Alert, DeadLetter, WindowFeatures
from simulators.clock import parse_time
from stream.jobs.cluster import live_job

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(500)]
PREFIX = "push."
PANE = 5_000
DEVICES = [f"push.pump-{number}" for number in range(8)]
OFFLINE = DEVICES[-1]
"""Comes back with its readings when all others are past the change."""
RULES = """version: 1
rules:
  - name: hot
    match: {metric: temperature}
    window: {size: 10s, slide: 5s}
    aggregate: mean
    compare: {op: ">=", to: value}
    severities: [{level: WARNING, enter: %d}]
  - name: worn
    match: {metric: temperature}
    window: {size: 5s, slide: 5s}
    aggregate: max
    compare: {op: ">=", to: value}
    severities: [{level: INFO, enter: 10}]
"""


class Feed:
    """Readings of 20 degrees of a device, one a second, from where they ended before."""

    def __init__(self, stack: RunningStack, start_ms: int) -> None:
        self.readings = Readings(stack.endpoints, PREFIX)
        self.at = dict.fromkeys(DEVICES, start_ms)

    def to(self, end_ms: int, devices: Iterable[str]) -> None:
        for device in devices:
            for ts in range(self.at[device], end_ms, 1000):
                self.readings.put(device, "temperature", 20.0, ts)
                self.at[device] = ts + 1000
        self.readings.flush()


def push(stack: RunningStack, rules: Path, enter: int, effective_from: str) -> dict[str, Any]:
    rules.write_text(RULES % enter)
    done = stack.tidegate(
        "rules", "push", str(rules), f"--prefix={PREFIX}", "--json",
        f"--effective-from={effective_from}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["changed"], told["kept"]) == (["hot"], ["worn"])
    return dict(told)


def register(stack: RunningStack, folder: Path) -> None:
    """Say what one of the devices is part of."""
    file = folder / "fleet.csv"
    file.write_text(f"device_id,asset_id,class,label.line\n{DEVICES[0]},P-0,pump,3\n")
    done = stack.tidegate("fleet", "add", str(file), f"--prefix={PREFIX}")
    assert done.stdout == "1 records of 1 devices\n", done.stderr
    shown = stack.tidegate("fleet", "show", DEVICES[0], "--json", f"--prefix={PREFIX}")
    assert json.loads(shown.stdout)["labels"] == {"line": "3"}
    unknown = stack.tidegate("fleet", "show", "push.pmp-0", f"--prefix={PREFIX}")
    assert f'did you mean "{DEVICES[0]}"' in unknown.stderr


def changes(found: list[Alert]) -> dict[str, list[tuple[str, int]]]:
    """What rule hot did to each device: event and time."""
    told: dict[str, list[tuple[str, int]]] = {device: [] for device in DEVICES}
    for each in found:
        if each.rule == "hot":
            told[each.device_id].append((each.event, each.emitted_at))
    return told


def past(moment_ms: int) -> None:
    eventually("the time has come", lambda: time.time_ns() // 1_000_000 > moment_ms)


def first_end(at: int) -> int:
    return -(-at // PANE) * PANE


def test_pushed_rules_hold_everywhere_from_one_event_time_on(
    stack: RunningStack, tmp_path: Path
) -> None:
    prepare(stack.endpoints, PREFIX, partitions=4)
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES % 80)
    submit(
        stack, "alerts", PREFIX, f"--rules={rules}", "--parallelism=2", "--checkpoint-interval=1s"
    )
    running = live_job(stack.endpoints.flink_url, "tidegate-push-alerts")
    live = DEVICES[:-1]
    register(stack, tmp_path)
    feed = Feed(stack, time.time_ns() // 1_000_000 // 1000 * 1000 - 120_000)
    feed.to(time.time_ns() // 1_000_000, live)
    topic = f"{PREFIX}alerts"
    eventually_records(stack.endpoints, topic, Alert, lambda found: len(found) >= len(live))

    first = parse_time(push(stack, rules, 15, "+3s")["effective_from"])
    past(first + 3 * PANE)
    feed.to(first + 3 * PANE, live)

    def all_changed(count: int, devices: list[str]) -> list[Alert]:
        return eventually_records(
            stack.endpoints,
            topic,
            Alert,
            lambda found: all(len(changes(found)[each]) >= count for each in devices),
        )

    told = changes(all_changed(1, live))
    assert [told[device] for device in live] == [[("FIRED", first_end(first))]] * len(live)
    feed.to(first + 3 * PANE, [OFFLINE])
    assert changes(all_changed(1, DEVICES))[OFFLINE] == [("FIRED", first_end(first))]
    assert live_job(stack.endpoints.flink_url, "tidegate-push-alerts") == running

    # Workers that were not there when it was pushed know it before their first pane.
    killed = stack.kill("taskmanager")
    second = parse_time(push(stack, rules, 80, "+3s")["effective_from"])
    past(second + 3 * PANE)
    feed.to(second + 3 * PANE, DEVICES)
    stack.await_restart("taskmanager", killed)
    ended = [("FIRED", first_end(first)), ("RESOLVED", first_end(second))]
    found = all_changed(2, DEVICES)
    assert list(changes(found).values()) == [ended] * len(DEVICES)
    worn = [(each.device_id, each.event) for each in found if each.rule == "worn"]
    assert sorted(worn) == [(device, "FIRED") for device in DEVICES]
    assert {each.resolve_reason for each in found} == {None, "RULE_CHANGED"}
    assets = {device: device for device in DEVICES} | {DEVICES[0]: "P-0"}
    assert {(each.device_id, each.asset_id) for each in found} == set(assets.items())
    windows = records(stack.endpoints, f"{PREFIX}windows", WindowFeatures)
    assert {(each.device_id, each.asset_id) for each in windows} == set(assets.items())
    assert records(stack.endpoints, f"{PREFIX}dead-letters", DeadLetter) == []
    cancel(stack, "alerts", PREFIX)
