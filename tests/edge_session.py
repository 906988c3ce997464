"""An uplink session over fakes."""

import json
import time
from collections.abc import Sequence

from edge_fakes import FakeFeed, FakeLink, chunk

from gateway.decode import Decoder, Limits
from gateway.markers import moment
from gateway.message import Batch, Stored
from gateway.parts import Identity, Parts, Tally
from gateway.quiet import Policy, QuietDevices
from gateway.routes import Route, compile_route
from gateway.session import Session
from gateway.wire import Topics, Wire
from schemas.codec import decode
from schemas.records import DeadLetter, Reading

TOPICS = Topics("r", "d")
ROUTES = [
    compile_route("{site}/{device}/{metric}", "json"),
    compile_route("m/{site}/{device}/x", "metrics"),
]
POLICY = Policy(120_000, 10**9, 100)


class NoCheck:
    """Schema ids that hold for ever."""

    def check(self, _wire: Wire) -> None:
        pass


class Rig:
    """A session over fakes."""

    def __init__(self, policy: Policy = POLICY, routes: Sequence[Route] = ROUTES) -> None:
        self.link = FakeLink()
        self.feed = FakeFeed()
        self.tally = Tally()
        self.quiet = QuietDevices(policy)
        self.over = 0
        parts = Parts(
            self.feed,  # type: ignore[arg-type]
            NoCheck(),  # type: ignore[arg-type]
            TOPICS,
            Identity("gw", 7, "v"),
            Decoder("gw", routes, Limits(1000, 1e300)),
            self.quiet,
            lambda: True,
            self.tally,
            {},
        )
        self.session = Session(parts, Wire(1, 2), self.link, lambda: False, self._over)  # type: ignore[arg-type]

    def _over(self) -> None:
        self.over += 1

    def put(
        self,
        row: int,
        payloads: list[bytes],
        topic: bytes = b"s/d/t",
        age_ms: int = 0,
        size: int = 1,
    ) -> None:
        now = moment()
        one = chunk(*payloads, topic=topic, ts=now.ts - age_ms, mono=now.mono - age_ms)
        self.feed.batches.append(Batch(row, size, [Stored(row * 4096, 7, one)], None))

    def turns(self, count: int = 60) -> None:
        for _ in range(count):
            self.session._turn()

    @property
    def readings(self) -> list[Reading]:
        return [decode(Reading, s.value) for s in self.link.delivered if s.topic == "r"]

    @property
    def dead(self) -> list[DeadLetter]:
        return [decode(DeadLetter, s.value) for s in self.link.delivered if s.topic == "d"]


def value(number: int) -> bytes:
    return json.dumps({"value": number, "seq": number}).encode()


def settle(rig: Rig, row: int) -> None:
    until = time.monotonic() + 5
    while rig.feed.discarded[-1:] != [row] and time.monotonic() < until:
        rig.session._turn()
    assert rig.feed.discarded[-1:] == [row]
