"""Markers of quiet devices, between the decoded stream and the spool.

Decoding sits behind the spool, so it is the uplink that hears the devices; yet a marker must reach
Kafka behind every reading it speaks about. It does, because it is spooled like any message: it
joins the queue behind everything received before it, the uplink sends in spool order, and a
device's records share one partition. A reading that was spooled and not yet decoded when the
marker was made therefore still comes before it, and one that is received later carries a later
device time, as the marker claims no more than the monotonic time that has passed.

Markers are made only while the uplink has taken everything from the spool: with a backlog, silence
may only mean that the readings are still waiting.
"""

import time
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from gateway.decode import FUTURE_MS, MarkerBody
from gateway.message import INTERNAL, UNSYNCED, Chunk, Stored
from gateway.packets import publish
from gateway.quiet import QuietDevices, Snapshot
from gateway.spool_file import DeviceRow
from schemas.records import Reading

MARKER_TOPIC = b"$tidegate/marker"


class Moment(NamedTuple):
    """The same instant on the wall clock and on the monotonic one, ms."""

    ts: int
    mono: int


def moment() -> Moment:
    """Return now."""
    return Moment(time.time_ns() // 1_000_000, time.monotonic_ns() // 1_000_000)


def waited_ms(stored: Stored, own_epoch: int, now: Moment) -> int:
    """Return how long a message has been in the spool.

    The monotonic clock says so for this process's messages, the wall clock for older ones.
    """
    if stored.epoch == own_epoch:
        return now.mono - stored.chunk.received_mono
    return max(now.ts - stored.chunk.received_ts, 0)


class Heard:
    """The newest reading of each source since the last telling: not each message moves a device."""

    def __init__(self) -> None:
        self._own_clock: dict[str, tuple[Reading, int]] = {}
        self._gateway_clock: dict[str, tuple[Reading, int]] = {}

    def note(self, readings: list[Reading], received_mono: int) -> None:
        """Note the readings of one message, which came at that time of the monotonic clock, ms."""
        for r in readings:
            newest = self._gateway_clock if r.device_ts is None else self._own_clock
            known = newest.get(r.device_id)
            if known is None or known[0].ts < r.ts:
                newest[r.device_id] = (r, received_mono)

    def tell(self, quiet: QuietDevices) -> None:
        """Tell which devices were heard, and how far their clocks have come at the most."""
        for newest, own_clock in ((self._own_clock, True), (self._gateway_clock, False)):
            for device_id, (r, received_mono) in newest.items():
                ts = min(r.ts, r.received_ts + FUTURE_MS)
                quiet.heard((device_id, own_clock), r.site, ts, received_mono)
            newest.clear()


def due(quiet: QuietDevices, now: Moment, most: int, *, synced: bool) -> list[Chunk]:
    """Return the markers due by now, at most ``most``, as chunks to be spooled."""
    flags = INTERNAL if synced else INTERNAL | UNSYNCED
    packets = [
        publish(MARKER_TOPIC, msgspec.json.encode(MarkerBody(*marker)))
        for marker in quiet.due(now.mono, most)
    ]
    return [Chunk(b"".join(packets), len(packets), now.ts, now.mono, flags)] if packets else []


def rows(snapshots: Iterable[Snapshot], now_ts: int) -> list[DeviceRow]:
    """Return devices as the spool remembers them: by the wall clock, which outlives a process."""
    return [
        DeviceRow(d.device_id, d.own_clock, d.site, d.last_ts, now_ts - d.silence_ms, d.interval_ms)
        for d in snapshots
    ]


def snapshots(rows: Iterable[DeviceRow], now_ts: int) -> list[Snapshot]:
    """Return remembered devices as seen from now; a clock that was set back is no silence."""
    return [
        Snapshot(
            r.device_id, r.own_clock, r.site, r.last_ts, max(now_ts - r.heard_ts, 0), r.interval_ms
        )
        for r in rows
    ]
