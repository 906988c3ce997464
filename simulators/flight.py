"""What is on its way to the broker and what has to be sent again; no I/O, no clock.

After a refusal nothing new goes out until every message on its way is answered, and then one
goes alone until the broker takes it: so the order of first arrival stays the order of events.
"""

from collections import deque
from typing import NamedTuple

from simulators.message import Message

MAX_WINDOW = 2000
NO_SUBSCRIBERS = 16
"""MQTT 5, 3.4.2.1: taken and dropped, since nobody subscribes."""
_RETRIED = {
    NO_SUBSCRIBERS: "nobody subscribes to its topics (is the gateway running?)",
    0x80: "the broker answers: unspecified error",
    0x83: "the broker answers: implementation specific error",
    0x97: "the broker answers: quota exceeded",
}


class Slot(NamedTuple):
    """A message on its way: its place in the sequence and its mark in the ledger."""

    order: int
    message: Message
    mark: int


class Forbidden(Exception):
    """The broker will never take the message; the text says which reason code it gave."""


class Flight:
    """Messages between their first sending and their acknowledgement."""

    def __init__(self) -> None:
        self._again: deque[Slot] = deque()
        self._flying: dict[int, Slot] = {}
        self._refused: list[Slot] = []
        self.failures = 0
        """Refusals and broken connections since a message was last taken."""
        self.why = "no acknowledgement comes"
        """The newest of them."""

    def __len__(self) -> int:
        return len(self._again) + len(self._flying) + len(self._refused)

    def room(self, window: int) -> int:
        """Return how many messages may go out now, with ``window`` un-acknowledged at most."""
        if self._refused:
            return 0
        return max(0, (1 if self.failures else min(window, MAX_WINDOW)) - len(self._flying))

    def next_again(self) -> Slot | None:
        """Return the earliest message to be sent again, if any; it comes before all new ones."""
        return self._again.popleft() if self._again else None

    def flies(self, mid: int, slot: Slot) -> None:
        """Remember that a message went out under a packet id."""
        self._flying[mid] = slot

    def answered(self, mid: int, reason: int) -> Slot | None:
        """Take a PUBACK: return the message if the broker has it now.

        Raises:
            Forbidden: it refuses for good.
        """
        slot = self._flying.pop(mid)
        if reason == 0:
            self.failures = 0
            return slot
        if reason not in _RETRIED:
            raise Forbidden(
                f"the broker refuses {slot.message.topic} with reason code {reason} "
                "(135: not authorised, 144: topic not allowed, 153: payload format)"
            )
        self.why = _RETRIED[reason]
        self._refused.append(slot)
        return None

    def settled_refusals(self) -> bool:
        """Whether messages were refused and all others are answered; then they wait for again."""
        if not self._refused or self._flying:
            return False
        self._put_back(self._refused)
        self._refused.clear()
        return True

    def lost(self, why: str) -> None:
        """The connection broke: everything on its way has to be sent again."""
        self.why = why
        self._put_back([*self._flying.values(), *self._refused])
        self._flying.clear()
        self._refused.clear()

    def _put_back(self, slots: list[Slot]) -> None:
        self._again = deque(sorted([*slots, *self._again]))
        self.failures += 1
