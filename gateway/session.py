"""One producer's life: batches from the spool to Kafka until something makes it start again."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from gateway.decode import Decoder, dead_letter
from gateway.delivery import InFlight, Outcome, Rejected, Window
from gateway.invalid import Invalid
from gateway.kafka import POISONOUS, Link, Recoverable
from gateway.markers import Moment, due, hear, rows, waited_ms
from gateway.message import Message, Stored
from gateway.quiet import QuietDevices
from gateway.resend import Resend
from gateway.spool import Batch, DeviceRow
from gateway.wire import Binding, Topics, Wire
from schemas.codec import decode
from schemas.records import DeadLetter, Reading

REPLAYED_MS = 30_000
"""A message that waited longer than this in the spool counts as replayed backlog."""
# A dead letter with a payload beyond this would not fit a Kafka message of the default 1 MB.
_ROOM = 900_000
_SMALL_ROOM = 65_536
_MOST_IN_FLIGHT = 10_000
_MOST_BYTES = 8 << 20
_DISCARD_EVERY_S = 0.1
_TICK_S = 0.5
_PROBE_EVERY_S = 5.0
_MOST_MARKERS = 500
_MOST_ROWS = 10_000
_LAST_REPORTS_S = 8.0


class Feed(Protocol):
    """The spool, as the uplink uses it."""

    def opened(self) -> list[DeviceRow]:
        """Wait until it is open; return the devices it remembers."""

    def take(self, wait_s: float) -> Batch | None:
        """Return the next batch in order."""

    def drained(self) -> bool:
        """Return whether everything was taken."""

    def discard(self, upto: int, devices: Sequence[DeviceRow] = ()) -> None:
        """Forget up to and with a row."""

    def rewind(self) -> None:
        """Start again behind what was discarded."""

    def append_own(self, messages: list[Message]) -> None:
        """Spool own messages behind everything that waits."""


class Identity(NamedTuple):
    """What goes into every record from this process; ``epoch`` is random per start."""

    gateway_id: str
    epoch: int
    config_version: str


class Tally:
    """What the uplink counts, over all its sessions; read by other threads."""

    def __init__(self) -> None:
        self.delivered = 0
        self.markers = 0
        self.rewinds = 0
        self.dead: Counter[str] = Counter()
        self.reachable = False
        self.bound = False
        self.beat_s = time.monotonic()
        self.on_delay: Callable[[float], None] = _nothing


class Parts(NamedTuple):
    """What sessions share."""

    feed: Feed
    binding: Binding
    topics: Topics
    identity: Identity
    decoder: Decoder
    quiet: QuietDevices
    synced: Callable[[], bool]
    tally: Tally


class Session:
    """Sends until stopped or until something recoverable happens."""

    def __init__(
        self,
        parts: Parts,
        wire: Wire,
        link: Link,
        stopping: Callable[[], bool],
        on_well: Callable[[], None],
    ) -> None:
        self._p = parts
        self._on_well = on_well
        self._wire = wire
        self._link = link
        self._stopping = stopping
        self._outcome = Outcome(POISONOUS)
        self._window = Window()
        self._resend = Resend()
        self._refused: list[Rejected] = []
        self._out = 0
        self._discard_at = self._tick_at = self._probe_at = 0.0
        self._discard_upto = 0
        self.has_delivered = False

    def run(self) -> None:
        """Serve until stopped, then wait a few seconds for the reports that are due.

        Raises:
            Recoverable: the session is over; another may follow.
        """
        while not self._stopping():
            self._turn()
        until = time.monotonic() + _LAST_REPORTS_S
        while len(self._window) and time.monotonic() < until:
            self._link.poll(0.05)
            self._step()
        self._discard(now_s=float("inf"))

    def _turn(self) -> None:
        if self._resend.busy or self._outcome.rejected or self._has_enough():
            self._link.poll(0.01)
        else:
            # With reports outstanding the wait is short: they are served between batches.
            batch = self._p.feed.take(0.005 if len(self._window) else 0.2)
            if batch is not None:
                self._send(batch)
        self._link.poll(0)
        self._step()
        now_s = time.monotonic()
        self._discard(now_s)
        if now_s >= self._tick_at:
            self._tick_at = now_s + _TICK_S
            self._tick(now_s)

    def _has_enough(self) -> bool:
        return self._link.queued > _MOST_IN_FLIGHT or self._window.bytes > _MOST_BYTES

    def _send(self, batch: Batch) -> None:
        item = InFlight(batch, self._outcome)
        own_epoch = self._p.identity.epoch
        now = moment()
        for stored in batch.records:
            waited = waited_ms(stored, own_epoch, now)
            try:
                readings = self._p.decoder.readings(stored, replayed=waited > REPLAYED_MS)
                values = [(reading, self._wire.reading(reading)) for reading in readings]
            except Invalid as reason:
                self._bury(item, stored, reason, _ROOM)
                continue
            for reading, value in values:
                self._produce(item, self._p.topics.readings, reading.device_id.encode(), value)
            hear(self._p.quiet, readings, now.mono - waited)
        item.complete = True
        self._window.add(item)

    def _produce(self, item: InFlight, topic: str, key: bytes, value: bytes) -> None:
        item.open += 1
        if not self._link.produce(topic, key, value, item.report):
            self._outcome.rejected.append(Rejected(item, topic, key, value))

    def _bury(self, item: InFlight, stored: Stored, reason: Invalid, room: int) -> None:
        letter = dead_letter(
            stored,
            reason,
            at=moment().ts,
            gateway_id=self._p.identity.gateway_id,
            config_version=self._p.identity.config_version,
            room=room,
        )
        self._p.tally.dead[reason.reason] += 1
        key = self._p.identity.gateway_id.encode()
        self._produce(item, self._p.topics.dead_letters, key, self._wire.dead_letter(letter))

    def _step(self) -> None:
        """Act on what the delivery reports left.

        Raises:
            Recoverable: a delivery failed for a reason that is not the record's.
        """
        failure = self._outcome.failure
        if failure is not None:
            raise Recoverable(failure.cause)
        self._step_resend()
        now_mono = moment().mono
        for item in self._window.delivered():
            if not self.has_delivered:
                self.has_delivered = True
                self._on_well()
            self._discard_upto = item.row_id
            self._p.tally.delivered += len(item.records)
            if item.records and item.records[0].epoch == self._p.identity.epoch:
                received = item.records[0].message.received_mono
                self._p.tally.on_delay((now_mono - received) / 1000)

    def _step_resend(self) -> None:
        if self._out:
            return
        if self._resend.sending:
            self._resend.settle(self._refused, self._condemn)
            self._refused = []
        # All that is on its way must come back first: its batches may be refused as well.
        if self._outcome.rejected and self._link.queued == 0:
            self._resend.add(self._outcome.rejected)
            self._outcome.rejected = []
        if self._resend.busy and self._link.queued == 0:
            for rejected in self._resend.next_group():
                self._again(rejected)

    def _again(self, rejected: Rejected) -> None:
        def report(error: Any, message: Any) -> None:
            self._out -= 1
            if error is None:
                rejected.item.open -= 1
            elif error.code() in POISONOUS:
                self._refused.append(rejected)
            else:
                self._outcome.failed(rejected.item, error, message)

        self._out += 1
        if not self._link.produce(rejected.topic, rejected.key, rejected.value, report):
            self._out -= 1
            self._refused.append(rejected)

    def _condemn(self, rejected: Rejected) -> None:
        """Write the dead letter of a record that Kafka refuses even alone."""
        item = rejected.item
        if rejected.topic == self._p.topics.dead_letters:
            letter = decode(DeadLetter, rejected.value)
            if len(letter.payload) <= _SMALL_ROOM:
                raise Recoverable("Kafka refuses even a small dead letter")
            seq, reason = letter.gateway_seq or 0, Invalid("TOO_LARGE", letter.detail)
        else:
            seq = decode(Reading, rejected.value).gateway_seq
            reason = Invalid("REJECTED_BY_KAFKA", f"{len(rejected.value)} bytes, refused alone")
        # The refused record's place is taken by its dead letter.
        item.open -= 1
        self._bury(item, item.stored(seq), reason, _SMALL_ROOM)

    def _discard(self, now_s: float) -> None:
        if self._discard_upto and now_s >= self._discard_at:
            self._discard_at = now_s + _DISCARD_EVERY_S
            now = moment()
            devices = rows(self._p.quiet.unsaved(now.mono, _MOST_ROWS), now.ts)
            self._p.feed.discard(self._discard_upto, devices)
            self._discard_upto = 0

    def _tick(self, now_s: float) -> None:
        tally = self._p.tally
        tally.beat_s = now_s
        if not tally.reachable and now_s >= self._probe_at:
            self._link.probe(self._p.topics.readings)
            self._probe_at = time.monotonic() + _PROBE_EVERY_S
        self._p.binding.check(self._wire)
        if self._p.feed.drained():
            if not len(self._window):
                self._on_well()
            found = due(self._p.quiet, moment(), _MOST_MARKERS, synced=self._p.synced())
            if found:
                tally.markers += len(found)
                self._p.feed.append_own(found)


def moment() -> Moment:
    """Return now."""
    return Moment(time.time_ns() // 1_000_000, time.monotonic_ns() // 1_000_000)


def _nothing(_seconds: float) -> None:
    return None
