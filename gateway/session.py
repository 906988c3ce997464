"""One producer's life: batches from the spool to Kafka until something makes it start again."""

import time
from collections.abc import Callable
from typing import Any

from gateway.blob import lane_of
from gateway.decode import Buried, Origin, Sender, dead_letter
from gateway.delivery import InFlight, Outcome, Rejected, Window
from gateway.invalid import Invalid
from gateway.kafka import POISONOUS, Link, Recoverable
from gateway.markers import Heard, due, moment, rows, waited_ms
from gateway.message import Batch, Stored
from gateway.pacing import LOOKUP_S, Allowance
from gateway.packets import Packet, packets_of, properties
from gateway.parts import Parts
from gateway.resend import Resend
from gateway.sampling import Result, Sampling
from gateway.spool_file import Told
from gateway.wire import Wire
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
        self._heard = Heard()
        self._shapes = {shape.route: shape for shape in parts.decoder.shapes}
        self._sampling = Sampling(parts.told, self._send_results)
        for shape in parts.decoder.shapes:
            shape.forget()  # What was told may not have arrived.
        self._discard_at = self._tick_at = self._probe_at = 0.0
        self._discard_upto: dict[int, int] = {}
        self._told: set[Told] = set()
        self._backlog = Allowance(parts.backlog_rate)
        self.has_delivered = False

    def run(self) -> None:
        """Serve until stopped, then wait a few seconds for the reports that are due.

        Raises:
            Recoverable: the session is over; another may follow.
        """
        while not self._stopping():
            self._turn()
        until = time.monotonic() + _LAST_REPORTS_S
        # What is held back for an interval that is not over is read again by who comes next.
        while (self._link.queued or self._resend.busy) and time.monotonic() < until:
            self._link.poll(0.05)
            self._step()
        self._discard(now_s=float("inf"))

    def _turn(self) -> None:
        if self._resend.busy or self._outcome.rejected or self._has_enough():
            self._link.poll(0.01)
        else:
            # With reports outstanding the wait is short: they are served between batches. It could
            # be shorter still, but nothing waits for them: rows are discarded every 0.1 s.
            wait_s = 0.02 if len(self._window) else 0.2
            batch = self._p.feed.take(wait_s, urgent=self._backlog.spent(time.monotonic()))
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
        return self._link.queued > _MOST_IN_FLIGHT or self._outcome.bytes > _MOST_BYTES

    def _send(self, batch: Batch) -> None:
        item = InFlight(batch, self._outcome)
        records: list[tuple[bytes, bytes]] = []
        for stored in batch.chunks:
            self._encode(item, stored, records)
        # Only now, and all at once: spread over the time it takes to encode them, records would
        # leave in small requests, each of which costs the client's threads and the broker's.
        produce, topic, report = self._link.produce, self._p.topics.readings, item.report
        for key, value in records:
            if not produce(topic, key, value, report):
                self._outcome.rejected.append(Rejected(item, topic, key, value))
        # Reports may have come meanwhile; nobody asks before the batch is complete.
        item.sent(len(records))
        self._window.add(item)

    def _encode(self, item: InFlight, stored: Stored, records: list[tuple[bytes, bytes]]) -> None:
        """Add the keys and values of a chunk's readings; bury what can be none."""
        now = moment()
        stored = self._p.right(stored)
        waited = waited_ms(stored, self._p.identity.epoch, now)
        origin = Origin.of(stored, replayed=waited > REPLAYED_MS)
        if origin.replayed:
            self._backlog.spend(stored.chunk.messages)
        decode, encode = self._p.decoder.readings, self._wire.reading
        shapes = self._shapes and not origin.internal
        # Of markers the gateway heard nothing.
        note = self._heard.note if not origin.internal else _nothing
        mono = now.mono - waited
        told: list[bytes] = []
        for seq, packet in enumerate(packets_of(stored.chunk), stored.seq):
            try:
                readings = decode(origin, seq, packet)
                kept = self._shaped(item, seq, packet, readings) if shapes else readings
                records += [(r.device_id.encode(), encode(r)) for r in kept]
            except Invalid as reason:
                told = told or properties(stored.chunk)
                self._bury(item, origin, Buried(seq, packet, told[seq - stored.seq]), reason)
                continue
            note(readings, mono)

    def _shaped(
        self, item: InFlight, seq: int, packet: Packet, readings: list[Reading]
    ) -> list[Reading]:
        """Return what a message's route leaves of its readings to be sent now."""
        shape = self._p.decoder.shape(packet[1])
        if shape is None:
            return readings
        measured = shape.measured(readings)
        if shape.sampler is None:
            return shape.told_of(measured)
        self._sampling.add(shape.sampler, item, seq, measured)
        return []

    def _send_results(self, route: str, item: InFlight, results: list[Result]) -> None:
        """Send down-sampled readings, which are to arrive before a batch is discarded."""
        shape = self._shapes[route]
        for reading, of in results:
            shape.left_out(reading.device_id, of - 1)
        for reading in shape.told_of([result.reading for result in results]):
            key, value = reading.device_id.encode(), self._wire.reading(reading)
            self._produce(item, self._p.topics.readings, key, value)

    def _produce(self, item: InFlight, topic: str, key: bytes, value: bytes) -> None:
        item.open += 1
        if not self._link.produce(topic, key, value, item.report):
            self._outcome.rejected.append(Rejected(item, topic, key, value))

    def _bury(
        self, item: InFlight, origin: Origin, buried: Buried, reason: Invalid, room: int = _ROOM
    ) -> None:
        identity = self._p.identity
        by = Sender(identity.gateway_id, identity.config_version)
        letter = dead_letter(origin, buried, reason, at=moment().ts, by=by, room=room)
        self._p.tally.dead[reason.reason] += 1
        key = identity.gateway_id.encode()
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
            self._discard_upto[lane_of(item.row_id)] = item.row_id
            self._told.update(item.told)
            self._p.tally.delivered += item.messages
            if item.first is not None and item.first.epoch == self._p.identity.epoch:
                self._p.tally.on_delay((now_mono - item.first.chunk.received_mono) / 1000)

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
        stored = item.stored(seq) or item.first
        assert stored is not None, "a batch of nothing has no record that could be refused"
        at = seq - stored.seq
        if item.chunks:
            buried = Buried(seq, packets_of(stored.chunk)[at], properties(stored.chunk)[at])
        else:
            # A down-sampled reading, whose messages are let go: what was sent is what there is.
            buried = Buried(seq, (0, b"", rejected.value))
        # How long it waited matters to readings alone.
        self._bury(item, Origin.of(stored, replayed=False), buried, reason, _SMALL_ROOM)

    def _discard(self, now_s: float) -> None:
        if self._discard_upto and now_s >= self._discard_at:
            self._discard_at = now_s + _DISCARD_EVERY_S
            now = moment()
            for shape in self._p.decoder.shapes:
                self._p.tally.left_out(shape.told())
            self._heard.tell(self._p.quiet)
            devices = rows(self._p.quiet.unsaved(now.mono, _MOST_ROWS), now.ts)
            told, self._told = self._told, set()
            self._p.told.update({(one.lane, one.route): one.seq for one in sorted(told)})
            self._p.feed.discard(list(self._discard_upto.values()), devices, sorted(told))
            self._discard_upto.clear()

    def _tick(self, now_s: float) -> None:
        tally = self._p.tally
        tally.beat_s = now_s + LOOKUP_S
        if not tally.reachable and now_s >= self._probe_at:
            self._link.probe(self._p.topics.readings)
            self._probe_at = time.monotonic() + _PROBE_EVERY_S
        self._p.binding.check(self._wire)
        tally.beat_s = time.monotonic()
        if self._p.feed.drained():
            self._sampling.look(moment().ts)
            if not len(self._window):
                self._on_well()
            self._heard.tell(self._p.quiet)
            found = due(self._p.quiet, moment(), _MOST_MARKERS, synced=self._p.synced())
            if found:
                tally.markers += sum(chunk.messages for chunk in found)
                self._p.feed.append_own(found)


def _nothing(*_args: object) -> None:
    return None
