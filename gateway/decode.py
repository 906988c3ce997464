"""From a spooled message to readings.

Decoding sits behind the spool, so that neither a bad message nor a fault in here can hold up an
acknowledgement or cost a byte.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from gateway.invalid import Invalid
from gateway.message import INTERNAL, RETAINED, UNSYNCED, Message, Stored
from gateway.payloads import Sample, beyond
from gateway.routes import Route, Router, Target
from schemas.records import Clock, DeadLetter, Reading

FUTURE_MS = 60_000
"""How far a device's time may be ahead of the gateway's before it is not believed."""

# A record that a fault in this package, or a library's, could not take; anything that is not one
# of these is no matter of data, and ends the process.
_FAULTS = (ValueError, TypeError, LookupError, ArithmeticError, RecursionError, AttributeError)


class Limits(NamedTuple):
    """What a message may at most be: payload bytes, and the size of a value."""

    max_payload: int
    max_magnitude: float


class MarkerBody(msgspec.Struct, frozen=True, array_like=True):
    """A marker as spooled: how far a device's clock has come. ``ts`` is event time, ms."""

    device_id: str
    site: str
    own_clock: bool
    ts: int


_ONLY = [(0, 0)]
_marker_body = msgspec.json.Decoder(MarkerBody).decode


class Decoder:
    """Turns spooled messages into readings for one configuration."""

    def __init__(self, gateway_id: str, routes: Sequence[Route], limits: Limits) -> None:
        self._gateway_id = gateway_id
        self._router = Router(routes)
        self._limits = limits

    def readings(self, stored: Stored, *, replayed: bool) -> list[Reading]:
        """Return the readings of a message, in their order inside it.

        Args:
            stored: the message with its sequence number.
            replayed: whether it waited in the spool for longer than live traffic does.

        Raises:
            Invalid: it can never become a reading.
        """
        try:
            if stored.message.flags & INTERNAL:
                return [self._marker(stored, replayed)]
            return self._decoded(stored, replayed)
        except _FAULTS as error:
            raise Invalid("UNDECODABLE", f"{type(error).__name__}: {error}"[:200]) from error

    def _decoded(self, stored: Stored, replayed: bool) -> list[Reading]:
        seq, _, message = stored
        if len(message.payload) > self._limits.max_payload:
            raise Invalid("TOO_LARGE", f"{len(message.payload)} bytes of payload")
        target = self._router.target(message.topic)
        samples = target.parse(message.payload, seq)
        return [
            self._reading(stored, target, sample, place, replayed)
            for sample, place in zip(samples, _places(samples), strict=True)
        ]

    def _reading(
        self,
        stored: Stored,
        target: Target,
        sample: Sample,
        place: tuple[int, int],
        replayed: bool,
    ) -> Reading:
        seq, epoch, message = stored
        value, device_ts = sample.value, sample.ts
        most = self._limits.max_magnitude
        if not -most <= value <= most:
            raise beyond(sample.metric, value, most)
        if device_ts is None and message.flags & RETAINED:
            raise Invalid("RETAINED", "a stored copy without a time: nobody knows how old it is")
        ts, clock = event_time(device_ts, message)
        return Reading(
            target.device_id,
            target.metric or sample.metric,
            target.site,
            "READING",
            sample.unit if sample.unit is not None else target.unit,
            self._gateway_id,
            epoch,
            value,
            ts,
            device_ts,
            sample.boot,
            sample.seq,
            sample.quality,
            seq,
            *place,
            message.received_ts,
            clock,
            replayed,
        )

    def _marker(self, stored: Stored, replayed: bool) -> Reading:
        body = _marker_body(stored.message.payload)
        return Reading(
            device_id=body.device_id,
            metric="",
            site=body.site,
            kind="MARKER",
            unit=None,
            gateway_id=self._gateway_id,
            gateway_epoch=stored.epoch,
            value=0.0,
            ts=body.ts,
            device_ts=body.ts if body.own_clock else None,
            device_boot=None,
            device_seq=None,
            quality="GOOD",
            gateway_seq=stored.seq,
            part=0,
            repeat=0,
            received_ts=stored.message.received_ts,
            clock=_state(stored.message),
            replayed=replayed,
        )


def _places(samples: Sequence[Sample]) -> list[tuple[int, int]]:
    """Return each sample's place in its message and how many equal ones precede it there."""
    if len(samples) == 1:
        return _ONLY
    seen: Counter[tuple[object, ...]] = Counter()
    places = []
    for part, s in enumerate(samples):
        key = (s.device, s.metric, s.ts, s.boot, s.seq, s.value)
        places.append((part, seen[key]))
        seen[key] += 1
    return places


def event_time(device_ts: int | None, message: Message) -> tuple[int, Clock]:
    """Return a reading's event time (ms) and what is known of the clock it came from.

    A device's time is kept however old it is: backlogs are legitimate. One from the future is
    replaced by the time of receipt, unless the gateway's own clock is the one in doubt.
    """
    state = _state(message)
    if device_ts is None:
        return message.received_ts, state
    if state == "SYNCED" and device_ts > message.received_ts + FUTURE_MS:
        return message.received_ts, "CLAMPED"
    return device_ts, state


def dead_letter(
    stored: Stored, reason: Invalid, *, at: int, gateway_id: str, config_version: str, room: int
) -> DeadLetter:
    """Return the dead letter of a message, with its original bytes.

    A payload beyond ``room`` bytes would not fit a Kafka message either; its beginning is kept
    and the detail says so.
    """
    message = stored.message
    detail = reason.detail
    if len(message.payload) > room:
        detail = f"{detail}; the first {room} of {len(message.payload)} bytes are kept"
    return DeadLetter(
        origin="GATEWAY",
        reason=reason.reason,
        detail=detail,
        payload=message.payload[:room],
        at=at,
        mqtt_topic=message.topic.decode("utf-8", "backslashreplace"),
        gateway_id=gateway_id,
        gateway_epoch=stored.epoch,
        gateway_seq=stored.seq,
        config_version=config_version,
    )


def _state(message: Message) -> Clock:
    return "UNSYNCED" if message.flags & UNSYNCED else "SYNCED"
