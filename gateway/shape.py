"""What a route makes of its readings before they are sent: units, limits, and fewer of them.

Order: scale and offset, unit, valid range, rate limit, deadband. Markers never come here.

What is kept of a series in between is in memory, and forgotten whenever the uplink goes back to
its cursor: then the first reading of each series is told, and the bands count from there. So a
crash can change which readings are told, and never leaves one untold that differs from the last by
more than the band.
"""

from collections import Counter
from typing import Literal, NamedTuple

import msgspec

from gateway import units
from gateway.invalid import Invalid
from gateway.pacing import Bucket
from schemas.config import DurationMs
from schemas.records import Reading

_MOST_SERIES = 50_000
_UNCHANGED = "unchanged"
_TOO_MANY = "rate"


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


class _Sent(NamedTuple):
    value: float
    ts: int
    quality: str


class Shape:
    """The shaping of one route, with what it remembers of its series."""

    def __init__(self, section: ShapeSection) -> None:
        """Check what is asked for.

        Raises:
            ValueError: with what is wrong, for the person who wrote it.
        """
        _check(section)
        self._s = section
        self._plain = section.scale == 1.0 and section.offset == 0.0
        self._bands = section.deadband > 0 or section.deadband_percent > 0
        self._sent: dict[tuple[str, str], _Sent] = {}
        self._buckets: dict[str, Bucket] = {}
        self._thinned: Counter[tuple[str, str]] = Counter()

    def told(self) -> Counter[tuple[str, str]]:
        """Return how many readings were left out since the last time, by device and reason."""
        told, self._thinned = self._thinned, Counter()
        return told

    def forget(self) -> None:
        """Begin anew, as the uplink does behind its cursor."""
        self._sent.clear()
        self._buckets.clear()

    def shaped(self, readings: list[Reading]) -> list[Reading]:
        """Return what is left of one message's readings.

        Raises:
            Invalid: BAD_UNIT, OUT_OF_RANGE, RATE_LIMITED: the message becomes a dead letter.
        """
        # What may refuse the message comes first: a dead letter must not count as told.
        made = [self._measured(reading) for reading in readings]
        if self._s.rate and not self._within_rate(made):
            self._thin(made, _TOO_MANY)
            return []
        if not self._bands:
            return made
        kept = [reading for reading in made if self._worth_telling(reading)]
        if len(kept) < len(made):
            self._thin(made[: len(made) - len(kept)], _UNCHANGED)
        return kept

    def _measured(self, reading: Reading) -> Reading:
        """Return the reading in the wanted unit, its quality by the valid range."""
        s, value, unit, quality = self._s, reading.value, reading.unit, reading.quality
        if not self._plain:
            value = value * s.scale + s.offset
        if s.unit and unit != s.unit:
            other = value if unit is None else units.converted(value, unit, s.unit)
            if other is None:
                raise Invalid("BAD_UNIT", f"no way from {unit!r} to {s.unit!r}")
            value, unit = other, s.unit
        if (s.min is not None and value < s.min) or (s.max is not None and value > s.max):
            if s.outside == "dead-letter":
                raise Invalid("OUT_OF_RANGE", f"{reading.metric} is {value:g}: {s.min} to {s.max}")
            quality = "BAD" if s.outside == "bad" or quality == "BAD" else "UNCERTAIN"
        if value == reading.value and unit == reading.unit and quality == reading.quality:
            return reading
        return msgspec.structs.replace(reading, value=value, unit=unit, quality=quality)

    def _within_rate(self, readings: list[Reading]) -> bool:
        """Take a message's tokens from its device's bucket, which fills by time of receipt.

        A message is taken whole while there is a token at all, and then owes the rest.

        Raises:
            Invalid: RATE_LIMITED, where that is the policy.
        """
        s, reading = self._s, readings[0]
        now_s = reading.received_ts / 1000
        if len(self._buckets) >= _MOST_SERIES:
            self._buckets.clear()
        known = self._buckets.get(reading.device_id, Bucket(s.burst, now_s))
        bucket = known.filled(now_s, s.rate, s.burst)
        within = bucket.tokens >= 1
        left = bucket.tokens - len(readings) if within else bucket.tokens
        self._buckets[reading.device_id] = bucket._replace(tokens=left)
        if not within and s.over == "dead-letter":
            raise Invalid("RATE_LIMITED", f"more than {s.rate:g} readings a second")
        return within

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

    def _thin(self, readings: list[Reading], reason: str) -> None:
        device = readings[0].device_id if len(self._thinned) < _MOST_SERIES else ""
        self._thinned[device, reason] += len(readings)


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
    if s.heartbeat < 1000:
        raise ValueError("shape.heartbeat must be 1s or more")
