"""The spool thread: acknowledgements after the commit, a feed in order, waiting when full."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from edge_fakes import chunk, opened, spooling
from edge_rig import wait_for

from gateway.message import INTERNAL, Arrivals, Batch, Done
from gateway.spool import Spool, SpoolFull
from gateway.spool_file import DeviceRow, devices

MB = 1 << 20


def arrivals(epoch: int, mids: list[int], size: int = 10) -> Arrivals:
    return Arrivals(epoch, mids, [chunk(*[b"%d" % m + b"." * size for m in mids])])


class Running:
    """A spool thread on a real database."""

    def __init__(self, open_spool: Callable[[], Any]) -> None:
        self.done: list[Done] = []
        self.spooling = spooling(open_spool, self.done.append)
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        self.spooling.opened()

    def _run(self) -> None:
        try:
            self.spooling.run()
        except OSError as error:
            self.error = error

    def take(self, count: int) -> list[Batch]:
        found: list[Batch] = []
        until = time.monotonic() + 10
        while len(opened(c for b in found for c in b.chunks)) < count and time.monotonic() < until:
            batch = self.spooling.take(0.1)
            found += [batch] if batch else []
        return found

    def stop(self) -> None:
        self.spooling.stop()
        self.thread.join(10)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    made: list[Running] = []

    def start(quota: int = 64 * MB, wrap: Callable[[Spool], Any] = lambda s: s) -> Running:
        made.append(Running(lambda: wrap(Spool(tmp_path / "spool.db", quota, 9))))
        return made[-1]

    yield start
    for running in made:
        running.stop()


class Recording:
    """A spool that notes what it was asked, and fails when told to."""

    def __init__(self, spool: Spool, log: list[str]) -> None:
        self._spool = spool
        self._log = log

    def __getattr__(self, name: str) -> Any:
        return getattr(self._spool, name)

    def append(self, *chunks: Any) -> list[Batch]:
        self._log.append("begin")
        rows: list[Batch] = self._spool.append(*chunks)
        self._log.append("committed")
        return rows


def test_nothing_is_acknowledged_before_it_is_on_disk(make: Callable[..., Running]) -> None:
    log: list[str] = []
    running = make(wrap=lambda spool: Recording(spool, log))
    running.spooling._on_done = lambda done: log.append(f"done {done.mids}")
    for i in range(20):
        running.spooling.offer(arrivals(1, [i]))
    wait_for("all done", lambda: log[-1:] == ["done [19]"])
    last = ""
    for entry in log:
        if entry.startswith("done"):
            assert last != "begin", log
        else:
            last = entry
    assert [e for e in log if e.startswith("done")] == [f"done [{i}]" for i in range(20)]


def test_a_failing_disk_ends_the_thread_and_acknowledges_nothing(
    make: Callable[..., Running],
) -> None:
    class Failing(Recording):
        def append(self, *chunks: Any) -> list[Batch]:
            raise OSError(5, "Input/output error")

    running = make(wrap=lambda spool: Failing(spool, []))
    running.spooling.offer(arrivals(1, [1]))
    running.thread.join(10)
    assert isinstance(running.error, OSError)
    assert running.done == []


def test_the_feed_gives_everything_once_and_in_order(make: Callable[..., Running]) -> None:
    running = make()
    for i in range(0, 30_000, 500):
        running.spooling.offer(arrivals(1, list(range(i, i + 500)), size=200))
    found = opened(c for b in running.take(30_000) for c in b.chunks)
    assert [int(payload.split(b".")[0]) for _, _, payload in found] == list(range(30_000))
    seqs = [seq for seq, _, _ in found]
    assert seqs == sorted(set(seqs))
    wait_for("nothing left", running.spooling.drained)


def test_the_feed_holds_little_of_a_large_backlog(make: Callable[..., Running]) -> None:
    running = make()
    for i in range(40):
        running.spooling.offer(arrivals(1, list(range(i * 100, i * 100 + 100)), size=5000))
    wait_for("all on disk", lambda: len(running.done) == 40)
    assert running.spooling._feed._lanes[0].bytes < 4 * MB
    assert not running.spooling.drained()


def test_a_rewind_starts_behind_what_was_discarded(make: Callable[..., Running]) -> None:
    running = make()
    for i in range(10):
        running.spooling.offer(arrivals(1, [i]))
        wait_for("commit", lambda count=i + 1: len(running.done) == count)
    first = running.take(10)
    running.spooling.discard([first[3].row_id])
    running.spooling.rewind()
    assert [b.row_id for b in running.take(6)] == [b.row_id for b in first[4:]]


def test_a_full_spool_stops_acking_and_goes_on_when_space_returns(
    make: Callable[..., Running],
) -> None:
    running = make(quota=1 * MB)
    for i in range(40):
        running.spooling.offer(arrivals(1, [i], size=100_000))
    wait_for("full", lambda: running.spooling.level.full)
    acked = len(running.done)
    assert 5 <= acked < 40
    assert running.spooling.waiting_bytes > 1 * MB
    for batch in running.take(acked):
        running.spooling.discard([batch.row_id])
    began = time.monotonic()
    wait_for("more acknowledged", lambda: len(running.done) > acked)
    assert time.monotonic() - began < 5
    seen = acked
    while seen < 40:
        for batch in running.take(1):
            seen += len(opened(batch.chunks))
            running.spooling.discard([batch.row_id])
    wait_for("all acknowledged", lambda: len(running.done) == 40)
    assert [d.mids for d in running.done] == [[i] for i in range(40)]
    wait_for("not full any more", lambda: not running.spooling.level.full)
    assert running.spooling.waiting_bytes == 0


def test_when_full_only_the_newest_connection_keeps_its_place(make: Callable[..., Running]) -> None:
    class Full(Recording):
        full = True

        def append(self, *chunks: Any) -> list[Batch]:
            if Full.full:
                raise SpoolFull("full")
            rows: list[Batch] = self._spool.append(*chunks)
            return rows

    running = make(wrap=lambda spool: Full(spool, []))
    running.spooling.offer(arrivals(1, [1, 2]))
    wait_for("full", lambda: running.spooling.level.full)
    running.spooling.offer(arrivals(2, [1, 2, 3]))
    wait_for("old ones let go", lambda: {a.epoch for a in running.spooling._pending} == {2})
    Full.full = False
    wait_for("acknowledged", lambda: running.done)
    assert running.done == [Done(2, [1, 2, 3])]


def test_own_messages_follow_what_came_before_them(make: Callable[..., Running]) -> None:
    running = make()
    running.spooling.offer(arrivals(1, [1]))
    running.spooling.append_own([chunk(b"", topic=b"own", flags=INTERNAL)])
    running.spooling.offer(arrivals(1, [2]))
    found = opened(c for b in running.take(3) for c in b.chunks)
    assert [topic for _, topic, _ in found] == [b"t", b"own", b"t"]
    wait_for("acks", lambda: len(running.done) == 2)


def test_devices_are_saved_with_the_discard(make: Callable[..., Running], tmp_path: Path) -> None:
    running = make()
    row = DeviceRow("d", True, "s", 1, 2, 3)
    running.spooling.offer(arrivals(1, [1]))
    (batch,) = running.take(1)
    running.spooling.discard([batch.row_id], [row])
    running.stop()
    spool = Spool(tmp_path / "spool.db", 64 * MB, 1)
    assert (spool.look(lambda db: devices(db, 0)), spool.messages) == ([row], 0)
    spool.close()


def test_stopping_commits_what_was_offered(make: Callable[..., Running]) -> None:
    running = make()
    running.spooling.offer(arrivals(1, [7]))
    running.stop()
    assert running.done == [Done(1, [7])]
