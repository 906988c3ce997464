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
from collections.abc import Mapping
from typing import Any

from gateway.kafka import Link, Recoverable
from gateway.markers import snapshots
from gateway.pacing import Trouble, backoff_s
from gateway.parts import Parts
from gateway.session import Session, moment

_log = logging.getLogger("tidegate.gateway.uplink")
_MOST_PAUSE_S = 10.0


class Uplink:
    """Runs sessions, each one producer's life, until stopped."""

    def __init__(self, parts: Parts, kafka: Mapping[str, Any]) -> None:
        self._parts = parts
        self._kafka = kafka
        self._stop = threading.Event()
        self._trouble = Trouble(_log, "Kafka")
        self._away = Trouble(_log, "Kafka brokers")
        self.tally = parts.tally

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

    def run(self) -> None:
        """Serve until stopped."""
        remembered = self._parts.feed.opened()
        now = moment()
        self._parts.quiet.restore(snapshots(remembered, now.ts), now.mono)
        attempt = 0
        while not self._stop.is_set():
            delivered, cause = self._session()
            if cause:
                attempt = 0 if delivered else attempt + 1
                self._trouble.seen(cause)
                self._pause(backoff_s(attempt, most_s=_MOST_PAUSE_S))

    def _session(self) -> tuple[bool, str]:
        """Run one producer's life; return whether it delivered anything and why it ended."""
        tally = self._parts.tally
        session: Session | None = None
        link: Link | None = None
        try:
            wire = self._parts.binding.bind()
            tally.bound = True
            link = Link(self._kafka, self._alive, self._reach)
            self._parts.feed.rewind()
            session = Session(self._parts, wire, link, self._alive, self._trouble.over)
            session.run()
        except Recoverable as error:
            tally.rewinds += 1
            return session is not None and session.has_delivered, str(error)
        finally:
            tally.reachable = False
            if link is not None:
                link.drop()
        return True, ""

    def _alive(self) -> bool:
        self._parts.tally.beat_s = time.monotonic()
        return self._stop.is_set()

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
