"""Publish messages until each is really taken, and keep the ledger of it.

Taken means a PUBACK with reason code 0. Reason code 16 says that nobody subscribes and that the
broker has dropped the message: it is sent again, and so is one whose connection broke before its
PUBACK. Both may arrive twice; the gateway's readers know equal readings by their keys.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from schemas.failure import Failure, Unavailable
from simulators.flight import Flight, Forbidden, Slot
from simulators.ledger import Ledger, NoLedger
from simulators.link import Broker, Link, LinkDown, parse_url
from simulators.message import Message

_BURST = 500
_BACK_OFF_S = (0.05, 0.1, 0.2, 0.5, 1.0)
_REPORT_S = 0.1
_TURN_S = 0.1
_LAST_WAIT_S = 5.0

Take = Callable[[int], tuple[list[Message], float]]


class Published(NamedTuple):
    """How far publishing has come; messages and readings count once however often sent."""

    messages: int
    """Sent at least once."""
    readings: int
    acked_messages: int
    acked_readings: int
    resent: int
    """Sendings beyond each message's first."""
    last_ts_ms: int
    """Simulated time of the newest message sent."""
    seconds: float
    stopped: bool
    """It was told to stop before the messages ended."""

    @property
    def unacked(self) -> int:
        """Messages sent and not known to be taken."""
        return self.messages - self.acked_messages


class Clock(NamedTuple):
    """Monotonic seconds and how to wait; a test has its own."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


_CLOCK = Clock()


def publish(
    messages: Iterable[Message],
    url: str,
    *,
    speed: float | None = None,
    ledger: Path | None = None,
    on_progress: Callable[[Published], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
    patience_s: float = 120.0,
    clock: Clock = _CLOCK,
) -> Published:
    """Send messages, in their order, and return when all are taken.

    Args:
        messages: in order of sending.
        url: ``mqtt://host:port`` of the broker.
        speed: simulated seconds per second; None = as fast as acknowledged.
        ledger: file for the ledger; replaced if it exists.
        on_progress: called about ten times a second, and at the end.
        stop: asked now and then; once true, nothing new is sent and what is on its way is waited
            for, five seconds at most.
        patience_s: how long nothing may be taken, while something should be, before giving up.
        clock: the wall clock.

    Raises:
        Unavailable: patience ran out; the ledger tells what was taken.
        Failure: the broker forbids a topic or payload for good.
    """
    broker = parse_url(url)
    with Ledger(ledger) if ledger else NoLedger() as book:
        take = paced(iter(messages), speed, clock)
        with closing(_Sending(broker, book, take, clock)) as sending:
            try:
                return sending.run(on_progress or _nobody, stop, patience_s)
            except Forbidden as error:
                raise Failure(str(error)) from error


def paced(messages: Iterator[Message], speed: float | None, clock: Clock) -> Take:
    """Return a function that gives the messages that are due, at most so many.

    Beside them it gives the seconds until the next one is due: 0 when it is due, infinite at the
    end.
    """
    ahead: deque[Message] = deque(islice(messages, 1))
    began = clock.now()
    first_ms = ahead[0].due_ms if ahead else 0

    def due_in(message: Message) -> float:
        if speed is None:
            return 0.0
        return began + (message.due_ms - first_ms) / 1000 / speed - clock.now()

    def take(most: int) -> tuple[list[Message], float]:
        taken: list[Message] = []
        while ahead:
            wait_s = due_in(ahead[0])
            if wait_s > 0 or len(taken) >= most:
                return taken, max(0.0, wait_s)
            taken.append(ahead.popleft())
            ahead.extend(islice(messages, 1))
        return taken, float("inf")

    return take


class _Sending:
    """One run of `publish`: the connection, what is on its way, and the counts."""

    def __init__(self, broker: Broker, book: Ledger | NoLedger, take: Take, clock: Clock) -> None:
        self._broker = broker
        self._book = book
        self._take = take
        self._clock = clock
        self._link: Link | None = None
        self._flight = Flight()
        self._messages = self._readings = self._resent = self._last_ts_ms = 0
        self._acked_messages = self._acked_readings = 0
        self._began = self._progressed = clock.now()
        self._stopping_since: float | None = None

    def run(
        self,
        on_progress: Callable[[Published], None],
        stop: Callable[[], bool],
        patience_s: float,
    ) -> Published:
        """Send everything; see `publish`."""
        reported, wait_s = 0.0, 0.0
        while not self._over(wait_s):
            wait_s = self._turn(wait_s)
            now = self._clock.now()
            if self._stopping_since is None and stop():
                self._stopping_since = now
            if now - reported >= _REPORT_S:
                reported = now
                on_progress(self._so_far())
                self._check_patience(now, patience_s)
        on_progress(self._so_far())
        return self._so_far()

    def close(self) -> None:
        """Close the connection."""
        if self._link is not None:
            self._link.close()

    def _turn(self, wait_s: float) -> float:
        """Send what may go and hear what the broker says; return the seconds until more is due."""
        try:
            link = self._link = self._link or Link(self._broker, self._answered)
            wait_s = self._send(link)
            more = self._flight.room(link.window) and wait_s < _TURN_S
            link.turn(wait_s if more else _TURN_S)
        except LinkDown as down:
            self._link = None
            self._flight.lost(str(down))
            self._back_off()
        if self._flight.settled_refusals():
            self._back_off()
        return wait_s

    def _send(self, link: Link) -> float:
        """Send again or anew what fits; return the seconds until more is due."""
        room = self._flight.room(link.window)
        while room > 0 and (slot := self._flight.next_again()):
            self._fly(link, slot)
            self._resent += 1
            room -= 1
        if self._stopping_since is not None:
            return float("inf")
        new, wait_s = self._take(min(room, _BURST))
        marks = self._book.enter(new) if new else []
        for message, mark in zip(new, marks, strict=True):
            self._fly(link, Slot(self._messages, message, mark))
            self._messages += 1
            self._readings += message.readings
            self._last_ts_ms = message.due_ms
        return wait_s

    def _fly(self, link: Link, slot: Slot) -> None:
        self._flight.flies(link.send(slot.message.topic, slot.message.payload), slot)

    def _answered(self, mid: int, reason: int) -> None:
        slot = self._flight.answered(mid, reason)
        if slot is not None:
            self._book.mark(slot.mark)
            self._acked_messages += 1
            self._acked_readings += slot.message.readings
            self._progressed = self._clock.now()

    def _back_off(self) -> None:
        self._clock.sleep(_BACK_OFF_S[min(self._flight.failures, len(_BACK_OFF_S)) - 1])

    def _over(self, wait_s: float) -> bool:
        if not self._flight:
            return wait_s == float("inf") or self._stopping_since is not None
        since = self._stopping_since
        return since is not None and self._clock.now() - since > _LAST_WAIT_S

    def _check_patience(self, now: float, patience_s: float) -> None:
        if not self._flight and not self._flight.failures:
            self._progressed = now
        if now - self._progressed > patience_s:
            raise Unavailable(
                f"{self._broker.host}:{self._broker.port} took nothing for {patience_s:g} s: "
                f"{self._flight.why}; {self._acked_messages} of {self._messages} messages sent "
                "are taken"
            )

    def _so_far(self) -> Published:
        return Published(
            self._messages,
            self._readings,
            self._acked_messages,
            self._acked_readings,
            self._resent,
            self._last_ts_ms,
            self._clock.now() - self._began,
            self._stopping_since is not None,
        )


def _nobody(_: Published) -> None:
    pass
