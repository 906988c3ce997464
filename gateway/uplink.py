"""The uplink thread: from the spool to Kafka, and only then out of the spool.

read → decode → validate → encode → produce → discard on the contiguous delivered prefix.

What goes wrong is one of four words. *Invalid*: the record becomes a dead letter and the rest goes
on. *Rejected*: the send queue is full, wait. *Recoverable*: back to the cursor with a new producer
after a pause, so that a wrong ACL never empties the spool into dead letters. Anything else ends
the process, and its supervisor starts it again.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from gateway.kafka import Link, Recoverable
from gateway.markers import moment, snapshots
from gateway.pacing import LOOKUP_S, Trouble, backoff_s
from gateway.parts import Parts
from gateway.session import Session

_log = logging.getLogger("tidegate.gateway.uplink")
_MOST_PAUSE_S = 10.0


class Turn(NamedTuple):
    """What to go on with; ``anew`` asks for another producer though its settings are the same."""

    parts: Parts
    kafka: Mapping[str, Any]
    anew: bool = False


class Uplink:
    """Runs sessions until stopped; the producer outlives one that ended well."""

    def __init__(
        self, parts: Parts, kafka: Mapping[str, Any], hold: Callable[[], bool] = lambda: False
    ) -> None:
        """Prepare it.

        Args:
            parts: what its sessions share.
            kafka: the producer's settings.
            hold: asked at the start whether to wait, as for the clock to be set.
        """
        self._parts = parts
        self._kafka = kafka
        self._hold = hold
        self._link: Link | None = None
        self._turns: deque[Turn] = deque()
        self._stop = threading.Event()
        self._trouble = Trouble(_log, "Kafka")
        self._away = Trouble(_log, "Kafka brokers")
        self.tally = parts.tally
        self.serving = False
        """Whether the spool is open."""

    @property
    def cause(self) -> str:
        """Return what keeps it from delivering, empty when nothing is known to."""
        return self._trouble.cause or self._away.cause

    @property
    def devices(self) -> int:
        """Return how many devices it follows."""
        return len(self._parts.quiet)

    def stop(self) -> None:
        """Let the thread wait a few seconds for the reports that are due, and end."""
        self._stop.set()

    def change(self, turn: Turn) -> None:
        """Go on with other parts or another producer, at the end of a batch; for any thread."""
        self._turns.append(turn)

    @property
    def settled(self) -> bool:
        """Return whether it goes on with the last change already."""
        return not self._turns

    def run(self) -> None:
        """Serve until stopped."""
        remembered = self._parts.feed.opened()
        self._parts.told.update({(one.lane, one.route): one.seq for one in remembered.told})
        self.serving = True
        while self._hold() and not self._stop.is_set():
            self._trouble.seen("waiting for the clock to be set")
            self._pause(0.2)
            self._take_over()
        now = moment()
        # By a clock that is not set nobody knows for how long a device was silent before: from the
        # beginning of time on it was not, so no marker claims years that have not passed.
        asked_at = now.ts if self._parts.synced() else 0
        self._parts.quiet.restore(snapshots(remembered.devices, asked_at), now.mono)
        try:
            self._serve()
        finally:
            self._drop()

    def _serve(self) -> None:
        attempt = 0
        while not self._stop.is_set():
            self._take_over()
            delivered, cause = self._session()
            if cause:
                attempt = 0 if delivered else attempt + 1
                self._trouble.seen(cause)
                self._pause(backoff_s(attempt, most_s=_MOST_PAUSE_S))

    def _take_over(self) -> None:
        while self._turns:
            turn = self._turns.popleft()
            if turn.anew or turn.kafka != self._kafka:
                self._drop()
            self._parts, self._kafka = turn.parts, turn.kafka

    def _session(self) -> tuple[bool, str]:
        """Send until stopped or in trouble; return whether it delivered and why it ended."""
        tally = self._parts.tally
        session: Session | None = None
        try:
            tally.beat_s = time.monotonic() + LOOKUP_S
            wire = self._parts.binding.bind()
            tally.beat_s = time.monotonic()
            tally.bound = True
            link = self._link = self._link or Link(self._kafka, self._alive, self._reach)
            self._parts.feed.rewind()
            session = Session(self._parts, wire, link, self._alive, self._trouble.over)
            session.run()
        except Recoverable as error:
            tally.rewinds += 1
            self._drop()
            return session is not None and session.has_delivered, str(error)
        if link.queued:
            # Their reports would come to a session that is over.
            self._drop()
        return True, ""

    def _drop(self) -> None:
        """Give up the producer, if there is one."""
        self._parts.tally.reachable = False
        if self._link is not None:
            self._link.drop()
            self._link = None

    def _alive(self) -> bool:
        self._parts.tally.beat_s = time.monotonic()
        return self._stop.is_set() or bool(self._turns)

    def _reach(self, up: bool, why: str) -> None:
        self._parts.tally.reachable = up
        if up:
            self._away.over()
        elif why:
            self._away.seen(why)

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._alive():
            self._stop.wait(0.2)
