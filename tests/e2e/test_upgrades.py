"""One alerts job, looked after: watched, upgraded, and upgraded to something that does not run."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from e2e_rig import cancel, eventually_records, prepare, records
from stack_fixture import RunningStack, eventually

from compose.intents import read_intent
from schemas.contracts import contract_text
from schemas.encoders import ReadingEncoder
from schemas.records import Alert, Reading, WindowFeatures
from schemas.registry import Registry
from schemas.topics import subject

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(500)]
PREFIX = "care."
MINUTE = 60_000
T0 = 1_699_999_200_000  # 2023-11-14 22:00 UTC
HOT = """version: 1
rules:
  - name: hot
    match: {metric: temperature}
    window: {size: 15m, slide: 15m}
    aggregate: mean
    compare: {op: ">=", to: value}
    severities: [{level: WARNING, enter: 80}]
"""
# Finer slides make finer panes, in the middle of a pane that is open.
ALSO_STUCK = f"""{HOT}  - name: stuck
    match: {{metric: temperature}}
    window: {{size: 5m, slide: 5m}}
    aggregate: stddev
    compare: {{op: "<=", to: value}}
    severities: [{{level: INFO, enter: 0}}]
"""


def minutes(stack: RunningStack, first: int, last: int) -> None:
    """Produce a reading a minute: hot in the second hour, warm otherwise."""
    endpoints, topic = stack.endpoints, f"{PREFIX}readings"
    registry = Registry(endpoints.registry_url)
    encoder = ReadingEncoder(registry.register(subject(topic), contract_text("reading")))
    producer = Producer({"bootstrap.servers": endpoints.kafka_bootstrap})
    now_ms = time.time_ns() // 1_000_000
    for minute in range(first, last):
        value, ts = (
            90.0 + minute % 2 if 60 <= minute < 120 else 20.0 + minute % 2,
            T0 + minute * MINUTE,
        )
        reading = Reading(
            "care.pump", "temperature", "care", "READING", None, "gw", 1, value, ts, ts,
            None, minute, "GOOD", minute, 0, 0, now_ms, "SYNCED", False,
        )  # fmt: skip
        producer.produce(topic, encoder.encode(reading), b"care.pump")
    assert producer.flush(30) == 0


def status(stack: RunningStack) -> dict[str, Any]:
    done = stack.tidegate("jobs", "status", "alerts", f"--prefix={PREFIX}", "--json")
    assert done.returncode == 0, done.stderr
    (one,) = json.loads(done.stdout)
    return dict(one)


def caught_up(stack: RunningStack, end: int) -> dict[str, Any]:
    """Wait until the job itself says that it has read so far."""

    def look() -> dict[str, Any] | None:
        one = status(stack)
        read = sum(each["position"] for each in one["lag"]["partitions"])
        return one if one["state"] == "RUNNING" and read == end else None

    found = eventually(f"{end} records are read", look, 90)
    assert isinstance(found, dict)
    return found


def upgrade(
    stack: RunningStack,
    rules: Path,
    *words: str,
    program: tuple[str, ...] = ("-m", "compose.cli"),
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [
            sys.executable,
            *program,
            "jobs",
            "upgrade",
            "alerts",
            f"--prefix={PREFIX}",
            f"--rules={rules}",
            *words,
        ],
        env=os.environ | {"TIDEGATE__LOCAL__STATE": str(stack.layout.root)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def committed(stack: RunningStack, count: int) -> list[Alert]:
    return eventually_records(
        stack.endpoints, f"{PREFIX}alerts", Alert, lambda found: len(found) >= count
    )


def test_a_job_is_watched_and_upgraded_and_loses_nothing(
    stack: RunningStack, tmp_path: Path
) -> None:
    prepare(stack.endpoints, PREFIX)
    rules = tmp_path / "rules.yaml"
    rules.write_text(HOT)
    done = stack.tidegate(
        "jobs",
        "submit",
        "alerts",
        f"--prefix={PREFIX}",
        f"--rules={rules}",
        "--checkpoint-interval=1s",
    )
    assert done.returncode == 0, done.stderr
    minutes(stack, 0, 50)
    calm = caught_up(stack, 50)
    assert (calm["parallelism"], calm["restarts"], calm["lag"]["records"]) == (2, 0, 0)
    assert calm["checkpoint"]["completed"] > 0

    killed = stack.kill("taskmanager")
    minutes(stack, 50, 100)
    assert status(stack)["lag"]["records"] == 50
    stack.await_restart("taskmanager", killed)
    again = caught_up(stack, 100)
    assert again["restarts"] >= 1
    assert again["lag"]["records"] == 0
    assert "no longer reachable" in again["failure"]["cause"]
    assert again["freshness_s"]["care"] > 0
    (fired,) = committed(stack, 1)
    assert (fired.event, fired.window_end) == ("FIRED", T0 + 75 * MINUTE)

    rules.write_text(f"{HOT}# breaks here\n")
    broken = Path(__file__).parent.parent / "breaking_upgrade.py"
    failed = upgrade(stack, rules, program=(str(broken),))
    assert failed.returncode == 1, failed.stderr
    assert "the former one runs again as" in failed.stderr
    assert "/nowhere/python" in failed.stderr
    intent = read_intent(stack.layout.root, "care-alerts")
    assert intent is not None
    assert intent.wanted
    assert len(intent.job_ids) == 3
    assert status(stack)["job_id"] == intent.job_ids[-1]

    rules.write_text(ALSO_STUCK)
    upgraded = upgrade(stack, rules, "--backend=rocksdb")
    assert upgraded.returncode == 0, upgraded.stderr
    intent = read_intent(stack.layout.root, "care-alerts")
    assert intent is not None
    assert "--backend=rocksdb" in intent.argv
    minutes(stack, 100, 200)
    alerts = [each for each in committed(stack, 2) if each.rule == "hot"]
    assert [(each.event, each.seq) for each in alerts] == [("FIRED", 0), ("RESOLVED", 1)]
    assert alerts[0].alert_id == alerts[1].alert_id
    assert alerts[1].window_end == T0 + 135 * MINUTE
    every_quarter = [(T0 + end * MINUTE, 15) for end in range(15, 196, 15)]
    rows = eventually_records(
        stack.endpoints,
        f"{PREFIX}windows",
        WindowFeatures,
        lambda found: any(each.window_end >= every_quarter[-1][0] for each in found),
    )
    quarters = {
        (each.window_end, each.count)
        for each in rows
        if each.window_end - each.window_start == 15 * MINUTE
    }
    assert sorted(quarters) == every_quarter
    assert [
        each.event
        for each in records(stack.endpoints, f"{PREFIX}alerts", Alert)
        if each.rule == "hot"
    ] == ["FIRED", "RESOLVED"]
    cancel(stack, "alerts", PREFIX)
