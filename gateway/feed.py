"""What stands between the spool and the uplink: some batches of each lane, bounded.

The uplink takes from the most urgent lane that has any. What one lane has read ahead never keeps
another out.
"""

import logging
import threading
from collections import deque
from collections.abc import Sequence

from gateway.blob import LANES, lane_of
from gateway.message import Batch
from gateway.spool import Spool
from gateway.spool_file import Place

_log = logging.getLogger("tidegate.gateway.spool")
_BYTES = 1 << 20


class _Lane:
    """One lane's batches; ``upto``: the last row given out, ``more``: whether the disk has more."""

    __slots__ = ("batches", "bytes", "more", "upto")

    def __init__(self) -> None:
        self.batches: deque[Batch] = deque()
        self.bytes = 0
        self.upto = 0
        self.more = True


class Feed:
    """Filled by the spool's thread, emptied by the uplink's."""

    def __init__(self) -> None:
        self._lanes = [_Lane() for _ in range(LANES)]
        self._order: Sequence[int] = (0,)
        self._fed = threading.Condition()

    def drain_in(self, order: Sequence[int]) -> None:
        """Give the lanes' batches in this order from now on."""
        self._order = order

    def begin(self, places: Sequence[Place]) -> None:
        """Start again behind what Kafka has."""
        with self._fed:
            for lane, place in zip(self._lanes, places, strict=True):
                lane.batches.clear()
                lane.bytes = 0
                lane.upto = place.cursor
                lane.more = True

    def take(self, wait_s: float, *, urgent: bool = False) -> Batch | None:
        """Return the next batch, None when none came in time; ``urgent``: not of the last lane."""
        with self._fed:
            batch = self._next(urgent)
            if batch is None:
                self._fed.wait(wait_s)
                batch = self._next(urgent)
            return batch

    def _next(self, urgent: bool) -> Batch | None:
        for number in self._order[:-1] if urgent else self._order:
            lane = self._lanes[number]
            if lane.batches:
                batch = lane.batches.popleft()
                lane.bytes -= batch.size
                return batch
        return None

    def upto(self, lane: int) -> int:
        """Return the last row of a lane that was given out."""
        return self._lanes[lane].upto

    @property
    def hungry(self) -> bool:
        """Return whether a lane has room, and more on the disk."""
        return any(lane.more and lane.bytes < _BYTES for lane in self._lanes)

    @property
    def starved(self) -> bool:
        """Return whether a lane has nothing here, and more on the disk."""
        return any(lane.more and not lane.batches for lane in self._lanes)

    @property
    def empty(self) -> bool:
        """Return whether there is nothing, here or on the disk."""
        return not any(lane.batches or lane.more for lane in self._lanes)

    def refill(self, spool: Spool) -> None:
        """Read on from the disk those lanes that have room."""
        for lane in self._lanes:
            if lane.more and lane.bytes < _BYTES:
                batches = spool.read(lane.upto, _BYTES)
                for batch in batches:
                    if batch.damage is not None:
                        _log.error("row %d kept as a file: %s", batch.row_id, batch.damage)
                self._give(lane, batches, spool)

    def add(self, rows: Sequence[Batch], spool: Spool) -> None:
        """Take what was just committed, where all before it has been given already."""
        for batch in rows:
            lane = self._lanes[lane_of(batch.row_id)]
            if lane.upto == batch.row_id - 1 and lane.bytes + batch.size <= _BYTES:
                self._give(lane, [batch], spool)
        self.look_again(spool)

    def look_again(self, spool: Spool) -> None:
        """Note which lanes have rows on the disk that were not given out."""
        for lane, place in zip(self._lanes, spool.places, strict=True):
            lane.more = lane.more or lane.upto < place.last_id

    def _give(self, lane: _Lane, batches: Sequence[Batch], spool: Spool) -> None:
        with self._fed:
            if batches:
                lane.batches.extend(batches)
                lane.bytes += sum(batch.size for batch in batches)
                lane.upto = batches[-1].row_id
                self._fed.notify()
            # None at all means that there are none, whatever the last id is: rows may be gone.
            lane.more = bool(batches) and lane.upto < spool.places[lane_of(lane.upto)].last_id
