"""Ending another thread's ``select``."""

import os

_DRAIN_BYTES = 4096


class Wake:
    """A pipe: waking writes to it, waiting reads from it."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def fileno(self) -> int:
        """Return what ``select`` waits on."""
        return self._read

    def set(self) -> None:
        """End the present or the next wait; for any thread."""
        try:
            os.write(self._write, b"\0")
        except BlockingIOError:
            return  # It is full of wake-ups already.

    def clear(self) -> None:
        """Forget the wake-ups so far, of which there is at least one."""
        while len(os.read(self._read, _DRAIN_BYTES)) == _DRAIN_BYTES:
            continue
