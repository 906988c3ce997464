"""A device that boots in the past: what it received before its clock was set gets its true time."""

import time
from pathlib import Path
from typing import Any

import pytest
from edge_clock import WallClock
from edge_rig import GatewayProcess, wait_for
from edge_session import Rig, settle, value

from gateway.message import MQTT_5, UNSYNCED
from gateway.stamps import Stamps

# The clock of a device without a battery: some thirty years late until it is set.
YEARS_MS = 10**12


def test_a_reading_says_that_its_time_of_receipt_was_set_right(tmp_path: Path) -> None:
    rig = Rig()
    stamps = Stamps(tmp_path / "clock.json", 7, "b")
    stamps.begin(synced=False)
    rig.session._p = rig.session._p._replace(right=stamps.right)
    rig.put(1, [value(1)])
    batch = rig.feed.batches.pop()
    (stored,) = batch.chunks
    early = stored.chunk._replace(received_ts=5, flags=UNSYNCED | (stored.chunk.flags & MQTT_5))
    for row in (1, 2):
        chunks = [stored._replace(seq=row << 12, chunk=early)]
        rig.feed.batches.append(batch._replace(row_id=row, chunks=chunks))
        settle(rig, row)
        stamps.learn(early.received_mono + 10**12, early.received_mono)
    before, after = rig.readings
    assert (before.received_ts, before.ts, before.clock) == (5, 5, "UNSYNCED")
    true = early.received_mono + 10**12
    assert (after.received_ts, after.ts, after.clock) == (true, true, "SYNCED")


@pytest.mark.stack
def test_what_waits_when_the_clock_is_set_gets_its_true_time_after_a_kill_too(edge: Any) -> None:
    clock = WallClock(edge.folder, -YEARS_MS, synced=False)
    gateway = edge.gateway()
    clock.boot(gateway)
    assert gateway.metric("tidegate_gateway_clock_synced") == 0.0
    edge.publisher.publish("numbers/plant/d/t", b"1").wait_for_publish(5)
    wait_for("the first", lambda: len(edge.follower.readings) == 1)
    edge.kafka.tell("down")
    began = time.time() * 1000
    edge.publisher.publish("numbers/plant/d/t", b"2").wait_for_publish(5)
    wait_for("it is on disk", lambda: acknowledged(gateway) == 2)
    clock.set(0, synced=True)
    wait_for("the clock is set", lambda: "the clock is set" in gateway.logged())
    assert "the system's clock was set by +1000000000.0 s" in gateway.logged()
    assert gateway.metric("tidegate_gateway_clock_steps_total") == 1
    # The next process knows what this one learned, as it is on the disk.
    gateway.end(9)
    edge.kafka.tell("up")
    clock.boot(gateway)
    wait_for("both", lambda: len(edge.follower.readings) == 2)
    first, second = edge.follower.readings
    assert (first.value, first.clock) == (1.0, "UNSYNCED")
    assert first.received_ts < began - YEARS_MS / 2
    assert (second.value, second.clock, second.ts) == (2.0, "SYNCED", second.received_ts)
    assert began - 1000 <= second.received_ts <= time.time() * 1000
    assert gateway.metric("tidegate_gateway_messages_restamped_total") == 1


def acknowledged(gateway: GatewayProcess) -> float:
    return gateway.metric("tidegate_mqtt_messages_acknowledged_total")
