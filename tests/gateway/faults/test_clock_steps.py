"""T10: the whole gateway under a clock that begins in 1970 and is stepped while it runs."""

import json
import time
from typing import Any, NamedTuple

import pytest
from edge_clock import WallClock
from edge_rig import GatewayProcess, wait_for

from schemas.records import Reading

pytestmark = pytest.mark.stack
DAY_MS = 86_400_000
TEN_YEARS_MS = 3653 * DAY_MS
QUIET_MS = 2000
SLACK_MS = 1500


class Came(NamedTuple):
    """What became of a reading with a true time of its own, and of one without any."""

    own: Reading
    bare: Reading


class Rig:
    """A gateway that follows quiet devices, and two devices that report at a test's word."""

    def __init__(self, edge: Any, clock: WallClock) -> None:
        self.edge = edge
        self.clock = clock
        self.gateway: GatewayProcess = edge.gateway(f'[markers]\nmin_quiet = "{QUIET_MS}ms"')
        clock.boot(self.gateway)

    def report(self, metric: str) -> Came:
        """Let both devices report; they must come at once, whatever the clock says."""
        payload = json.dumps({"value": 1, "ts": now_ms()}).encode()
        publish = self.edge.publisher.publish
        publish(f"sensors/plant/own/{metric}", payload).wait_for_publish(5)
        publish(f"numbers/plant/bare/{metric}", b"1").wait_for_publish(5)
        wait_for(f"both of {metric}", lambda: len(self.named(metric)) == 2, 3)
        own, bare = sorted(self.named(metric), key=lambda r: r.gateway_seq)
        return Came(own, bare)

    def named(self, metric: str) -> list[Reading]:
        return [r for r in list(self.edge.follower.readings) if r.metric == metric]

    def markers(self, device: str) -> list[Reading]:
        found = list(self.edge.follower.readings)
        return [r for r in found if r.kind == "MARKER" and r.device_id == device]

    def fall_silent(self, name: str) -> str:
        """Let a device report once; return its id."""
        payload = json.dumps({"value": 1, "ts": now_ms()}).encode()
        self.edge.publisher.publish(f"sensors/plant/{name}/{name}", payload).wait_for_publish(5)
        wait_for(name, lambda: self.named(name), 3)
        return f"plant.{name}"

    def marker(self, device: str) -> Reading:
        """Return the first marker of a device, which is due after some two seconds of silence."""
        wait_for(f"a marker of {device}", lambda: self.markers(device), 8)
        return self.markers(device)[0]

    def set(self, shift_ms: int) -> None:
        step_s = (shift_ms - self.clock.shift_ms) / 1000
        self.clock.set(shift_ms, synced=True)
        text = f"the system's clock was set by {step_s:+.1f} s"[:-5]
        wait_for(f"told: {text}", lambda: text in self.gateway.logged(), 5)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def near(ts: int, shift_ms: int) -> bool:
    """Return whether a time is that of a clock that is off by so much."""
    return abs(ts - (now_ms() + shift_ms)) < SLACK_MS


@pytest.fixture
def from_1970(edge: Any) -> Rig:
    return Rig(edge, WallClock(edge.folder, -now_ms(), synced=False))


def test_a_clock_from_1970_that_is_set_and_stepped_moves_nothing_but_times(from_1970: Rig) -> None:
    rig = from_1970
    began = rig.report("epoch")
    assert (began.own.clock, began.own.ts) == ("UNSYNCED", began.own.device_ts)
    assert began.bare.clock == "UNSYNCED"
    assert 0 <= began.bare.ts == began.bare.received_ts < 60_000

    rig.set(0)
    wait_for("believed", lambda: "the clock is set" in rig.gateway.logged(), 8)
    rig.report("turn")  # The turn that waits for it still has the answer of before.
    right = rig.report("right")
    assert [r.clock for r in right] == ["SYNCED", "SYNCED"]
    assert near(right.bare.ts, 0)

    quiet = rig.fall_silent("before-ahead")
    rig.set(TEN_YEARS_MS)
    assert near(rig.marker(quiet).ts, 0), "silence is no matter of the wall clock"
    ahead = rig.report("ahead")
    assert (ahead.own.clock, ahead.own.ts) == ("SYNCED", ahead.own.device_ts)
    assert near(ahead.bare.received_ts, TEN_YEARS_MS)

    quiet = rig.fall_silent("before-behind")
    rig.set(-DAY_MS)
    behind = rig.report("behind")
    assert (behind.own.clock, behind.own.ts) == ("CLAMPED", behind.own.received_ts)
    assert near(behind.own.ts, -DAY_MS)
    assert near(behind.bare.ts, -DAY_MS)
    assert near(rig.marker(quiet).ts, 0)

    seqs = [r.gateway_seq for came in (began, right, ahead, behind) for r in came]
    assert seqs == sorted(set(seqs))
    assert rig.gateway.metric("tidegate_mqtt_connects_total") == 1
    assert rig.gateway.metric("tidegate_gateway_clock_steps_total") == 3
    assert rig.edge.follower.dead == []


def test_a_start_with_a_clock_not_set_and_years_ahead_claims_no_years_of_silence(edge: Any) -> None:
    """How long a device was silent before is known by the wall clock alone."""
    rig = Rig(edge, WallClock(edge.folder, 0, synced=True))
    quiet = rig.fall_silent("before-start")
    rig.gateway.end()
    rig.clock.set(TEN_YEARS_MS, synced=False)
    rig.clock.boot(rig.gateway)
    marker = rig.marker(quiet)
    assert marker.clock == "UNSYNCED"
    assert rig.named("before-start")[0].ts + QUIET_MS <= marker.ts <= now_ms()
