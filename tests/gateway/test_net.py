"""The network thread's loop, over a scripted source and spool."""

import threading

from edge_fakes import chunk

from gateway.message import Arrivals, Done
from gateway.net import Net

MB = 1 << 20


class Source:
    """Gives what a test puts in; notes acknowledgements, restarts and the goodbye."""

    def __init__(self) -> None:
        self.epoch = 1
        self.gathers = False
        self.resumes: int | None = None
        self.coming: list[Arrivals] = []
        self.acked: list[tuple[int, list[int]]] = []
        self.restarts = 0
        self.closed = False

    def take(self, wait_s: float, *, synced: bool, reading: bool) -> Arrivals | None:
        return self.coming.pop(0) if self.coming and reading else None

    def ack(self, epoch: int, mids: list[int]) -> bool:
        assert not self.closed
        self.acked.append((epoch, mids))
        return epoch == self.epoch

    def wake(self) -> None:
        pass

    def restart(self) -> None:
        self.restarts += 1
        self.epoch += 1

    def close(self) -> None:
        self.closed = True


class Sink:
    """Takes what is offered; says how much waits."""

    def __init__(self) -> None:
        self.waiting_bytes = 0
        self.offered: list[Arrivals] = []

    def offer(self, arrivals: Arrivals) -> None:
        self.offered.append(arrivals)


def arrivals(epoch: int, *mids: int) -> Arrivals:
    return Arrivals(epoch, list(mids), [chunk(*[b""] * len(mids))])


def make(patience_s: float = 60.0) -> tuple[Source, Sink, Net]:
    source, sink = Source(), Sink()
    return source, sink, Net(source, sink, lambda: True, patience_s)


def test_what_comes_is_offered_and_acknowledged_when_done() -> None:
    source, sink, net = make()
    source.coming = [arrivals(1, 1, 2), arrivals(1, 3)]
    net._turn(0)
    net._turn(0)
    assert source.acked == []
    net.on_done(Done(1, [1, 2]))
    net.on_done(Done(1, [3]))
    net._turn(0)
    assert source.acked == [(1, [1, 2]), (1, [3])]
    assert (net.received, net.acked, len(sink.offered)) == (3, 3, 2)


def test_a_disk_that_is_slow_is_waited_for() -> None:
    source, sink, net = make()
    sink.waiting_bytes = 17 * MB
    source.coming = [arrivals(1, 1), arrivals(1, 2)]
    net._turn(0)
    net._turn(0)
    assert sink.offered == []
    sink.waiting_bytes = 15 * MB
    net._turn(0)
    net._turn(0)
    assert [a.mids for a in sink.offered] == [[1], [2]]
    assert source.restarts == 0


def test_beyond_the_memory_the_rest_of_a_connection_is_let_go_and_asked_for_again() -> None:
    source, sink, net = make(patience_s=0.0)
    sink.waiting_bytes = 17 * MB
    source.coming = [arrivals(1, 1)]
    net._turn(0)
    sink.waiting_bytes = 12 * MB
    source.coming = [arrivals(1, 2)]
    net._turn(0)
    assert (sink.offered, source.restarts) == ([], 0), "order: nothing behind what was let go"
    sink.waiting_bytes = 1 * MB
    net._turn(0)
    assert source.restarts == 1
    source.coming = [arrivals(2, 1), arrivals(2, 2)]
    net._turn(0)
    net._turn(0)
    assert [a.mids for a in sink.offered] == [[1], [2]]
    assert source.restarts == 1


def test_at_the_end_what_is_on_disk_is_acknowledged_before_the_goodbye() -> None:
    source, sink, net = make()
    sink.waiting_bytes = 10
    source.coming = [arrivals(1, 9)]
    net.stop()
    thread = threading.Thread(target=net.run)
    thread.start()
    net.on_done(Done(1, [7]))
    sink.waiting_bytes = 0
    thread.join(5)
    assert (source.acked, source.closed) == ([(1, [7])], True)
    assert sink.offered == [], "what comes after the stop is left for the next start"
