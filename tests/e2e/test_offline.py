"""A gateway that was away, and a machine that died: what their readings lead to all the same."""

import time
from collections import Counter
from pathlib import Path

import pytest
from e2e_rig import (
    Gateway,
    await_sent,
    cancel,
    cut_off,
    eventually_records,
    gateway,
    gateway_toml,
    prepare,
    records,
    send,
    submit,
)
from paho.mqtt.client import Client
from stack_fixture import RunningStack

from gateway.bench.mosquitto import free_port
from schemas.records import Alert, Reading, WindowFeatures, reading_key

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
HOURS = 24
AWAY = range(9, 15)
"""Hours of the simulated day in which one gateway cannot reach Kafka."""


def play_hour(client: Client, start_ms: int, hour: int) -> None:
    """Send an hour of a plant's two sites, a reading a minute; site `far` shakes in hour 11."""
    sent = []
    for minute in range(60):
        ts = start_ms + hour * HOUR_MS + minute * MINUTE_MS
        for site in ("near", "far"):
            for device in ("pump-1", "pump-2"):
                value = 1.0 + 0.01 * ((minute * 7 + hour) % 13)
                if site == "far" and hour == 11:
                    value += 5.0
                payload = {"value": value, "ts": ts, "unit": "mm/s", "seq": hour * 60 + minute}
                sent.append(send(client, f"sensors/{site}/{device}/vibration_rms", payload))
    await_sent(sent)


def run_day(
    stack: RunningStack, client: Client, folder: Path, prefix: str, start_ms: int, *, away: bool
) -> tuple[list[WindowFeatures], list[Alert], list[Reading]]:
    """Play a day through two gateways and return what the job made of it."""
    endpoints = stack.endpoints
    prepare(endpoints, prefix)
    submit(stack, "alerts", prefix, "--rules=demo", "--checkpoint-interval=2s")
    near = gateway_toml(
        folder / "near", endpoints, free_port(), name="near", prefix=prefix, site="near"
    )
    far = gateway_toml(
        folder / "far", endpoints, free_port(), name="far", prefix=prefix, site="far"
    )
    distant = Gateway(far)
    distant.start()
    try:
        with gateway(near):
            for hour in range(HOURS + 3):
                if away and hour in (AWAY.start, AWAY.stop):
                    distant.stop()
                    distant = Gateway(cut_off(far) if hour == AWAY.start else far)
                    distant.start(ready=hour != AWAY.start)
                play_hour(client, start_ms, hour)
                if away and hour == AWAY.stop - 1:
                    _near_is_through(stack, prefix, start_ms + AWAY.stop * HOUR_MS)
            end_ms = start_ms + HOURS * HOUR_MS
            windows = eventually_records(
                endpoints, f"{prefix}windows", WindowFeatures, lambda found: _through(found, end_ms)
            )
            alerts = eventually_records(
                endpoints, f"{prefix}alerts", Alert, lambda found: _resolved(found, 2)
            )
    finally:
        distant.stop()
        cancel(stack, "alerts", prefix)
    return (
        [each for each in windows if each.window_end <= end_ms],
        [each for each in alerts if each.window_end <= end_ms],
        records(endpoints, f"{prefix}late", Reading),
    )


def _near_is_through(stack: RunningStack, prefix: str, end_ms: int) -> None:
    """Wait until the live site is hours ahead of the one that is away."""

    def ahead(windows: list[WindowFeatures]) -> bool:
        newest = {"near": 0, "far": 0}
        for each in windows:
            newest[each.site] = max(newest[each.site], each.window_end)
        assert newest["far"] <= end_ms - (len(AWAY) - 1) * HOUR_MS, "it was not away"
        return newest["near"] >= end_ms - HOUR_MS

    eventually_records(stack.endpoints, f"{prefix}windows", WindowFeatures, ahead)


def _through(windows: list[WindowFeatures], end_ms: int) -> bool:
    newest: dict[str, int] = {}
    for each in windows:
        newest[each.device_id] = max(newest.get(each.device_id, 0), each.window_end)
    return len(newest) == 4 and min(newest.values()) >= end_ms


def _resolved(alerts: list[Alert], count: int) -> bool:
    return sum(each.event == "RESOLVED" for each in alerts) >= count


def test_six_hours_away_change_no_window_and_no_alert(
    stack: RunningStack, publisher: Client, tmp_path: Path
) -> None:
    day_ms = 24 * HOUR_MS
    start_ms = (time.time_ns() // 1_000_000 - 4 * day_ms) // day_ms * day_ms
    stayed = run_day(stack, publisher, tmp_path / "stayed", "stayed.", start_ms, away=False)
    left = run_day(stack, publisher, tmp_path / "left", "left.", start_ms, away=True)
    # A restart of a job or an unclean end of a gateway may repeat a window, never change one.
    assert sorted(set(map(str, left[0]))) == sorted(set(map(str, stayed[0])))
    assert sorted(map(str, left[1])) == sorted(map(str, stayed[1]))
    assert {each.alert_id for each in stayed[1]} == {each.alert_id for each in left[1]}
    assert len({each.alert_id for each in stayed[1]}) == 2
    # Late can only be what a restarted gateway sent a second time.
    assert stayed[2] == []
    sent = Counter(reading_key(each) for each in records(stack.endpoints, "left.readings", Reading))
    assert all(sent[reading_key(each)] > 1 for each in left[2])


RULES = """
version: 1
rules:
  - name: shaking
    match: {metric: vibration_rms}
    window: {size: 10s, slide: 10s}
    min_samples: 1
    aggregate: max
    compare: {op: ">=", to: value}
    severities: [{level: CRITICAL, enter: 8.0, exit: 7.0}]
"""


def test_a_pump_that_dies_at_its_worst_still_alerts(
    stack: RunningStack, publisher: Client, tmp_path: Path
) -> None:
    prefix = "dies."
    prepare(stack.endpoints, prefix)
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    submit(stack, "alerts", prefix, f"--rules={rules}", "--checkpoint-interval=1s")
    config = gateway_toml(
        tmp_path / "gateway", stack.endpoints, free_port(), name="gw", prefix=prefix, min_quiet="3s"
    )
    with gateway(config):
        # It shakes in its last pane only, which no later reading of its own will close.
        ts = time.time_ns() // 1_000_000 // 10_000 * 10_000 - 60_000
        for second, value in enumerate([1.0] * 12 + [9.5] * 3):
            payload = {"value": value, "ts": ts + second * 1000, "unit": "mm/s", "seq": second}
            send(publisher, "sensors/plant/pump-9/vibration_rms", payload).wait_for_publish(10)
        alerts = eventually_records(
            stack.endpoints, f"{prefix}alerts", Alert, lambda found: found, 60
        )
    cancel(stack, "alerts", prefix)
    assert [(each.event, each.device_id, each.value) for each in alerts] == [
        ("FIRED", "plant.pump-9", 9.5)
    ]
    assert alerts[0].window_end == ts + 20_000
    markers = [
        each
        for each in records(stack.endpoints, f"{prefix}readings", Reading)
        if each.kind == "MARKER"
    ]
    assert markers
    assert all(each.ts > ts + 14_000 for each in markers)
