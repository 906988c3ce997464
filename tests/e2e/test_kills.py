"""The whole path while everything on it is killed: nothing lost, nothing doubled."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from e2e_rig import (
    Gateway,
    cancel,
    gateway_toml,
    ledger_lines,
    prepare,
    records,
    submit,
)
from stack_fixture import RunningStack, eventually

from compose.lake_cli import lake_of
from compose.processes import command, end, start
from gateway.bench.mosquitto import free_port
from schemas.records import Alert, Reading, reading_key
from simulators.clock import iso, monday_before
from stream.device_state import DeviceState
from stream.engine import Engine
from stream.lake import size
from stream.pane_sizes import pane_ms
from stream.panes import panes_of
from stream.rules import parse_rules, rules_text

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]
PREFIX = "kills."
DAYS = 7
DAY_MS = 86_400_000


# The demo's rules, and one that looks at two metrics of a device: beside what a metric is, at whether
# the machine runs.
RULES = (
    rules_text("demo").replace(
        "baselines:\n", "baselines:\n  first: {kind: frozen, learn_for: 1d}\n"
    )
    + """
  - name: running_shift
    match: {metric: [temperature, vibration_rms, current]}
    when: {metric: running, op: ">=", value: 0.5, for: 2h, open: close}
    window: {size: 1h, slide: 15m}
    min_samples: 3
    aggregate: mean
    compare: {op: "abs>=", to: zscore, baseline: first}
    severities: [{level: WARNING, enter: 2}]
"""
)


def offline_alerts(readings: list[Reading]) -> list[Alert]:
    """Return what the engine says of these readings without Flink."""
    rules = parse_rules(RULES)
    engine = Engine(rules)
    states: dict[str, DeviceState] = {}
    alerts: list[Alert] = []
    for row in panes_of(readings, pane_ms(rules)):
        state = states.setdefault(row.device_id, DeviceState())
        alerts += engine.on_pane(state, *row).alerts
    return alerts


def test_killing_every_part_loses_and_doubles_nothing(stack: RunningStack, tmp_path: Path) -> None:
    endpoints = stack.endpoints
    prepare(endpoints, PREFIX)
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    for job in ("lake", "alerts"):
        submit(stack, job, PREFIX, f"--rules={rules}", "--checkpoint-interval=2s")
    config = gateway_toml(tmp_path / "gateway", endpoints, free_port(), name="gw", prefix=PREFIX)
    gateway = Gateway(config)
    gateway.start()
    ledger = tmp_path / "ledger.ndjson"
    start_ms = monday_before(time.time_ns() // 1_000_000 - (DAYS + 1) * DAY_MS)
    simulator = start(
        command(
            "simulate", "run", "--pumps=6", "--faults=3", f"--days={DAYS}", "--with-nab",
            "--site=kills", f"--start={iso(start_ms)}", f"--url={endpoints.mqtt_url}",
            f"--speed={DAYS * 86_400 / 60:.0f}", f"--ledger={ledger}", "--json",
        ),
        tmp_path / "simulator.log",
    )  # fmt: skip
    try:
        _kill_everything(stack, gateway, simulator.poll)
        assert simulator.wait(240) == 0, (tmp_path / "simulator.log").read_text()
        said = json.loads((tmp_path / "simulator.log").read_text().splitlines()[-1])
        _check(stack, ledger, said["published"], start_ms)
    finally:
        end(simulator)
        gateway.stop()
        for job in ("lake", "alerts"):
            cancel(stack, job, PREFIX)


def _kill_everything(stack: RunningStack, gateway: Gateway, over: object) -> None:
    """Gateway twice, TaskManager, JobManager, and Kafka away for 20 s, while readings flow."""
    flowing = threading.Event()

    def breathe(seconds: float) -> None:
        # Between two faults the path must run again for a while, or the second hits nothing.
        flowing.wait(seconds)

    breathe(5)
    gateway.kill()
    gateway.start()
    stack.await_restart("taskmanager", stack.kill("taskmanager"))
    breathe(5)
    kafka = stack.part("kafka").pid
    assert kafka is not None
    os.kill(kafka, signal.SIGSTOP)
    breathe(20)
    os.kill(kafka, signal.SIGCONT)
    breathe(5)
    gateway.kill()
    gateway.start(ready=False)
    stack.await_restart("jobmanager", stack.kill("jobmanager"))


def _check(stack: RunningStack, ledger: Path, published: int, start_ms: int) -> None:
    endpoints = stack.endpoints
    lines = ledger_lines(ledger)
    acknowledged = {
        (line["device_id"], metric, line["ts"], line["seq"], value)
        for line in lines
        if line["acked"]
        for metric, value in line["values"].items()
    }
    sent = {
        (line["device_id"], metric, line["ts"], line["seq"], value)
        for line in lines
        for metric, value in line["values"].items()
    }

    def arrived() -> list[Reading] | None:
        found = [
            reading
            for reading in records(endpoints, f"{PREFIX}readings", Reading)
            if reading.kind == "READING"
        ]
        return found if len({reading_key(each) for each in found}) >= published else None

    readings: list[Reading] = eventually("all readings are on Kafka", arrived, 120)
    distinct = {
        (each.device_id, each.metric, each.device_ts, each.device_seq, each.value)
        for each in readings
    }
    assert acknowledged <= distinct <= sent
    assert len({reading_key(each) for each in readings}) == published == len(acknowledged)

    lake = lake_of(endpoints)
    eventually(
        "every record of Kafka is in the lake",
        lambda: size(lake, "kills").rows >= len(readings),
        120,
    )
    in_lake = size(lake, "kills")
    assert in_lake.rows == len(readings), "the lake holds each record of Kafka exactly once"
    assert in_lake.distinct == published

    end_ms = start_ms + DAYS * DAY_MS
    expected = sorted(key(each) for each in offline_alerts(readings) if each.emitted_at <= end_ms)
    assert len(expected) > 3
    ends = [each for each in offline_alerts(readings) if each.resolve_reason == "RESET"]
    assert ends, "no machine has stopped during an alert"

    def alerted() -> list[Alert] | None:
        found = records(endpoints, f"{PREFIX}alerts", Alert)
        return found if sum(each.emitted_at <= end_ms for each in found) >= len(expected) else None

    alerts: list[Alert] = eventually("all alerts are committed", alerted, 120)
    assert sorted(key(each) for each in alerts if each.emitted_at <= end_ms) == expected


def key(alert: Alert) -> tuple[object, ...]:
    return (alert.alert_id, alert.seq, alert.event, alert.severity, alert.emitted_at, alert.value)
