"""What the other threads leave for the spool's thread."""

import sqlite3
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from typing import Any, Generic, TypeVar

from gateway.message import Arrivals
from gateway.spool import Spool, SpoolCorrupt, SpoolFull
from gateway.spool_file import DeviceRow, Told
from schemas.failure import Unavailable

T = TypeVar("T")
_ANSWER_S = 10.0


class Question(Generic[T]):
    """Something small to be found out about the spool by the one thread that may touch it."""

    def __init__(self, about: Callable[[Spool], T]) -> None:
        self._about = about
        self._future: Future[T] = Future()

    def put(self, spool: Spool) -> None:
        """Find it out; what goes wrong is the asker's."""
        try:
            self._future.set_result(self._about(spool))
        except (sqlite3.Error, SpoolFull, SpoolCorrupt) as error:
            self._future.set_exception(error)

    def answer(self) -> T:
        """Wait for it.

        Raises:
            Unavailable: it does not come in time.
        """
        try:
            return self._future.result(_ANSWER_S)
        except Late as error:
            raise Unavailable("the gateway's spool does not answer") from error


class Mail:
    """Guarded by the condition of whoever holds it."""

    def __init__(self) -> None:
        self.arrivals: list[Arrivals] = []
        self.discard: list[int] = []
        """Rows, each of which ends what its lane may forget."""
        self.devices: list[DeviceRow] = []
        self.told: list[Told] = []
        self.questions: list[Question[Any]] = []
        self.rewind = False
        self.stop = False

    def __bool__(self) -> bool:
        """Return whether there is anything in it."""
        return bool(self.arrivals or self.discard or self.questions or self.rewind or self.stop)
