"""Kafka values: readings and dead letters under the ids the registry gave their schemas.

The spool holds no ids; they are bound when it drains. With the registry down the ids of last time
serve, from disk; with none known the uplink waits, and acknowledgements go on until the quota.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

from gateway.invalid import Invalid
from gateway.kafka import Recoverable
from schemas.codec import encode
from schemas.encoders import ReadingEncoder
from schemas.records import DeadLetter, Reading
from schemas.registry import RegistryDown, RegistryRefused, SchemaIds
from schemas.topics import subject

_ASK_AGAIN_S = 30.0
_CONFIRM_S = 300.0


class Topics(NamedTuple):
    """The two topics the gateway writes."""

    readings: str
    dead_letters: str


class Wire:
    """Encodes with one pair of schema ids."""

    def __init__(self, reading_id: int, dead_letter_id: int) -> None:
        self.ids = (reading_id, dead_letter_id)
        self._encode = ReadingEncoder(reading_id).encode

    def reading(self, reading: Reading) -> bytes:
        """Return a reading's Kafka value.

        Raises:
            Invalid: a field does not fit the contract.
        """
        try:
            return self._encode(reading)
        except (OverflowError, UnicodeEncodeError, KeyError) as error:
            raise Invalid("UNDECODABLE", f"not encodable: {error!r}"[:200]) from error

    def dead_letter(self, letter: DeadLetter) -> bytes:
        """Return a dead letter's Kafka value."""
        return encode(letter, self.ids[1])


class Binding:
    """Finds the ids, and keeps asking whether they still hold."""

    def __init__(
        self, ids: SchemaIds, topics: Topics, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._ids = ids
        self._topics = topics
        self._now = now
        self._ask_at = 0.0

    def bind(self) -> Wire:
        """Return an encoder under ids confirmed just now, or under those known from before.

        Raises:
            Recoverable: an id is not known and the registry does not give it.
        """
        try:
            wire = self._confirmed()
        except RegistryDown as error:
            self._ask_at = self._now() + _ASK_AGAIN_S
            return self._cached(error)
        except RegistryRefused as error:
            raise Recoverable(f"the registry refuses a schema: {error}") from error
        self._ask_at = self._now() + _CONFIRM_S
        return wire

    def check(self, wire: Wire) -> None:
        """Ask again when it is time; a registry that lost its data may have given other ids.

        Raises:
            Recoverable: the ids have changed, so what is on its way has to be encoded anew.
        """
        if self._now() >= self._ask_at and self.bind().ids != wire.ids:
            raise Recoverable("the registry gives other schema ids than before")

    def _confirmed(self) -> Wire:
        readings, dead_letters = self._topics
        return Wire(
            self._ids.confirmed(subject(readings), "reading"),
            self._ids.confirmed(subject(dead_letters), "dead_letter"),
        )

    def _cached(self, why: RegistryDown) -> Wire:
        readings, dead_letters = self._topics
        reading_id = self._ids.cached(subject(readings), "reading")
        dead_letter_id = self._ids.cached(subject(dead_letters), "dead_letter")
        if reading_id is None or dead_letter_id is None:
            raise Recoverable(f"schema id not known yet: {why}") from why
        return Wire(reading_id, dead_letter_id)
