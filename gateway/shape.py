"""What a route makes of its readings before they are sent: units, limits, and fewer of them.

Order: scale and offset, unit, valid range, rate limit, down-sampling, deadband. Markers never come
here.

What is kept of a series in between is in memory, and forgotten whenever the uplink goes back to
its cursor: then the first reading of each series is told, and the bands count from there. So a
crash can change which readings are told, and never leaves one untold that differs from the last by
more than the band.
"""

import math
from collections import Counter
from typing import Literal, NamedTuple

import msgspec

from gateway import units
from gateway.invalid import Invalid
from gateway.pacing import Bucket
from gateway.sampling import Keep, Sampler
from schemas.config import DurationMs
from schemas.records import Reading

_MOST_SERIES = 50_000
_UNCHANGED = "unchanged"
_TOO_MANY = "rate"
_SAMPLED = "sampled"
_LONGEST_INTERVAL_MS = 600_000


class ShapeSection(msgspec.Struct, frozen=True):
    """What ``[routes.shape]`` may say; see samples/gateway.toml."""

    scale: float = 1.0
    offset: float = 0.0
    unit: str = ""
    min: float | None = None
    max: float | None = None
    outside: Literal["bad", "uncertain", "dead-letter"] = "bad"
    deadband: float = 0.0
    deadband_percent: float = 0.0
    heartbeat: DurationMs = DurationMs(600_000)
    rate: float = 0.0
    burst: float = 10.0
    over: Literal["dead-letter", "thin"] = "dead-letter"
    every: DurationMs = DurationMs(0)
    keep: Keep = "mean"


class _Sent(NamedTuple):
    value: float
    ts: int
    quality: str


class Shape:
    """The shaping of one route, with what it remembers of its series."""

    def __init__(self, section: ShapeSection, route: str = "") -> None:
        """Check what is asked for of a route, which is known by its topic.

        Raises:
            ValueError: with what is wrong, for the person who wrote it.
        """
        _check(section)
        self.route = route
        self._s = section
        self._plain = section.scale == 1.0 and section.offset == 0.0
        self._bands = section.deadband > 0 or section.deadband_percent > 0
        self._sent: dict[tuple[str, str], _Sent] = {}
        self._buckets: dict[str, Bucket] = {}
        self._thinned: Counter[tuple[str, str]] = Counter()
        self.sampler = Sampler(route, section.every, section.keep) if section.every else None

    def told(self) -> Counter[tuple[str, str]]:
        """Return how many readings were left out since the last time, by device and reason."""
        told, self._thinned = self._thinned, Counter()
        return told

    def forget(self) -> None:
        """Begin anew, as the uplink does behind its cursor."""
        self._sent.clear()
        self._buckets.clear()

    def measured(self, readings: list[Reading]) -> list[Reading]:
        """Return one message's readings as they count: by unit and range, within the rate.

        Raises:
            Invalid: BAD_UNIT, OUT_OF_RANGE, NOT_FINITE, RATE_LIMITED: the message becomes a dead
                letter.
        """
        # What may refuse the message comes first: a dead letter must not count as told.
        made = [self._converted(reading) for reading in readings]
        return self._within_rate(made) if self._s.rate else made

    def told_of(self, readings: list[Reading]) -> list[Reading]:
        """Return those of readings, measured or down-sampled, that are to be sent."""
        if not self._bands:
            return readings
        kept = []
        for reading in readings:
            if self._worth_telling(reading):
                kept.append(reading)
            else:
                self._thin(reading.device_id, 1, _UNCHANGED)
        return kept

    def _converted(self, reading: Reading) -> Reading:
        """Return the reading in the wanted unit, its quality by the valid range."""
        s, value, unit, quality = self._s, reading.value, reading.unit, reading.quality
        if not self._plain:
            value = value * s.scale + s.offset
        if s.unit and unit != s.unit:
            other = value if unit is None else units.converted(value, unit, s.unit)
            if other is None:
                raise Invalid("BAD_UNIT", f"no way from {unit!r} to {s.unit!r}")
            value, unit = other, s.unit
        if not math.isfinite(value):
            raise Invalid("NOT_FINITE", f"{reading.metric} is {reading.value:g} before its shape")
        if (s.min is not None and value < s.min) or (s.max is not None and value > s.max):
            if s.outside == "dead-letter":
                raise Invalid("OUT_OF_RANGE", f"{reading.metric} is {value:g}: {s.min} to {s.max}")
            quality = "BAD" if s.outside == "bad" or quality == "BAD" else "UNCERTAIN"
        if value == reading.value and unit == reading.unit and quality == reading.quality:
            return reading
        return msgspec.structs.replace(reading, value=value, unit=unit, quality=quality)

    def _within_rate(self, readings: list[Reading]) -> list[Reading]:
        """Take each device's tokens from its bucket, which fills by time of receipt.

        What a device has in a message goes whole while there is a token at all, and then it owes
        the rest.

        Raises:
            Invalid: RATE_LIMITED, where that is the policy.
        """
        counts = Counter(reading.device_id for reading in readings)
        over = {device for device in counts if not self._pays(device, counts[device], readings[0])}
        if over and self._s.over == "dead-letter":
            raise Invalid("RATE_LIMITED", f"more than {self._s.rate:g} readings a second")
        for device in over:
            self._thin(device, counts[device], _TOO_MANY)
        return [reading for reading in readings if reading.device_id not in over]

    def _pays(self, device: str, count: int, like: Reading) -> bool:
        now_s = like.received_ts / 1000
        if len(self._buckets) >= _MOST_SERIES:
            self._buckets.clear()
        known = self._buckets.get(device, Bucket(self._s.burst, now_s))
        bucket = known.filled(now_s, self._s.rate, self._s.burst)
        pays = bucket.tokens >= 1
        left = bucket.tokens - count if pays else bucket.tokens
        self._buckets[device] = bucket._replace(tokens=left)
        return pays

    def _worth_telling(self, reading: Reading) -> bool:
        """Report by exception: a change beyond the band, of quality, or a heartbeat later."""
        series = (reading.device_id, reading.metric)
        last = self._sent.get(series)
        if last is not None and not self._news(reading, last):
            return False
        if len(self._sent) >= _MOST_SERIES:
            self._sent.clear()
        # An older reading, of a backlog, is told and moves nothing.
        if last is None or reading.ts >= last.ts:
            self._sent[series] = _Sent(reading.value, reading.ts, reading.quality)
        return True

    def _news(self, reading: Reading, last: _Sent) -> bool:
        band = max(self._s.deadband, abs(last.value) * self._s.deadband_percent / 100)
        since = reading.ts - last.ts
        return (
            abs(reading.value - last.value) > band
            or reading.quality != last.quality
            or since >= self._s.heartbeat
            or since < 0
        )

    def left_out(self, device: str, count: int) -> None:
        """Count readings that went into a down-sampled one."""
        self._thin(device, count, _SAMPLED)

    def _thin(self, device: str, count: int, reason: str) -> None:
        self._thinned[device if len(self._thinned) < _MOST_SERIES else "", reason] += count


def _check(s: ShapeSection) -> None:
    if s.scale == 0:
        raise ValueError("shape.scale is 0: every value would be the same")
    if s.min is not None and s.max is not None and s.min >= s.max:
        raise ValueError("shape.min must be below shape.max")
    if s.unit and not units.known(s.unit):
        raise ValueError(f"shape.unit {s.unit!r} is none that can be converted to")
    if s.deadband < 0 or s.deadband_percent < 0 or s.rate < 0:
        raise ValueError("shape: deadband, deadband_percent and rate are 0 or more")
    if s.rate and s.burst < 1:
        raise ValueError("shape.burst must be 1 or more")
    if s.every and not 1000 <= s.every <= _LONGEST_INTERVAL_MS:
        raise ValueError("shape.every is 1s to 10m, or 0s")
    if s.heartbeat < 1000:
        raise ValueError("shape.heartbeat must be 1s or more")
