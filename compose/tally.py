"""Counting a run on Kafka: its distinct readings and dead letters, as they arrive."""

from collections.abc import Callable

from confluent_kafka import Message

from gateway.follow import decoder
from schemas.codec import unframe
from schemas.records import Alert, DeadLetter, Reading, reading_key


class ReadingTally:
    """Counts the readings of one site; markers are no readings."""

    def __init__(self, registry_url: str, site: str) -> None:
        """Start at nothing."""
        self.rows = 0
        self._decoded = decoder(Reading, registry_url)
        self._first = f"{site}.".encode()
        # 64-bit hashes: of 10 million keys two would be mistaken for one with odds of 1 in 400 000.
        self._keys: set[int] = set()

    @property
    def distinct(self) -> int:
        """Distinct reading keys so far."""
        return len(self._keys)

    def add(self, batch: list[Message]) -> None:
        """Count what belongs to the site."""
        for message in batch:
            if (message.key() or b"").startswith(self._first):
                reading = self._decoded(message.value())
                if reading.kind == "READING":
                    self.rows += 1
                    self._keys.add(hash(reading_key(reading)))


def dead_letters_of(registry_url: str, site: str) -> Callable[[list[Message]], int]:
    """Return a function that counts a batch's dead letters of a site's topics or readings."""
    decoded = decoder(DeadLetter, registry_url)
    readings = decoder(Reading, registry_url)

    def count(batch: list[Message]) -> int:
        return sum(_is_of(decoded(message.value()), site, readings) for message in batch)

    return count


def _is_of(letter: DeadLetter, site: str, readings: Callable[[bytes | None], Reading]) -> bool:
    if letter.mqtt_topic is not None:
        return site in letter.mqtt_topic.split("/")
    try:
        unframe(letter.payload)
        return readings(letter.payload).site == site
    except ValueError:
        return False


class AlertTally:
    """Keeps the alerts of one site, in the order in which they were committed."""

    def __init__(self, registry_url: str, site: str, on_alert: Callable[[Alert], None]) -> None:
        """``on_alert`` is called with each transition."""
        self.transitions: list[Alert] = []
        self._decoded = decoder(Alert, registry_url)
        self._site = site
        self._on_alert = on_alert

    @property
    def alerts(self) -> int:
        """Distinct alerts so far."""
        return len({alert.alert_id for alert in self.transitions})

    def add(self, batch: list[Message]) -> None:
        """Keep what belongs to the site."""
        for message in batch:
            alert = self._decoded(message.value())
            if alert.site == self._site:
                self.transitions.append(alert)
                self._on_alert(alert)
