"""Small compacted topics, read whole by every worker and known up to a moment that it names.

A broadcast stream says nothing of what is still on its way beside it. Whoever must know everything
that was on a topic before a moment has to ask the broker where the topic ends, and read so far.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

_log = logging.getLogger("tidegate.feed")
_TIMEOUT_S = 5.0
_PAUSE_S = 0.5


class News(NamedTuple):
    """A record; ``at`` is the time that the broker gave it, ms. A ``value`` of None deletes."""

    topic: str
    partition: int
    offset: int
    at: int
    key: bytes
    value: bytes | None


class Feed:
    """Topics from their beginning on; nothing is committed, no group is formed."""

    def __init__(self, bootstrap: str, topics: Sequence[str]) -> None:
        """Connect by and by; topics that do not exist are empty until they do."""
        self._topics = topics
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "tidegate-feed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "allow.auto.create.topics": False,
                # Nobody asks for more while no pane comes.
                "max.poll.interval.ms": 86_400_000,
                "log_level": 0,
            }
        )
        # Its own connection: on the consumer's, a question waits behind a fetch that waits.
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        self._next: dict[tuple[str, int], int] = {}

    def catch_up(self, take: Callable[[News], None]) -> None:
        """Hand over everything that the topics held when this was called, in order by partition.

        Waits for the brokers for as long as they do not answer, as the job's own sources do.
        """
        told = False
        while True:
            try:
                ends = self._ends()
                break
            except KafkaException as error:
                if not told:
                    _log.warning("waiting for Kafka: %s", error.args[0].str())
                told = True
                time.sleep(_PAUSE_S)
        while any(self._next[place] < end for place, end in ends.items()):
            message = self._consumer.poll(_PAUSE_S)
            if message is not None:
                self._note(message, take)

    def close(self) -> None:
        """Leave the brokers."""
        self._consumer.close()

    def _ends(self) -> dict[tuple[str, int], int]:
        if len({topic for topic, _ in self._next}) < len(self._topics):
            self._begin()
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        asked = {TopicPartition(*place): latest for place in self._next}
        found = self._admin.list_offsets(asked, request_timeout=_TIMEOUT_S) if asked else {}
        return {(at.topic, at.partition): each.result().offset for at, each in found.items()}

    def _begin(self) -> None:
        known = self._consumer.list_topics(timeout=_TIMEOUT_S).topics
        places = [
            (topic, part)
            for topic in self._topics
            if topic in known
            for part in known[topic].partitions
        ]
        if len(places) > len(self._next):
            self._next = {place: self._next.get(place, 0) for place in places}
            self._consumer.assign(
                [TopicPartition(*at, offset) for at, offset in self._next.items()]
            )

    def _note(self, message: Message, take: Callable[[News], None]) -> None:
        place = (str(message.topic()), message.partition() or 0)
        offset = message.offset() or 0
        error = message.error()
        if error is None:
            self._next[place] = offset + 1
            at = message.timestamp()[1]
            take(News(*place, offset, at, message.key() or b"", message.value()))
        elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
            self._next[place] = max(self._next[place], offset)
