"""The gateway's threads: the failure of one ends the process, in order where that is possible."""

import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple


class Crash(NamedTuple):
    """An error that no part expected; the process must end and start again."""

    thread: str
    error: BaseException


class Worker:
    """A thread whose failure ends the process: paho would go on with a dead network thread."""

    def __init__(
        self, name: str, work: Callable[[], None], stop: Callable[[], None], end_s: float
    ) -> None:
        """Prepare it.

        Args:
            name: what it is called.
            work: what it does, until stopped.
            stop: how it is told to.
            end_s: how long it may take to.
        """
        self._name = name
        self._work = work
        self._stop = stop
        self._end_s = end_s
        self._thread: threading.Thread | None = None

    def start(self, on_crash: Callable[[Crash], None]) -> None:
        """Start it; ``on_crash`` is called in it when it fails."""

        def guarded() -> None:
            try:
                self._work()
            except Exception as error:  # noqa: BLE001 - the thread's top: nothing above would tell
                on_crash(Crash(self._name, error))

        self._thread = threading.Thread(target=guarded, name=self._name, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop it and wait as long as it may take."""
        self._stop()
        if self._thread is not None:
            self._thread.join(self._end_s)


def end(workers: Sequence[Worker]) -> None:
    """Stop reading, then sending, then the spool, so that each leaves the next nothing undone."""
    for worker in workers:
        worker.end()
