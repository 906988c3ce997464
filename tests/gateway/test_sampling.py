"""Down-sampling: one reading an interval, and nothing lost or told twice for a crash in between."""

import json
import threading
from collections import defaultdict
from pathlib import Path
from typing import Any

import edge_fakes
import pytest
from edge_fakes import FakeLink, chunk
from edge_rig import wait_for
from edge_session import NoCheck, Rig, settle
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.decode import Decoder, Limits
from gateway.message import Arrivals
from gateway.parts import Identity, Parts, Tally
from gateway.quiet import Policy, QuietDevices
from gateway.routes import Route, compile_route
from gateway.session import Session
from gateway.shape import Shape, ShapeSection
from gateway.spool import Spool
from gateway.wire import Topics, Wire
from schemas.codec import decode
from schemas.config import DurationMs
from schemas.records import Reading

EVERY = 10_000
START = 1_700_000_000_000


def route(**words: Any) -> Route:
    section = ShapeSection(**{"every": DurationMs(EVERY), **words})
    topic = "{site}/{device}/{metric}"
    return compile_route(topic, "json")._replace(shape=Shape(section, topic))


class Plant:
    """A real spool, and uplinks one after the other; the clock is what messages say."""

    def __init__(self, folder: Path, made: Route) -> None:
        self._folder = folder
        self._route = made
        self.delivered: list[Reading] = []
        self.told: dict[tuple[int, str], int] = {}
        self.start()

    def start(self) -> None:
        self.spooling = edge_fakes.spooling(
            lambda: Spool(self._folder / "spool.db", 64 << 20, 9), lambda _done: None
        )
        self._thread = threading.Thread(target=self.spooling.run, daemon=True)
        self._thread.start()
        self.begin()

    def begin(self) -> None:
        """Go on with another uplink, behind the cursor, as after a restart."""
        remembered = self.spooling.opened()
        self.link = FakeLink()
        self.parts = Parts(
            self.spooling,
            NoCheck(),  # type: ignore[arg-type]
            Topics("r", "d"),
            Identity("gw", 7, "v"),
            Decoder("gw", [self._route], Limits(1000, 1e300)),
            QuietDevices(Policy(120_000, 10**9, 100)),
            lambda: True,
            Tally(),
            {(one.lane, one.route): one.seq for one in remembered.told},
        )
        self.session = Session(self.parts, Wire(1, 2), self.link, lambda: False, lambda: None)  # type: ignore[arg-type]
        # By the real clock all of these intervals are over.
        self.session._sampling.look = lambda _now: None  # type: ignore[method-assign]
        self.spooling.rewind()

    def put(self, at_ms: int, *messages: tuple[str, float]) -> None:
        """Spool a commit of messages that came at a time, of devices and their values."""
        chunks = [
            chunk(
                json.dumps({"value": value, "ts": START + at_ms, "seq": at_ms}).encode(),
                topic=f"s/{device}/x".encode(),
                ts=START + at_ms,
            )
            for device, value in messages
        ]
        self.spooling.offer(Arrivals(1, [], chunks))
        self.spooling.ask(lambda spool: spool.messages)

    def turns(self) -> None:
        self.spooling.ask(lambda spool: spool.messages)
        for _ in range(1000):
            if self.spooling.drained() and not self.link.queued:
                break
            self.session._turn()
        self.session._discard(float("inf"))
        self.spooling.ask(lambda spool: spool.messages)
        sent = [decode(Reading, s.value) for s in self.link.delivered if s.topic == "r"]
        self.delivered += [r for r in sent if r.kind == "READING"]
        self.link.delivered.clear()

    def crash(self) -> None:
        """Lose all that is in memory."""
        self.stop()
        self.start()

    def stop(self) -> None:
        self.spooling.stop()
        self._thread.join(10)

    @property
    def rows(self) -> int:
        return self.spooling.ask(lambda spool: len(spool.read(spool.places[0].cursor, 1 << 30)))


@pytest.mark.parametrize(
    ("keep", "value", "ts"), [("mean", 2.5, 3), ("min", 1.0, 2), ("max", 4.0, 1), ("last", 2.0, 3)]
)
def test_one_reading_an_interval_is_sent_once_the_next_begins(
    tmp_path: Path, keep: str, value: float, ts: int
) -> None:
    plant = Plant(tmp_path, route(keep=keep))
    for at, number in enumerate((3.0, 4.0, 1.0, 2.0)):
        plant.put(at, ("d", number))
    plant.turns()
    assert plant.delivered == []
    assert plant.rows == 4, "what an open interval is made of stays in the spool"
    plant.put(EVERY, ("d", 100.0))
    plant.turns()
    (told,) = plant.delivered
    assert (told.value, told.ts, told.device_seq) == (value, START + ts, ts)
    assert plant.rows == 1
    assert plant.parts.tally.thinned["s.d", "sampled"] == 3
    plant.stop()


def test_an_interval_ends_by_the_clock_when_nothing_more_comes() -> None:
    rig = Rig(routes=[route()])
    rig.put(1, [json.dumps({"value": v, "ts": START + i}).encode() for i, v in enumerate((1, 3))])
    rig.turns(5)
    assert rig.readings == []
    rig.feed.batches.clear()
    rig.session._sampling.look(START * 2)
    settle(rig, 1)
    assert [r.value for r in rig.readings] == [2.0]
    assert [(told.route, told.seq) for told in rig.feed.told] == [
        ("{site}/{device}/{metric}", 4096 + 2)
    ]


def test_an_upload_of_a_backlog_gives_as_many_as_being_online_would_have(tmp_path: Path) -> None:
    plant = Plant(tmp_path, route())
    hour = [
        json.dumps({"value": second, "ts": START - 3_600_000 + second * 1000, "seq": second})
        for second in range(3600)
    ]
    one = chunk(*[body.encode() for body in hour], topic=b"s/d/x", ts=START)
    plant.spooling.offer(Arrivals(1, [], [one]))
    plant.put(EVERY, ("other", 1.0))
    plant.turns()
    assert len(plant.delivered) == 360
    assert [r.value for r in plant.delivered[:2]] == [4.5, 14.5]
    plant.stop()


def test_readings_of_better_quality_count_alone(tmp_path: Path) -> None:
    plant = Plant(tmp_path, route(max=10.0))
    plant.put(1, ("d", 500.0))
    plant.put(2, ("d", 4.0))
    plant.put(3, ("d", 600.0))
    plant.put(4, ("d", 5.0), ("bad", 700.0))
    plant.put(EVERY, ("d", 1.0))
    plant.turns()
    assert [(r.device_id, r.value, r.quality) for r in plant.delivered] == [
        ("s.d", 4.5, "GOOD"),
        ("s.bad", 700.0, "BAD"),
    ]
    plant.stop()


def test_a_deadband_is_held_against_what_is_told(tmp_path: Path) -> None:
    plant = Plant(tmp_path, route(deadband=1.0))
    for number in range(4):
        plant.put(number * EVERY, ("d", 10.0 + number % 2 * 0.5))
    plant.put(4 * EVERY, ("d", 50.0))
    plant.put(5 * EVERY, ("d", 0.0))
    plant.turns()
    assert [r.value for r in plant.delivered] == [10.0, 50.0]
    plant.stop()


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.integers(0, 6000), st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4)
        ),
        st.sampled_from(["crash", "go", "rewind"]),
    ),
    min_size=3,
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_no_crash_changes_what_is_told(tmp_path_factory: Any, steps: list[Any]) -> None:
    """Undisturbed, each interval of each device is one mean; disturbed it is the same, or twice."""
    plant = Plant(tmp_path_factory.mktemp("plant"), route())
    now, sums = 0, defaultdict(list)
    try:
        for number, step in enumerate(steps):
            if step == "crash":
                plant.crash()
            elif step == "go":
                plant.turns()
            elif step == "rewind":
                plant.begin()
            else:
                now += step[0]
                devices = list(dict.fromkeys(step[1]))
                plant.put(now, *((device, float(number)) for device in devices))
                for device in devices:
                    sums[f"s.{device}", now // EVERY].append((now, float(number)))
        plant.put(now + 2 * EVERY, ("end", 0.0))
        plant.turns()
    finally:
        plant.stop()
    told: dict[tuple[str, int], set[tuple[int, float]]] = defaultdict(set)
    for r in plant.delivered:
        told[r.device_id, (r.ts - START) // EVERY].add((r.ts - START, round(r.value, 9)))
    assert told == {
        key: {(values[-1][0], round(sum(v for _, v in values) / len(values), 9))}
        for key, values in sums.items()
    }


def test_what_was_told_before_a_crash_is_not_told_again_by_half(tmp_path: Path) -> None:
    """A row that is of two intervals is read again, and the first of them is over."""
    plant = Plant(tmp_path, route())
    plant.put(1, ("d", 1.0))
    chunks = [
        chunk(json.dumps({"value": v, "ts": START + at, "seq": at}).encode(), topic=b"s/d/x",
              ts=START + at)
        for at, v in ((2, 3.0), (EVERY + 1, 50.0))
    ]  # fmt: skip
    plant.spooling.offer(Arrivals(1, [], chunks))
    plant.turns()
    assert [r.value for r in plant.delivered] == [2.0]
    assert plant.rows == 1
    plant.crash()
    plant.put(2 * EVERY, ("d", 0.0))
    plant.turns()
    assert [r.value for r in plant.delivered] == [2.0, 50.0]
    wait_for("one row", lambda: plant.rows == 1, 5)
    plant.stop()
