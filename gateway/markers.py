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

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from gateway.decode import FUTURE_MS, MarkerBody
from gateway.message import INTERNAL, UNSYNCED, Message, Stored
from gateway.quiet import QuietDevices, Snapshot
from gateway.spool import DeviceRow
from schemas.records import Reading

MARKER_TOPIC = b"$tidegate/marker"


class Moment(NamedTuple):
    """The same instant on the wall clock and on the monotonic one, ms."""

    ts: int
    mono: int


def waited_ms(stored: Stored, own_epoch: int, now: Moment) -> int:
    """Return how long a message has been in the spool.

    The monotonic clock says so for this process's messages, the wall clock for older ones.
    """
    if stored.epoch == own_epoch:
        return now.mono - stored.message.received_mono
    return max(now.ts - stored.message.received_ts, 0)


def hear(quiet: QuietDevices, readings: list[Reading], received_mono: int) -> None:
    """Note the readings of one message, which are of one device and one clock."""
    first = readings[0]
    if first.kind == "MARKER":
        return
    ts = min(first.ts, first.received_ts + FUTURE_MS)
    source = (first.device_id, first.device_ts is not None)
    quiet.heard(source, first.site, ts, received_mono)


def due(quiet: QuietDevices, now: Moment, most: int, *, synced: bool) -> list[Message]:
    """Return the markers due by now as messages to be spooled."""
    flags = INTERNAL if synced else INTERNAL | UNSYNCED
    return [
        Message(MARKER_TOPIC, msgspec.json.encode(MarkerBody(*marker)), now.ts, now.mono, flags)
        for marker in quiet.due(now.mono, most)
    ]


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
