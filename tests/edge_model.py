"""A gateway in one thread, among an MQTT broker and a Kafka that are models, for tests of any order.

The parts are the real ones: the network loop, redelivery, the spool's work on a real database, and
the uplink's sessions. What a test does to them is a step, and nothing happens between steps.
"""

from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import edge_fakes
from edge_fakes import FakeLink
from edge_session import NoCheck

from gateway.decode import Decoder, Limits
from gateway.kafka import Recoverable
from gateway.message import Arrivals, Batch, Chunk, Done
from gateway.net import Net
from gateway.packets import DUP, PUBLISH
from gateway.parts import Identity, Parts, Tally
from gateway.quiet import Policy, QuietDevices
from gateway.routes import compile_route
from gateway.session import Session
from gateway.spool import Spool, SpoolFull
from gateway.wire import Topics, Wire
from schemas.codec import decode
from schemas.records import Reading

WINDOW = 8
AUTHORISATION = 29
_QUOTA = 64 << 20
_NOW = 1_700_000_000_000


class Sent(NamedTuple):
    """A message that a device published: which one, and how many it had published before."""

    device: str
    number: int

    def packet(self, mid: int, *, dup: bool) -> bytes:
        topic = f"s/{self.device}/x".encode()
        body = len(topic).to_bytes(2, "big") + topic + mid.to_bytes(2, "big")
        body += b'{"value":%d,"seq":%d}' % (self.number, self.number)
        return bytes((PUBLISH | 2 | (DUP if dup else 0), len(body))) + body


class Broker:
    """Keeps what is not acknowledged, in order; a window of it is on the way."""

    gathers = False

    def __init__(self) -> None:
        self.queue: list[Sent] = []
        self.window: dict[int, Sent] = {}
        self.acked: set[Sent] = set()
        self.deaf = False
        """Whether acknowledgements are lost on their way."""
        self.jump_ms = 0
        self.epoch = 0
        self.resumes: int | None = None
        self._again: list[int] = []
        self._mid = 0

    def reconnect(self, *, session: bool) -> None:
        """Begin another connection; without its session the broker has forgotten what it sent."""
        self.resumes = self.epoch if session else None
        self.epoch += 1
        self.deaf = False
        if not session:
            self.window.clear()
            self._mid = 0
        self._again = list(self.window)

    def take(self, _wait_s: float, *, synced: bool, reading: bool) -> Arrivals | None:
        if not reading:
            return None
        mids, packets = [], b""
        for mid in self._again:
            mids.append(mid)
            packets += self.window[mid].packet(mid, dup=True)
        self._again = []
        while self.queue and len(self.window) < WINDOW:
            self._mid = self._mid % 20 + 1
            if self._mid in self.window:
                break
            self.window[self._mid] = self.queue.pop(0)
            mids.append(self._mid)
            packets += self.window[self._mid].packet(self._mid, dup=False)
        if not mids:
            return None
        at = _NOW + self.jump_ms
        return Arrivals(self.epoch, mids, [Chunk(packets, len(mids), at, 1, 0)])

    def ack(self, epoch: int, mids: list[int]) -> bool:
        if epoch != self.epoch:
            return False
        for mid in mids:
            # As a broker does: the id says which message, whoever meant what by it.
            if mid in self.window:
                self.acked.add(self.window[mid])
                if not self.deaf:
                    del self.window[mid]
        return True

    def wake(self) -> None:
        pass

    def restart(self) -> None:
        self.reconnect(session=True)

    def close(self) -> None:
        pass


class Partitions(FakeLink):
    """A producer whose records go by their keys; a partition may be slow to answer."""

    def __init__(self) -> None:
        super().__init__()
        self.stuck: set[bytes] = set()

    def poll(self, wait_s: float) -> None:
        its = [sent for sent in self.queue if sent.key not in self.stuck]
        waiting = [sent for sent in self.queue if sent.key in self.stuck]
        self.queue = its
        super().poll(wait_s)
        self.queue += waiting


class FillingSpool(Spool):
    """A spool that has no room while it is told so."""

    full = False

    def append(self, *chunks: Any) -> list[Batch]:
        if self.full:
            raise SpoolFull("told so")
        return super().append(*chunks)


class Feed:
    """The spool as an uplink in the same thread uses it: what it waits for is done at once."""

    def __init__(self, plant: "Plant") -> None:
        self._plant = plant

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plant.spooling, name)

    def take(self, _wait_s: float, *, urgent: bool = False) -> Batch | None:
        return self._plant.spooling.take(0.0, urgent=urgent)

    def rewind(self) -> None:
        self._plant.spooling._mail.rewind = True
        self._plant.spool_turn()


class Plant:
    """Devices, a broker, a gateway on a folder, and a Kafka."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.broker = Broker()
        self.kafka: list[Reading] = []
        self.dead = 0
        self.kafka_down = False
        self.stuck: set[bytes] = set()
        self.refusing = False
        self._epoch = 0
        self._counts: dict[str, int] = defaultdict(int)
        self.start()

    # What a test does.

    def publish(self, device: str, count: int) -> None:
        for _ in range(count):
            self.broker.queue.append(Sent(device, self._counts[device]))
            self._counts[device] += 1

    def net_turn(self) -> None:
        self.net._turn(0.0)

    def spool_turn(self) -> None:
        self.spooling._level_at_s = 0.0
        self.spooling.turn(self.spool, 0.0)

    def uplink_turn(self, *, discard: bool) -> None:
        """Take a turn of the uplink; what is recoverable is recovered from, as the thread does."""
        self.link.holding = self.kafka_down
        self.link.stuck = self.stuck
        try:
            self.session._turn()
            if discard:
                self.session._discard(float("inf"))
        except Recoverable:
            self._take_delivered()
            self.begin()
        self._take_delivered()

    def flow(self) -> None:
        """Let all threads work for a while."""
        for _ in range(3):
            self.net_turn()
            self.spool_turn()
            self.uplink_turn(discard=True)

    def crash(self) -> None:
        """End the process as kill -9 does; what Kafka has by then it has."""
        self._take_delivered()
        self.spool.close()
        self.start()
        self.broker.reconnect(session=True)

    def start(self) -> None:
        self._epoch += 1
        full = getattr(self, "spool", None) is not None and self.spool.full
        path, epoch = self._folder / "spool.db", self._epoch

        def on_done(done: Done) -> None:
            self.net.on_done(done)

        self.spooling = edge_fakes.spooling(lambda: FillingSpool(path, _QUOTA, epoch), on_done)
        self.net = Net(self.broker, self.spooling, lambda: True)
        self.spool: FillingSpool = self.spooling.begin()  # type: ignore[assignment]
        self.spool.full = full
        self.begin()

    def begin(self) -> None:
        """Start an uplink behind the cursor."""
        self.link = Partitions()
        self.link.judge = lambda _batch: AUTHORISATION if self.refusing else None
        parts = Parts(
            Feed(self),  # type: ignore[arg-type]
            NoCheck(),  # type: ignore[arg-type]
            Topics("r", "d"),
            Identity("gw", self._epoch, "v"),
            Decoder("gw", [compile_route("{site}/{device}/{metric}", "json")], Limits(1000, 1e9)),
            QuietDevices(Policy(10**9, 10**12, 100)),
            lambda: True,
            Tally(),
            {},
        )
        self.session = Session(parts, Wire(1, 2), self.link, lambda: False, lambda: None)  # type: ignore[arg-type]
        parts.feed.rewind()

    def settle(self) -> None:
        """Let everything work until nothing waits anywhere."""
        self.kafka_down = self.refusing = self.spool.full = self.broker.deaf = False
        self.stuck = set()
        self.broker.reconnect(session=True)
        for _ in range(2000):
            if not (self.broker.queue or self.broker.window or self.spool.messages):
                return
            self.net_turn()
            self.spool_turn()
            self.uplink_turn(discard=True)
        raise AssertionError("it does not come to rest")

    # What must hold.

    def spooled(self) -> set[Sent]:
        """Return what is on the disk."""
        batches = self.spool.read(self.spool.places[0].cursor, 1 << 30)
        packets = edge_fakes.opened(c for b in batches for c in b.chunks)
        return {sent_of(topic, body) for _, topic, body in packets if topic.startswith(b"s/")}

    def check(self) -> None:
        """I3: what was acknowledged is in Kafka or in the spool, at every instant."""
        arrived = {Sent(r.device_id[2:], int(r.value)) for r in self.kafka}
        lost = self.broker.acked - arrived - self.spooled()
        assert not lost, f"acknowledged and nowhere: {sorted(lost)}"

    def check_kafka(self) -> None:
        """I5, I6, I7: order of first appearance, and one identity for one message."""
        identities: dict[tuple[int, int], tuple[str, float]] = {}
        first: dict[str, list[int]] = defaultdict(list)
        for r in self.kafka:
            known = identities.setdefault((r.gateway_epoch, r.gateway_seq), (r.device_id, r.value))
            assert known == (r.device_id, r.value), f"{known} and {r} have one identity"
            if int(r.value) not in first[r.device_id]:
                first[r.device_id].append(int(r.value))
        seqs: dict[int, int] = {}
        for epoch, seq in identities:
            assert seqs.setdefault(seq, epoch) == epoch, f"number {seq} was given twice"
        for device, numbers in first.items():
            assert numbers == sorted(numbers), f"{device} arrived as {numbers}"

    def _take_delivered(self) -> None:
        for sent in self.link.delivered:
            if sent.topic != "r":
                self.dead += 1
            elif (reading := decode(Reading, sent.value)).kind == "READING":
                self.kafka.append(reading)
        self.link.delivered.clear()


def sent_of(topic: bytes, payload: bytes) -> Sent:
    number = int(payload.split(b":")[1].split(b",")[0])
    return Sent(topic.split(b"/")[1].decode(), number)
