"""What is on its way to Kafka: batches in spool order, and how far the delivered prefix reaches.

Delivery reports of different partitions come in any order, so a batch may be done before an
earlier one; only the contiguous prefix may be discarded from the spool.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from gateway.message import Batch, Stored

Report = Callable[[Any, Any], None]
"""librdkafka's delivery report: error or None, and the message."""


class Rejected(NamedTuple):
    """A record that Kafka refused for its own sake, as it was sent."""

    item: "InFlight"
    topic: str
    key: bytes
    value: bytes


class Failure(NamedTuple):
    """A failed delivery that says nothing about the record: authorisation, epoch, policy."""

    cause: str


class Outcome:
    """Where delivery reports leave what the uplink must act on."""

    def __init__(self, poisonous: frozenset[int]) -> None:
        """Take the error codes that condemn a record itself."""
        self._poisonous = poisonous
        self.rejected: list[Rejected] = []
        self.failure: Failure | None = None

    def failed(self, item: "InFlight", error: Any, message: Any) -> None:
        """Sort a failed report into the two kinds."""
        if error.code() in self._poisonous:
            self.rejected.append(Rejected(item, message.topic(), message.key(), message.value()))
        else:
            self.failure = Failure(error.str())


class InFlight:
    """A batch on its way; ``report`` is the delivery callback of all its records."""

    __slots__ = ("_outcome", "chunks", "complete", "open", "row_id", "size")

    def __init__(self, batch: Batch, outcome: Outcome) -> None:
        self.row_id = batch.row_id
        self.size = batch.size
        self.chunks = batch.chunks
        self.open = 0
        """Records produced and not yet accounted for."""
        self.complete = False
        """Whether every record of the batch was produced."""
        self._outcome = outcome

    def report(self, error: Any, message: Any) -> None:
        """Count a delivered record; pass on a failed one, which stays open. Never raises."""
        if error is None:
            self.open -= 1
        else:
            self._outcome.failed(self, error, message)

    def stored(self, seq: int) -> Stored:
        """Return the chunk that holds the message of a sequence number."""
        return next(c for c in self.chunks if c.seq <= seq < c.seq + c.chunk.messages)


class Window:
    """Batches in the order of the spool."""

    def __init__(self) -> None:
        self._items: deque[InFlight] = deque()
        self.bytes = 0
        """Spooled bytes of all of them: what they hold in memory, whatever became of it."""

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: InFlight) -> None:
        """Put a batch behind the others."""
        self._items.append(item)
        self.bytes += item.size

    def delivered(self) -> list[InFlight]:
        """Remove and return the longest prefix whose every record is accounted for."""
        done: list[InFlight] = []
        while self._items and self._items[0].complete and self._items[0].open == 0:
            done.append(self._items.popleft())
            self.bytes -= done[-1].size
        return done
