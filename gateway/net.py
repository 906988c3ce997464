"""The network thread: reads messages, hands them to the spool, acknowledges what is on disk."""

import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from gateway.message import Arrivals
from gateway.spooling import Done

# What may wait for the disk in memory; beyond it the socket is left alone.
_MOST_WAITING_BYTES = 16 << 20
_TURN_S = 0.5
_LAST_COMMIT_S = 3.0


class Source(Protocol):
    """The MQTT side, as this thread uses it."""

    def take(self, wait_s: float, *, synced: bool, read: bool = True) -> Arrivals | None:
        """Run one turn; return what came."""

    def ack(self, epoch: int, mids: list[int]) -> None:
        """Acknowledge in this order, unless the connection is another by now."""

    def wake(self) -> None:
        """End the present wait; for any thread."""

    def close(self) -> None:
        """Say goodbye."""


class Sink(Protocol):
    """The spool side, as this thread uses it."""

    @property
    def waiting_bytes(self) -> int:
        """Return how much is not on disk yet."""

    def offer(self, arrivals: Arrivals) -> None:
        """Take messages for the next commit."""


class Net:
    """Moves messages from the source to the sink and acknowledgements back.

    A full spool needs no code here: what is not on disk is not acknowledged, so the broker stops
    at its window, while pings go on.
    """

    def __init__(self, source: Source, sink: Sink, synced: Callable[[], bool]) -> None:
        self._source = source
        self._sink = sink
        self._synced = synced
        self._done: deque[Done] = deque()
        self._stopping = False
        self.received = 0
        self.acked = 0
        self.beat_s = time.monotonic()

    def on_done(self, done: Done) -> None:
        """Queue an acknowledgement; called in the spool thread."""
        self._done.append(done)
        self._source.wake()

    def stop(self) -> None:
        """Let the thread acknowledge what reaches the disk, say goodbye and end."""
        self._stopping = True
        self._source.wake()

    def run(self) -> None:
        """Serve until stopped."""
        while not self._stopping:
            self._turn(_TURN_S)
        until = time.monotonic() + _LAST_COMMIT_S
        while self._sink.waiting_bytes and time.monotonic() < until:
            self._turn(0.01, read=False)
        self._acknowledge()
        self._source.close()

    def _turn(self, wait_s: float, *, read: bool = True) -> None:
        read = read and self._sink.waiting_bytes < _MOST_WAITING_BYTES
        arrivals = self._source.take(wait_s, synced=self._synced(), read=read)
        if arrivals is not None:
            self.received += len(arrivals.messages)
            self._sink.offer(arrivals)
        self._acknowledge()
        self.beat_s = time.monotonic()

    def _acknowledge(self) -> None:
        while self._done:
            epoch, mids = self._done.popleft()
            self._source.ack(epoch, mids)
            self.acked += len(mids)
