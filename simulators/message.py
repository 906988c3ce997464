"""The one record that generators yield and the publisher sends."""

import heapq
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from schemas.failure import BadConfig

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Message(NamedTuple):
    """An MQTT message of a device.

    ``values`` are its readings as (metric, value); the payload says the same in bytes.
    """

    ts_ms: int
    """Event time, ms since the epoch, UTC."""
    topic: str
    payload: bytes
    device_id: str
    """``{site}.{device}``, as the gateway will name it."""
    seq: int
    """Counts up from 0 within the device."""
    values: tuple[tuple[str, float], ...]
    sent_ms: int | None = None
    """When it is sent, on the same clock; None = at its event time, as of a device in order."""

    @property
    def due_ms(self) -> int:
        """When it is sent."""
        return self.ts_ms if self.sent_ms is None else self.sent_ms

    @property
    def readings(self) -> int:
        """How many readings the gateway makes of it."""
        return len(self.values)


def merged(*streams: Iterable[Message]) -> Iterator[Message]:
    """Merge streams, each in order of sending, into one; equal times keep the streams' order."""
    return heapq.merge(*streams, key=_due)


def checked_site(site: str) -> str:
    """Return a site prefix that the gateway will accept.

    Raises:
        BadConfig: it is no valid id.
    """
    if _ID.fullmatch(site) is None:
        raise BadConfig(f"site {site!r}: use 1 to 64 of the characters A-Z a-z 0-9 _ -")
    return site


def _due(message: Message) -> int:
    return message.due_ms
