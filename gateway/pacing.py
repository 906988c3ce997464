"""Waiting before trying again, and saying why once."""

import logging
import time
from collections.abc import Callable
from random import random
from typing import NamedTuple


def backoff_s(attempt: int, *, first_s: float = 0.5, most_s: float = 30.0) -> float:
    """Return how long to wait before attempt number ``attempt`` (0 is the first repeat).

    Exponential with full jitter, so that a fleet does not come back in step; see "Exponential
    Backoff And Jitter" (M. Brooker, AWS Architecture Blog, 2015).
    """
    return random() * min(most_s, first_s * 2.0 ** min(attempt, 16)) + 0.05


LOOKUP_S = 120.0
"""For how long the look-up of a name, and a connection to it, may hold a thread up.

The resolver tries every server and search domain in turn and cannot be told to hurry, so a thread
about to ask it says so: its ``beat_s``, the time of its last turn, then lies this far ahead."""

GATHER_S = 0.008
"""For how long messages are gathered: half of it is added to the time that a reading takes."""


def gathers(last: int, window: int) -> bool:
    """Return whether to let more messages come before they are read.

    Every turn costs an fsync and wakes four threads, whatever it carries: at 5000 messages a second
    148 µs a message without gathering and a third of that with it. Not when many come anyway, and
    not when a good part of the window is out: a broker that stops at it must not wait for us, too.

    Args:
        last: how many the last turn brought.
        window: how many the broker sends ahead of their acknowledgement, 0 if that is not known.
    """
    return last < window // 4


class Bucket(NamedTuple):
    """A token bucket at a time, s; it may be in debt."""

    tokens: float
    at_s: float

    def filled(self, now_s: float, rate: float, burst: float) -> "Bucket":
        """Return it at a later time, filled at a rate, in tokens a second, up to a burst."""
        tokens = self.tokens + max(now_s - self.at_s, 0.0) * rate
        return Bucket(min(tokens, burst), max(now_s, self.at_s))


class Allowance:
    """How much of a backlog may go: so many messages a second, or all of it."""

    def __init__(self, per_s: int) -> None:
        """Take the rate; 0 sets no bound."""
        self._per_s = per_s
        self._bucket = Bucket(per_s, 0.0)

    def spend(self, messages: int) -> None:
        """Take note of messages that go."""
        self._bucket = self._bucket._replace(tokens=self._bucket.tokens - messages)

    def spent(self, now_s: float) -> bool:
        """Return whether what is left has to wait."""
        if not self._per_s:
            return False
        self._bucket = self._bucket.filled(now_s, self._per_s, self._per_s)
        return self._bucket.tokens <= 0


class Trouble:
    """One kind of trouble: logged when it starts, once a minute with a count, and when it ends."""

    def __init__(
        self,
        log: logging.Logger,
        what: str,
        *,
        now: Callable[[], float] = time.monotonic,
        every_s: float = 60.0,
    ) -> None:
        self._log = log
        self._what = what
        self._now = now
        self._every_s = every_s
        self._cause = ""
        self._count = 0
        self._told_at = 0.0

    @property
    def cause(self) -> str:
        """Return the present cause, empty when there is no trouble."""
        return self._cause

    def about(self, what: str) -> None:
        """Name what it is trouble with anew."""
        self._what = what

    def seen(self, cause: str) -> None:
        """Count one occurrence; log it if the cause is new or was last told a while ago."""
        now = self._now()
        known = cause == self._cause
        self._count = self._count + 1 if known else 1
        if known and now - self._told_at < self._every_s:
            return
        times = f" ({self._count} times)" if known else ""
        self._cause, self._told_at = cause, now
        self._log.warning("%s: %s%s", self._what, cause, times, extra=self._fields())

    def over(self) -> None:
        """Say that it is over, if there was any."""
        if self._cause:
            fields = self._fields()
            self._log.warning("%s: over after %d times", self._what, self._count, extra=fields)
            self._cause, self._count = "", 0

    def _fields(self) -> dict[str, dict[str, str | int]]:
        return {"fields": {"about": self._what, "cause": self._cause, "count": self._count}}
