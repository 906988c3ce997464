"""What the uplink's sessions, each one producer's life, share and leave to one another."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from gateway.decode import Decoder
from gateway.message import Batch, Chunk, Stored
from gateway.quiet import QuietDevices
from gateway.spool_file import DeviceRow, Remembered, Told
from gateway.wire import Binding, Topics


class Feed(Protocol):
    """The spool, as the uplink uses it."""

    def opened(self) -> Remembered:
        """Wait until it is open; return what it remembers."""

    def take(self, wait_s: float, *, urgent: bool = False) -> Batch | None:
        """Return the next batch, the most urgent first; ``urgent``: none of the last class."""

    def drained(self) -> bool:
        """Return whether everything was taken."""

    def discard(
        self,
        upto: Sequence[int],
        devices: Sequence[DeviceRow] = (),
        told: Sequence[Told] = (),
    ) -> None:
        """Forget up to and with a row each of some lanes, and remember the rest."""

    def rewind(self) -> None:
        """Start again behind what was discarded."""

    def append_own(self, chunks: list[Chunk]) -> None:
        """Spool own chunks behind everything that waits."""


def as_it_is(stored: Stored) -> Stored:
    """Return a chunk unchanged."""
    return stored


class Identity(NamedTuple):
    """What goes into every record from this process; ``epoch`` is random per start."""

    gateway_id: str
    epoch: int
    config_version: str


_MOST_DEVICES = 50_000


class Tally:
    """What the uplink counts, over all its sessions; read by other threads."""

    def __init__(self) -> None:
        self.delivered = 0
        self.markers = 0
        self.rewinds = 0
        self.dead: Counter[str] = Counter()
        self.thinned: Counter[tuple[str, str]] = Counter()
        """Readings left out by their route's shape, by device and reason; beyond many by reason."""
        self.reachable = False
        self.bound = False
        self.beat_s = time.monotonic()
        self.on_delay: Callable[[float], None] = _nothing

    def left_out(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Count readings that a route's shape left out."""
        for (device, reason), count in counts.items():
            known = (device, reason) in self.thinned or len(self.thinned) < _MOST_DEVICES
            self.thinned[device if known else "", reason] += count


class Parts(NamedTuple):
    """What sessions share."""

    feed: Feed
    binding: Binding
    topics: Topics
    identity: Identity
    decoder: Decoder
    quiet: QuietDevices
    synced: Callable[[], bool]
    tally: Tally
    told: dict[tuple[int, str], int]
    """By lane and route up to which message it is told, where it is down-sampled, and discarded."""
    backlog_rate: int = 0
    """Messages a second of what waited in the spool; 0 for all there are."""
    right: Callable[[Stored], Stored] = as_it_is
    """Sets a time of receipt right that was taken before the clock was set."""


def _nothing(_seconds: float) -> None:
    return None
