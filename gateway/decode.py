"""From a spooled message to readings.

Decoding sits behind the spool, so that neither a bad message nor a fault in here can hold up an
acknowledgement or cost a byte.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from gateway.gaps import TOPICS, told
from gateway.ids import valid_id
from gateway.invalid import Invalid
from gateway.message import INTERNAL, UNSYNCED, Stored
from gateway.packets import RETAIN, Packet
from gateway.payloads import Sample, beyond
from gateway.routes import Route, Router, Target
from gateway.shape import Shape
from schemas.records import Clock, DeadLetter, Reading

# A dead letter has room for these beside a payload.
_MOST_PROPERTIES = 65_536
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


_marker_body = msgspec.json.Decoder(MarkerBody).decode


class Origin(NamedTuple):
    """What the messages of one chunk share.

    ``received_ts`` in ms, ``clock`` the state of the gateway's clock then. ``internal``: they are
    its own. ``replayed``: they waited in the spool for longer than live traffic does.
    """

    epoch: int
    received_ts: int
    clock: Clock
    internal: bool
    replayed: bool

    @classmethod
    def of(cls, stored: Stored, *, replayed: bool) -> "Origin":
        """Return the origin of a chunk's messages."""
        chunk = stored.chunk
        clock: Clock = "UNSYNCED" if chunk.flags & UNSYNCED else "SYNCED"
        return cls(stored.epoch, chunk.received_ts, clock, bool(chunk.flags & INTERNAL), replayed)


class Decoder:
    """Turns spooled messages into readings for one configuration."""

    def __init__(self, gateway_id: str, routes: Sequence[Route], limits: Limits) -> None:
        self._gateway_id = gateway_id
        self._router = Router(routes)
        self._target = self._router.target
        self._max_payload, self._max_magnitude = limits
        self.shapes = tuple(route.shape for route in routes if route.shape is not None)

    def shape(self, topic: bytes) -> Shape | None:
        """Return what a topic's route makes of its readings, None where it sends all.

        Raises:
            Invalid: there is no route.
        """
        return self._target(topic).shape

    def readings(self, origin: Origin, seq: int, packet: Packet) -> list[Reading]:
        """Return the readings of a message, in their order inside it.

        Args:
            origin: what it shares with its chunk.
            seq: its number.
            packet: what it says.

        Raises:
            Invalid: it can never become a reading.
        """
        try:
            if origin.internal:
                if packet[1] in TOPICS:
                    raise Invalid("GAP", told(packet[1], packet[2]))
                return [self._marker(origin, seq, packet)]
            _, topic, payload = packet
            if len(payload) > self._max_payload:
                raise Invalid("TOO_LARGE", f"{len(payload)} bytes of payload")
            target = self._target(topic)
            samples = target.parse(payload, seq, origin.received_ts)
            if len(samples) == 1:
                return [self._reading(origin, seq, packet, target, samples[0])]
            return [
                self._reading(origin, seq, packet, target, sample, *place)
                for sample, place in zip(samples, _places(samples), strict=True)
            ]
        except _FAULTS as error:
            raise Invalid("UNDECODABLE", f"{type(error).__name__}: {error}"[:200]) from error

    def _reading(
        self,
        origin: Origin,
        seq: int,
        packet: Packet,
        target: Target,
        sample: Sample,
        part: int = 0,
        repeat: int = 0,
    ) -> Reading:
        epoch, received_ts, state, _, replayed = origin
        device_id, site, metric, _, unit, _ = target
        value, ts = sample.value, sample.ts
        if not -self._max_magnitude <= value <= self._max_magnitude:
            raise beyond(sample.metric, value, self._max_magnitude)
        if ts is None and packet[0] & RETAIN:
            raise Invalid("RETAINED", "a stored copy without a time: nobody knows how old it is")
        if ts is not None and ts <= received_ts:
            event_ts, clock = ts, state
        else:
            event_ts, clock = event_time(ts, received_ts, state)
        return Reading(
            device_id or _device_id(site, sample),
            metric or sample.metric,
            site,
            "READING",
            unit if sample.unit is None else sample.unit,
            self._gateway_id,
            epoch,
            value,
            event_ts,
            ts,
            sample.boot,
            sample.seq,
            sample.quality,
            seq,
            part,
            repeat,
            received_ts,
            clock,
            replayed,
        )

    def _marker(self, origin: Origin, seq: int, packet: Packet) -> Reading:
        body = _marker_body(packet[2])
        return Reading(
            device_id=body.device_id,
            metric="",
            site=body.site,
            kind="MARKER",
            unit=None,
            gateway_id=self._gateway_id,
            gateway_epoch=origin.epoch,
            value=0.0,
            ts=body.ts,
            device_ts=body.ts if body.own_clock else None,
            device_boot=None,
            device_seq=None,
            quality="GOOD",
            gateway_seq=seq,
            part=0,
            repeat=0,
            received_ts=origin.received_ts,
            clock=origin.clock,
            replayed=origin.replayed,
        )


def _device_id(site: str, sample: Sample) -> str:
    if not sample.device:
        raise Invalid("MISSING", "neither the topic nor the payload names the device")
    return f"{site}.{valid_id('device', sample.device)}"


def _places(samples: Sequence[Sample]) -> list[tuple[int, int]]:
    """Return each sample's place in its message and how many equal ones precede it there."""
    seen: Counter[tuple[object, ...]] = Counter()
    places = []
    for part, s in enumerate(samples):
        key = (s.device, s.metric, s.ts, s.boot, s.seq, s.value)
        places.append((part, seen[key]))
        seen[key] += 1
    return places


def event_time(device_ts: int | None, received_ts: int, state: Clock) -> tuple[int, Clock]:
    """Return a reading's event time (ms) and what is known of the clock it came from.

    A device's time is kept however old it is: backlogs are legitimate. One from the future is
    replaced by the time of receipt, unless the gateway's own clock is the one in doubt.
    """
    if device_ts is None:
        return received_ts, state
    if device_ts > received_ts + FUTURE_MS and state == "SYNCED":
        return received_ts, "CLAMPED"
    return device_ts, state


class Buried(NamedTuple):
    """A message that becomes a dead letter: its number, the packet, and MQTT 5's properties."""

    seq: int
    packet: Packet
    properties: bytes = b""


class Sender(NamedTuple):
    """Who writes a dead letter, and under which configuration."""

    gateway_id: str
    config_version: str


def dead_letter(
    origin: Origin, buried: Buried, reason: Invalid, *, at: int, by: Sender, room: int
) -> DeadLetter:
    """Return the dead letter of a message, with its original bytes.

    A payload beyond ``room`` bytes would not fit a Kafka message either; its beginning is kept
    and the detail says so.
    """
    _, topic, payload = buried.packet
    detail = reason.detail
    if len(payload) > room:
        detail = f"{detail}; the first {room} of {len(payload)} bytes are kept"
    return DeadLetter(
        origin="GATEWAY",
        reason=reason.reason,
        detail=detail,
        payload=payload[:room],
        at=at,
        mqtt_topic=topic.decode("utf-8", "backslashreplace"),
        gateway_id=by.gateway_id,
        gateway_epoch=origin.epoch,
        gateway_seq=buried.seq,
        config_version=by.config_version,
        mqtt_properties=buried.properties[:_MOST_PROPERTIES] or None,
    )
