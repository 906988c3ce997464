"""Reading a topic as a person or a check does: all partitions, no group, nothing committed."""

import time
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from schemas.codec import R, decode, unframe
from schemas.contracts import plain
from schemas.failure import Failure, Unavailable
from schemas.registry import Registry

_TIMEOUT_S = 10.0
_PAUSE_S = 0.1


def follow(
    bootstrap: str,
    topic: str,
    *,
    start: dict[int, int] | None = None,
    until_end: bool = False,
    committed_only: bool = True,
    batch: int = 1000,
    idle_s: float = 0.2,
    security: Mapping[str, Any] = MappingProxyType({}),
) -> Iterator[list[Message]]:
    """Yield batches of records as they come, empty ones when nothing came for a while.

    Args:
        bootstrap: the brokers.
        topic: the topic's full name.
        start: the first offset by partition, as of :func:`ends`; the oldest when left out.
        until_end: stop once every partition was read to its end as of now.
        committed_only: leave out records of open and aborted transactions.
        batch: the most records in one batch.
        idle_s: how long to wait for a record before an empty batch.
        security: librdkafka's settings for TLS and the login.

    Raises:
        Unavailable: the brokers do not answer.
        Failure: the topic does not exist.
    """
    consumer = _consumer(bootstrap, committed_only=committed_only, security=security)
    try:
        partitions = _partitions(consumer, bootstrap, topic)
        first = start or dict.fromkeys(partitions, OFFSET_BEGINNING)
        consumer.assign([TopicPartition(topic, each, first[each]) for each in partitions])
        open_ = set(partitions)
        while open_ or not until_end:
            messages = []
            for message in consumer.consume(batch, idle_s):
                error = message.error()
                if error is None:
                    messages.append(message)
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
                    open_.discard(message.partition())
                elif not error.retriable() and error.fatal():
                    raise Unavailable(f"Kafka at {bootstrap}: {error.str()}")
            yield messages
    finally:
        consumer.close()


def ends(bootstrap: str, topic: str) -> dict[int, int]:
    """Return the offset that the next record of each partition will get.

    Raises:
        Unavailable, Failure: as for :func:`follow`.
    """
    consumer = _consumer(bootstrap, committed_only=False, security={})
    try:
        return {
            each: _end(consumer, bootstrap, TopicPartition(topic, each))
            for each in _partitions(consumer, bootstrap, topic)
        }
    finally:
        consumer.close()


def near_ends(bootstrap: str, topic: str, count: int) -> dict[int, int]:
    """Return from where on each partition holds its last ``count`` offsets, for :func:`follow`.

    Raises:
        Unavailable, Failure: as for :func:`follow`.
    """
    consumer = _consumer(bootstrap, committed_only=False, security={})
    try:
        found = {
            each: _watermarks(consumer, bootstrap, TopicPartition(topic, each))
            for each in _partitions(consumer, bootstrap, topic)
        }
        return {each: max(low, high - count) for each, (low, high) in found.items()}
    finally:
        consumer.close()


def _end(consumer: Consumer, bootstrap: str, partition: TopicPartition) -> int:
    return _watermarks(consumer, bootstrap, partition)[1]


def _watermarks(consumer: Consumer, bootstrap: str, partition: TopicPartition) -> tuple[int, int]:
    until = time.monotonic() + _TIMEOUT_S
    while True:
        try:
            low, high = consumer.get_watermark_offsets(partition, _TIMEOUT_S)
            return int(low), int(high)
        except KafkaException as error:
            # A new topic's partitions have no leader for a moment.
            if time.monotonic() > until:
                why = error.args[0].str()
                raise Unavailable(f"Kafka at {bootstrap} does not answer: {why}") from error
            time.sleep(_PAUSE_S)


def _consumer(bootstrap: str, *, committed_only: bool, security: Mapping[str, Any]) -> Consumer:
    return Consumer(
        {
            **security,
            "bootstrap.servers": bootstrap,
            "group.id": "tidegate-follow",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed" if committed_only else "read_uncommitted",
            "log_level": 0,
        }
    )


def _partitions(consumer: Consumer, bootstrap: str, topic: str) -> list[int]:
    try:
        found = consumer.list_topics(topic, timeout=_TIMEOUT_S).topics[topic]
    except KafkaException as error:
        raise Unavailable(f"Kafka at {bootstrap} does not answer: {error.args[0].str()}") from error
    if found.error is not None:
        raise Failure(f"topic {topic}: {found.error.str()}; `tidegate topics apply` creates topics")
    return sorted(found.partitions)


def decoder(kind: type[R], registry: str | Registry) -> Callable[[bytes | None], R]:
    """Return a function from values to records that fetches each writer's schema once.

    ``registry`` may be its URL.

    Raises (when called):
        ValueError: the value is no such record.
        RegistryDown, RegistryRefused
    """
    asked = Registry(registry) if isinstance(registry, str) else registry
    writers: dict[int, Any] = {}

    def decoded(value: bytes | None) -> R:
        if value is None:
            raise ValueError("a tombstone is no record")
        schema_id, _body = unframe(value)
        if schema_id not in writers:
            writers[schema_id] = plain(asked.text(schema_id))
        return decode(kind, value, writers[schema_id])

    return decoded
