"""Finding the one bad record of a refused batch.

A Produce error fails the whole batch of a partition, good records with the bad one. The refused
records are sent again by halves, each half on its own, until those that fail alone are known: at
most twice log2(n) rounds for one bad record, so its neighbours wait for milliseconds, not for one
round trip each.
"""

from collections import deque
from collections.abc import Callable

from gateway.delivery import Rejected


class Resend:
    """Records to be tried again, in order; one group is out at a time."""

    def __init__(self) -> None:
        self._groups: deque[list[Rejected]] = deque()
        self._out: list[Rejected] = []

    @property
    def busy(self) -> bool:
        """Return whether anything is left to try or to wait for."""
        return bool(self._groups or self._out)

    @property
    def sending(self) -> bool:
        """Return whether a group is out."""
        return bool(self._out)

    def add(self, rejected: list[Rejected]) -> None:
        """Take in records that were refused as part of a batch."""
        if rejected:
            self._groups.append(rejected)

    def next_group(self) -> list[Rejected]:
        """Return the records to send now; :meth:`settle` must be called when all came back."""
        self._out = self._groups.popleft()
        return self._out

    def settle(self, failed: list[Rejected], condemn: Callable[[Rejected], None]) -> None:
        """Account for the group that is out: ``failed`` are those of it refused again."""
        alone = len(self._out) == 1
        self._out = []
        if alone:
            for rejected in failed:
                condemn(rejected)
        elif len(failed) == 1:
            # It failed among others; whether it fails alone is still to be seen.
            self._groups.appendleft(failed)
        elif failed:
            middle = len(failed) // 2
            self._groups.appendleft(failed[middle:])
            self._groups.appendleft(failed[:middle])
