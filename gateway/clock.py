"""Whether the gateway's own clock can be trusted, as the kernel sees it."""

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


def clock_is_synced() -> bool:
    """Return False when a time daemon is there to set the clock and has not done so yet."""
    if not any(Path(folder).exists() for folder in _DAEMONS) or Path(_SYNCHRONISED).exists():
        return True
    # adjtimex(2) with modes = 0 reads and changes nothing; TIME_ERROR is "not synchronised".
    state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return bool(state != _TIME_ERROR)
