"""The uplink goes over to other parts at the end of a batch, and to another producer if it must."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from edge_fakes import FakeLink, chunk
from edge_session import TOPICS, Rig, value

from gateway import uplink as module
from gateway.decode import Decoder, Limits
from gateway.message import Batch, Stored
from gateway.parts import Parts
from gateway.routes import compile_route
from gateway.spool_file import Remembered
from gateway.uplink import Turn, Uplink
from gateway.wire import Wire


class Feed:
    """Gives rows behind the discarded ones, again after a rewind."""

    def __init__(self) -> None:
        self.rows: list[Batch] = []
        self.next = self.cursor = 0
        self.lock = threading.Lock()

    def put(self, row: int, topic: bytes) -> None:
        stored = Stored(row << 12, 7, chunk(value(row), topic=topic))
        self.rows.append(Batch(row, 100, [stored], None))

    def opened(self) -> Remembered:
        return Remembered([], [])

    def take(self, wait_s: float, *, urgent: bool = False) -> Batch | None:
        if self.next >= len(self.rows):
            time.sleep(min(wait_s, 0.005))
            return None
        self.next += 1
        return self.rows[self.next - 1]

    def drained(self) -> bool:
        return self.next >= len(self.rows)

    def discard(self, upto: list[int], devices: Any = (), told: Any = ()) -> None:
        (self.cursor,) = upto

    def rewind(self) -> None:
        self.next = self.cursor

    def append_own(self, chunks: Any) -> None:
        pass


class Links:
    """Every producer that was made, with its settings."""

    def __init__(self) -> None:
        self.made: list[tuple[dict[str, Any], FakeLink]] = []

    def __call__(self, config: Any, stopping: Any, on_reach: Callable[[bool, str], None]) -> Any:
        link = FakeLink()
        link.drop = lambda: None  # type: ignore[attr-defined]
        self.made.append((dict(config), link))
        on_reach(True, "")
        return link

    def delivered(self) -> list[str]:
        return [sent.topic for _, link in self.made for sent in link.delivered]


class Bound:
    """Schema ids that are always known."""

    def bind(self) -> Wire:
        return Wire(1, 2)

    def check(self, _wire: Wire) -> None:
        pass


@pytest.fixture
def links(monkeypatch: pytest.MonkeyPatch) -> Links:
    made = Links()
    monkeypatch.setattr(module, "Link", made)
    return made


class Running:
    def __init__(self) -> None:
        self.feed = Feed()
        self.parts: Parts = Rig().session._p._replace(feed=self.feed, binding=Bound())  # type: ignore[arg-type]
        self.hold = False
        self.uplink = Uplink(self.parts, {"linger.ms": 1}, lambda: self.hold)
        self.thread = threading.Thread(target=self.uplink.run, daemon=True)

    def until(self, done: Callable[[], Any]) -> None:
        until = time.monotonic() + 10
        while not done():
            assert time.monotonic() < until, "the uplink did not get there"
            time.sleep(0.005)


@pytest.fixture
def running(links: Links) -> Iterator[Running]:
    made = Running()
    yield made
    made.hold = False
    made.uplink.stop()
    made.thread.join(10)
    assert not made.thread.is_alive()


def other(parts: Parts) -> Parts:
    routes = [compile_route("new/{site}/{device}/{metric}", "json")]
    return parts._replace(decoder=Decoder("gw", routes, Limits(1000, 1e300)))


def test_other_routes_hold_from_the_next_batch_on_with_the_same_producer(
    running: Running, links: Links
) -> None:
    running.thread.start()
    running.feed.put(1, b"s/d/t")
    running.feed.put(2, b"new/s/d/t")
    running.until(lambda: running.feed.cursor == 2)
    running.uplink.change(Turn(other(running.parts), {"linger.ms": 1}))
    running.until(lambda: running.uplink.settled)
    running.feed.put(3, b"new/s/d/t")
    running.feed.put(4, b"s/d/t")
    running.until(lambda: running.feed.cursor == 4)
    assert links.delivered() == [TOPICS.readings, TOPICS.dead_letters] * 2
    assert len(links.made) == 1


def test_other_settings_or_replaced_files_get_another_producer(
    running: Running, links: Links
) -> None:
    running.thread.start()
    running.until(lambda: links.made)
    running.uplink.change(Turn(running.parts, {"linger.ms": 2}))
    running.until(lambda: len(links.made) == 2)
    running.uplink.change(Turn(running.parts, {"linger.ms": 2}, anew=True))
    running.until(lambda: len(links.made) == 3)
    running.feed.put(1, b"s/d/t")
    running.until(lambda: running.feed.cursor == 1)
    assert [config["linger.ms"] for config, _ in links.made] == [1, 2, 2]
    assert links.delivered() == [TOPICS.readings]


def test_what_is_on_its_way_when_it_changes_is_sent_again_by_the_next_producer(
    running: Running, links: Links, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.session._LAST_REPORTS_S", 0.1)
    running.thread.start()
    running.until(lambda: links.made)
    links.made[0][1].holding = True
    running.feed.put(1, b"s/d/t")
    running.until(lambda: links.made[0][1].queue)
    running.uplink.change(Turn(running.parts, {"linger.ms": 1}))
    running.until(lambda: running.feed.cursor == 1)
    assert len(links.made) == 2, "its reports would come to a session that is over"
    assert links.delivered() == [TOPICS.readings]


def test_it_waits_for_the_clock_as_long_as_it_is_told_and_goes_on_turning(
    running: Running, links: Links
) -> None:
    running.hold = True
    running.feed.put(1, b"s/d/t")
    running.thread.start()
    running.until(lambda: running.uplink.serving)
    beat = running.uplink.tally.beat_s
    running.until(lambda: running.uplink.tally.beat_s > beat)
    assert links.made == []
    assert "clock" in running.uplink.cause
    running.uplink.change(Turn(running.parts, {"linger.ms": 5}))
    running.until(lambda: running.uplink.settled)
    running.hold = False
    running.until(lambda: running.feed.cursor == 1)
    assert links.made[0][0] == {"linger.ms": 5}
