"""What travels between the gateway's threads."""

from collections.abc import Mapping
from typing import NamedTuple

UNSYNCED = 1
"""Flag of a chunk: the gateway's clock was not synchronised when the message came."""
INTERNAL = 2
"""Flag of a chunk: written by the gateway itself; no publisher can set it."""
MQTT_5 = 4
"""Flag of a chunk: its packets are laid out as in MQTT 5, with properties."""


class Chunk(NamedTuple):
    """Messages read at one time on one connection: whole PUBLISH packets, back to back.

    At least one, at most 1000, and of some 16 KiB unless a single message is larger.
    """

    packets: bytes
    messages: int
    received_ts: int
    """Wall clock, ms."""
    received_mono: int
    """Monotonic clock, ms; comparable within one process only."""
    flags: int


class Arrivals(NamedTuple):
    """What one turn of the network loop read, all on one connection.

    ``mids`` are the packet ids to acknowledge, in the order of receipt (QoS 0 has none).
    """

    epoch: int
    mids: list[int]
    chunks: list[Chunk]

    @property
    def memory(self) -> int:
        """Return roughly how many bytes of memory it takes."""
        # 200: what Python takes for a chunk beside its packets.
        return sum(len(chunk.packets) + 200 for chunk in self.chunks)


class Stored(NamedTuple):
    """A chunk as the spool gives it back."""

    seq: int
    """The number of its first message; the others follow one by one."""
    epoch: int
    """The gateway's random number of the process that spooled it."""
    chunk: Chunk


class Batch(NamedTuple):
    """One row of the spool as read back; ``damage`` says what is wrong with it."""

    row_id: int
    size: int
    chunks: list[Stored]
    damage: str | None


class Done(NamedTuple):
    """Messages that are on disk now and may be acknowledged on the connection of that epoch."""

    epoch: int
    mids: list[int]


class Level(NamedTuple):
    """How full the spool is; times in ms."""

    messages: int = 0
    used_bytes: int = 0
    oldest_ts: int | None = None
    full: bool = False
    commits: int = 0
    damaged: int = 0
    set_aside: int = 0
    dropped: Mapping[str, int] = {}
