"""The network thread: reads messages, hands them to the spool, acknowledges what is on disk."""

import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from gateway.message import Arrivals, Done
from gateway.pacing import GATHER_S
from gateway.redelivery import Redelivery

# What may wait for the disk in memory.
_MOST_WAITING_BYTES = 16 << 20
_TURN_S = 0.5
_LAST_COMMIT_S = 3.0
# Much less than a keepalive may be, five seconds.
_PATIENCE_S = 2.0


class Source(Protocol):
    """The MQTT side, as this thread uses it."""

    @property
    def epoch(self) -> int:
        """Return the number of the present connection."""

    @property
    def resumes(self) -> int | None:
        """Return the number of the one whose session it goes on with, if the broker kept it."""

    @property
    def gathers(self) -> bool:
        """Return whether it takes its time."""

    def take(self, wait_s: float, *, synced: bool, reading: bool) -> Arrivals | None:
        """Run one turn; return what came, nothing unless it was to read."""

    def ack(self, epoch: int, mids: list[int]) -> bool:
        """Acknowledge in this order and return True, unless the connection is another by now."""

    def wake(self) -> None:
        """End the present wait; for any thread."""

    def restart(self) -> None:
        """Connect anew."""

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
    at its window, while pings go on. Should the window not fit the memory (large payloads, or a
    mosquitto before 2.1, which sends a resumed session all it has), a disk that is only slow is
    waited for, and TCP holds the rest back. Reading cannot rest for long, or no answer to a ping
    is seen: then what is beyond the memory is let go, and with it, for the order's sake, the rest
    of the connection's messages; nothing of it was acknowledged, so a new connection brings it
    again.
    """

    def __init__(
        self,
        source: Source,
        sink: Sink,
        synced: Callable[[], bool],
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self._patience_s = patience_s
        self._source = source
        self._sink = sink
        self._synced = synced
        self._done: deque[Done] = deque()
        self._stopping = False
        self._let_go_epoch = -1
        self._had_room_s = time.monotonic()
        self._redelivery = Redelivery()
        self.received = 0
        self.acked = 0
        self.beat_s = time.monotonic()

    @property
    def duplicates(self) -> int:
        """Return how many redeliveries were proven to be on disk already."""
        return self._redelivery.duplicates

    def on_done(self, done: Done) -> None:
        """Queue an acknowledgement; called in the spool thread."""
        self._done.append(done)
        # While messages gather, acknowledgements go out with the next turn, and save one.
        if not self._source.gathers:
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
            self._turn(0.01)
        self._acknowledge()
        self._source.close()

    def _turn(self, wait_s: float) -> None:
        if self._done or self._sink.waiting_bytes:
            wait_s = min(wait_s, GATHER_S)
        arrivals = self._source.take(wait_s, synced=self._synced(), reading=self._reads())
        if arrivals is not None and not self._stopping:
            self._pass_on(arrivals)
        self._acknowledge()
        if self._let_go_epoch == self._source.epoch and self._has_room(0.5):
            self._let_go_epoch = -1
            self._source.restart()
        self.beat_s = time.monotonic()

    def _reads(self) -> bool:
        now_s = time.monotonic()
        if self._has_room(1.0):
            self._had_room_s = now_s
            return True
        return now_s - self._had_room_s >= self._patience_s

    def _pass_on(self, arrivals: Arrivals) -> None:
        self.received += sum(chunk.messages for chunk in arrivals.chunks)
        if self._let_go_epoch == arrivals.epoch or not self._has_room(1.0):
            self._let_go_epoch = arrivals.epoch
            return
        novel = self._redelivery.novel(arrivals, self._source.resumes)
        self._redelivery.offered(novel)
        self._sink.offer(novel)

    def _has_room(self, share: float) -> bool:
        return self._sink.waiting_bytes < share * _MOST_WAITING_BYTES

    def _acknowledge(self) -> None:
        while self._done:
            done = self._done.popleft()
            written = self._source.ack(done.epoch, done.mids)
            self._redelivery.done(done, written=written)
            self.acked += len(done.mids)
