"""The gateway's own clock: whether it can be trusted, and what its steps look like from outside.

Times of receipt are the wall clock's, with one exception: a step back of at most a second, as time
daemons make them on a clock they keep, is not shown. The times stand still until the clock has
caught up, so readings of a device stay in order. A larger step back means that the clock was
wrong before, or is now; which of the two nobody here can know, so the times follow it at once,
and the step is logged and counted.
"""

import ctypes
import time
from collections.abc import Callable
from pathlib import Path

# Where time daemons keep their state. With none of them the kernel's flag says nothing: in a
# virtual machine or container the host keeps the time.
_DAEMONS = ("/run/systemd/timesync", "/run/chrony", "/run/ntpd.pid", "/run/ntpsec", "/run/openntpd")
_SYNCHRONISED = "/run/systemd/timesync/synchronized"
_TIME_ERROR = 5
_TIMEX_BYTES = 512
_HIDDEN_STEP_MS = 1000


class SystemClock:
    """Says whether the clock is synchronised; asks the kernel every few seconds at most."""

    def __init__(
        self,
        *,
        now: Callable[[], float] = time.monotonic,
        ask: Callable[[], bool] | None = None,
        every_s: float = 5.0,
    ) -> None:
        self._now = now
        self._ask = ask or clock_is_synced
        self._every_s = every_s
        self._asked_at = float("-inf")
        self._synced = True

    def synced(self) -> bool:
        """Return the state as of at most a few seconds ago."""
        now = self._now()
        if now - self._asked_at >= self._every_s:
            self._asked_at, self._synced = now, self._ask()
        return self._synced


class Steady:
    """Wall clock times that do not show small steps back; for one thread."""

    def __init__(self) -> None:
        self._last_ms = 0

    def shown(self, wall_ms: int) -> int:
        """Return the time to stamp with when the wall clock says this (ms)."""
        if 0 < self._last_ms - wall_ms <= _HIDDEN_STEP_MS:
            return self._last_ms
        self._last_ms = wall_ms
        return wall_ms


class Steps:
    """Notices that the wall clock was set while the process runs."""

    def __init__(self) -> None:
        self._offset_ms: int | None = None
        self.count = 0

    def look(self, wall_ms: int, mono_ms: int) -> int:
        """Return by how much the clock was set since the last look, 0 for less than a second."""
        offset = wall_ms - mono_ms
        step = 0 if self._offset_ms is None else offset - self._offset_ms
        if abs(step) <= _HIDDEN_STEP_MS and self._offset_ms is not None:
            return 0
        self._offset_ms = offset
        self.count += step != 0
        return step


def clock_is_synced() -> bool:
    """Return False when a time daemon is there to set the clock and has not done so yet."""
    if not any(Path(folder).exists() for folder in _DAEMONS) or Path(_SYNCHRONISED).exists():
        return True
    # adjtimex(2) with modes = 0 reads and changes nothing; TIME_ERROR is "not synchronised".
    state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return bool(state != _TIME_ERROR)
