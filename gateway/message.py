"""What travels between the gateway's threads."""

from typing import NamedTuple

RETAINED = 1
"""Flag: the broker's stored copy, not a live publication."""
UNSYNCED = 2
"""Flag: the gateway's clock was not synchronised when the message came."""
INTERNAL = 4
"""Flag: written by the gateway itself; no publisher can set it."""


class Message(NamedTuple):
    """One MQTT message as it came, or one of the gateway's own (``INTERNAL``)."""

    topic: bytes
    payload: bytes
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
    messages: list[Message]


class Stored(NamedTuple):
    """A message as the spool gives it back."""

    seq: int
    epoch: int
    """The gateway's random number of the process that spooled it."""
    message: Message


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
