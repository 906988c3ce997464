"""What is on its way to Kafka: batches in spool order, and how far the delivered prefix reaches.

Delivery reports of different partitions come in any order, so a batch may be done before an
earlier one; only the contiguous prefix may be discarded from the spool.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from gateway.message import Batch, Stored
from gateway.spool_file import Told

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
        self.bytes = 0
        """Spooled bytes of what is not delivered: what it holds in memory."""

    def failed(self, item: "InFlight", error: Any, message: Any) -> None:
        """Sort a failed report into the two kinds."""
        if error.code() in self._poisonous:
            self.rejected.append(Rejected(item, message.topic(), message.key(), message.value()))
        else:
            self.failure = Failure(error.str())


class InFlight:
    """A batch on its way; ``report`` is the delivery callback of all its records."""

    __slots__ = (
        *("_outcome", "_size", "chunks", "complete", "first"),
        *("held", "messages", "open", "row_id", "told"),
    )

    def __init__(self, batch: Batch, outcome: Outcome) -> None:
        self.row_id = batch.row_id
        self.chunks: Sequence[Stored] = batch.chunks
        self.first = batch.chunks[0] if batch.chunks else None
        self.messages = sum(stored.chunk.messages for stored in batch.chunks)
        self.open = 0
        """Records produced and not yet accounted for."""
        self.held = 0
        """Intervals of down-sampling that begin in it and are not over."""
        self.told: list[Told] = []
        """What the intervals that began in it told."""
        self.complete = False
        """Whether every record of the batch was produced."""
        self._outcome = outcome
        self._size = batch.size
        outcome.bytes += batch.size

    def sent(self, records: int) -> None:
        """Note that all of it is produced, so many records."""
        self.open += records
        self.complete = True
        self._let_go()

    def report(self, error: Any, message: Any) -> None:
        """Count a delivered record; pass on a failed one, which stays open. Never raises."""
        if error is None:
            self.open -= 1
            if not self.open:
                self._let_go()
        else:
            self._outcome.failed(self, error, message)

    @property
    def is_over(self) -> bool:
        """Return whether it may be discarded, as far as it is concerned."""
        return self.complete and not (self.open or self.held)

    def stored(self, seq: int) -> Stored | None:
        """Return the chunk that holds the message of a number, None once it was let go."""
        its = (c for c in self.chunks if c.seq <= seq < c.seq + c.chunk.messages)
        return next(its, None)

    def _let_go(self) -> None:
        """Free the messages' memory, once Kafka has all that became of them."""
        if self.complete and not self.open:
            self._outcome.bytes -= self._size
            self._size = 0
            self.chunks = ()


class Window:
    """Batches in the order of the spool."""

    def __init__(self) -> None:
        self._items: deque[InFlight] = deque()

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: InFlight) -> None:
        """Put a batch behind the others."""
        self._items.append(item)

    def delivered(self) -> list[InFlight]:
        """Remove and return the longest prefix whose every record is accounted for."""
        done: list[InFlight] = []
        while self._items and self._items[0].is_over:
            done.append(self._items.popleft())
        return done
