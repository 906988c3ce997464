"""Which devices have gone quiet, and how far their clocks have come since.

Windows downstream close by each device's own time, so a device that dies would keep its last ones
open for ever. The gateway, which hears it, says on its behalf how time goes on: a *marker*, stamped
with the device's last event time plus the monotonic time since.

A device is quiet after three of its usual intervals, at least ``min_quiet``. While it stays quiet
markers repeat, each a quarter of the silence later than the last, so a window closes at most 25 %
late, and after ``limit`` they stop.
"""

import heapq
from collections.abc import Iterable
from typing import NamedTuple

_INTERVALS = 3
_GROWTH = 1.25
# Messages this close together are one report of several metrics.
_SAME_REPORT_MS = 1000
_MOST_RISE = 4
_FALL = 8
# Only so often, since an old state serves as well: time since then is added either way.
_SAVE_EVERY_MS = 60_000
_SAVED_AT_FULL_PACE = 1000

Source = tuple[str, bool]
"""A device id, and whether the times are the device's own or the gateway's."""


class Policy(NamedTuple):
    """When markers come (ms), and how many devices are remembered."""

    min_quiet_ms: int
    limit_ms: int
    max_devices: int


class Quiet(NamedTuple):
    """A marker to be spooled; ``ts`` is event time, ms."""

    device_id: str
    site: str
    own_clock: bool
    ts: int


class Snapshot(NamedTuple):
    """A device as remembered on disk; ``silence_ms`` had passed when this process started."""

    device_id: str
    own_clock: bool
    site: str
    last_ts: int
    silence_ms: int
    interval_ms: int


class _Device:
    __slots__ = ("heard_ms", "interval_ms", "last_ts", "next_ms", "saved_ms", "scheduled", "site")

    def __init__(self, site: str, last_ts: int, heard_ms: int, interval_ms: int) -> None:
        self.site = site
        self.last_ts = last_ts
        self.heard_ms = heard_ms
        self.interval_ms = interval_ms
        self.next_ms = 0
        """Silence at which the next marker is due; 0 while the device is not quiet."""
        self.scheduled = False
        self.saved_ms: int | None = None


class QuietDevices:
    """Learns reporting intervals and says which markers are due; times are monotonic ms."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._devices: dict[Source, _Device] = {}
        self._due: list[tuple[int, Source]] = []
        self._unsaved: list[Source] = []
        self.forgotten = 0

    def __len__(self) -> int:
        return len(self._devices)

    def adopt(self, policy: Policy) -> None:
        """Follow another policy from the next marker on; what was learned stays."""
        self._policy = policy

    def restore(self, devices: Iterable[Snapshot], now_ms: int) -> None:
        """Take over what the last process knew; each device gets a full quiet time from now."""
        for d in devices:
            if len(self._devices) >= self._policy.max_devices:
                return
            source = (d.device_id, d.own_clock)
            device = _Device(d.site, d.last_ts, now_ms - d.silence_ms, d.interval_ms)
            device.saved_ms = now_ms
            # Only a device that stays silent after the start is quiet: it may just reconnect.
            device.next_ms = d.silence_ms + self._threshold(device)
            self._devices[source] = device
            self._schedule(source, device)

    def heard(self, source: Source, site: str, ts: int, received_ms: int) -> None:
        """Note a message of a device.

        Args:
            source: the device and which clock its times come from.
            site: the device's site.
            ts: newest event time in the message, already held against the receive time, ms.
            received_ms: monotonic time of its receipt.
        """
        device = self._devices.get(source)
        if device is None:
            self._add(source, site, ts, received_ms)
            return
        gap = received_ms - device.heard_ms
        if gap >= _SAME_REPORT_MS:
            device.interval_ms = learned(device.interval_ms, gap)
        device.heard_ms = max(device.heard_ms, received_ms)
        device.last_ts = max(device.last_ts, ts)
        device.next_ms = 0
        if not device.scheduled:
            self._schedule(source, device)
        if device.saved_ms is not None and received_ms - device.saved_ms > self._save_every_ms():
            device.saved_ms = None
            self._unsaved.append(source)

    def due(self, now_ms: int, most: int) -> list[Quiet]:
        """Return the markers due by now, at most so many."""
        markers: list[Quiet] = []
        while self._due and self._due[0][0] <= now_ms and len(markers) < most:
            source = heapq.heappop(self._due)[1]
            device = self._devices.get(source)
            if device is None:
                continue
            device.scheduled = False
            silence = now_ms - device.heard_ms
            if silence >= (device.next_ms or self._threshold(device)):
                markers.append(Quiet(source[0], device.site, source[1], device.last_ts + silence))
                if silence >= self._policy.limit_ms:
                    continue
                device.next_ms = min(int(silence * _GROWTH) + 1, self._policy.limit_ms)
            self._schedule(source, device)
        return markers

    def unsaved(self, now_ms: int, most: int) -> list[Snapshot]:
        """Return devices to be remembered on disk: new ones, and those last saved a while ago."""
        taken, self._unsaved = self._unsaved[:most], self._unsaved[most:]
        snapshots = []
        for source in taken:
            device = self._devices.get(source)
            if device is not None:
                device.saved_ms = now_ms
                silence = now_ms - device.heard_ms
                snapshots.append(
                    Snapshot(*source, device.site, device.last_ts, silence, device.interval_ms)
                )
        return snapshots

    def _add(self, source: Source, site: str, ts: int, received_ms: int) -> None:
        if len(self._devices) >= self._policy.max_devices:
            self._forget_longest_silent()
        device = self._devices[source] = _Device(site, ts, received_ms, 0)
        self._schedule(source, device)
        self._unsaved.append(source)

    def _forget_longest_silent(self) -> None:
        """Drop a tenth at once, so that the sort is rare."""
        by_silence = sorted(self._devices, key=lambda s: self._devices[s].heard_ms)
        for source in by_silence[: max(len(by_silence) // 10, 1)]:
            del self._devices[source]
            self.forgotten += 1
        self._due = [entry for entry in self._due if entry[1] in self._devices]
        heapq.heapify(self._due)

    def _save_every_ms(self) -> int:
        """Stretch with the number of devices: at most some 17 rows a second reach the disk."""
        return _SAVE_EVERY_MS * max(1, len(self._devices) // _SAVED_AT_FULL_PACE)

    def _threshold(self, device: _Device) -> int:
        return max(_INTERVALS * device.interval_ms, self._policy.min_quiet_ms)

    def _schedule(self, source: Source, device: _Device) -> None:
        silence = device.next_ms or self._threshold(device)
        heapq.heappush(self._due, (device.heard_ms + silence, source))
        device.scheduled = True


def learned(interval_ms: int, gap_ms: int) -> int:
    """Return the reporting interval after one more gap: the longest of the usual gaps.

    It rises at once, so that a device sending in bursts is known by its pauses, but at most
    fourfold, so that one outage does not count as a habit, and it falls by an eighth of the
    difference.
    """
    if interval_ms == 0:
        return gap_ms
    if gap_ms > interval_ms:
        return min(gap_ms, _MOST_RISE * interval_ms)
    return interval_ms - (interval_ms - gap_ms) // _FALL
