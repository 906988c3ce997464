"""The Kafka producer: its settings, its errors sorted by what to do about them, its health.

Plain ``produce()`` with idempotence and no message timeout: the spool is the queue, librdkafka's
own is only the send window. ``poll`` in a loop, never ``flush``, which hides fatal errors.
"""

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from gateway.delivery import Report

_log = logging.getLogger("tidegate.gateway.kafka")
# The client's own lines repeat at every attempt; what matters of them is told once, above.
_librdkafka = logging.getLogger("tidegate.librdkafka")

POISONOUS = frozenset(
    {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD, KafkaError.INVALID_TIMESTAMP}
)
"""Codes that condemn the record. Every other failure is about us, the broker or the way there."""

DEFAULTS: dict[str, str | int | float | bool] = {
    "acks": "all",
    "enable.idempotence": True,
    "message.timeout.ms": 0,
    "queue.buffering.max.messages": 20_000,
    "queue.buffering.max.kbytes": 16_384,
    "linger.ms": 1,
    "compression.type": "zstd",
    "batch.size": 1_000_000,
    "partitioner": "murmur2_random",
    "socket.keepalive.enable": True,
    "reconnect.backoff.max.ms": 5000,
    "allow.auto.create.topics": False,
    "enable.metrics.push": False,
    "statistics.interval.ms": 1000,
}
_PROBE_S = 1.0
_ALL_DOWN = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001 - the library's public name


class Recoverable(Exception):
    """The third error word: go back to the cursor with a new producer, after a pause."""


def settings(
    bootstrap_servers: str, overrides: Mapping[str, str | int | float | bool]
) -> dict[str, Any]:
    """Return the producer's configuration; the operator's table wins over the defaults."""
    return {"bootstrap.servers": bootstrap_servers, **DEFAULTS, **overrides}


class Link:
    """One producer's life."""

    def __init__(
        self,
        config: Mapping[str, Any],
        stopping: Callable[[], bool],
        on_reach: Callable[[bool, str], None],
    ) -> None:
        """Create the producer; it connects by itself.

        Args:
            config: librdkafka's configuration.
            stopping: asked while a full queue makes ``produce`` wait.
            on_reach: told whether a broker is connected, and why not if that is known.

        Raises:
            Recoverable: librdkafka does not accept it, for example as a certificate is missing.
        """
        self._stopping = stopping
        self._on_reach = on_reach
        self._why = ""
        self._up = False
        callbacks = {"stats_cb": self._on_stats, "error_cb": self._on_error, "logger": _librdkafka}
        try:
            self._producer = Producer({**config, **callbacks})
        except KafkaException as error:
            raise Recoverable(str(error)) from error
        self._produce = self._producer.produce

    @property
    def queued(self) -> int:
        """Return how many records wait for their delivery report."""
        return len(self._producer)

    def produce(self, topic: str, key: bytes, value: bytes, report: Report) -> bool:
        """Send one record; False if it is refused right here for its size.

        A full queue is the second error word, rejected: wait until there is room.

        Raises:
            Recoverable: the producer is broken, or the process stops while it waits.
        """
        while True:
            try:
                # By place: -1 lets the partitioner choose.
                self._produce(topic, value, key, -1, report)
            except BufferError:
                if self._stopping():
                    raise Recoverable("stopped while the send queue was full") from None
                self.poll(0.05)
            except KafkaException as error:
                if error.args[0].code() in POISONOUS:
                    return False
                raise Recoverable(str(error)) from error
            else:
                return True

    def poll(self, wait_s: float) -> None:
        """Serve delivery reports and statistics.

        Raises:
            Recoverable: a fatal error of the producer.
        """
        try:
            self._producer.poll(wait_s)
        except KafkaException as error:
            raise Recoverable(str(error)) from error

    def probe(self, topic: str) -> None:
        """Ask for metadata, so that an idle producer finds out whether its brokers are there."""
        try:
            self._producer.list_topics(topic, timeout=_PROBE_S)
        except KafkaException as error:
            _log.debug("probe: %s", error)
            return
        self._reached(True)

    def drop(self) -> None:
        """Give up on everything that is queued; the spool still has it."""
        try:
            self._producer.purge()
            self._producer.poll(0)
        except KafkaException as error:
            _log.debug("purge: %s", error)
        # Its callbacks hold this, and this holds it: left to the garbage collector its threads and
        # sockets would stay for as long as that takes.
        del self._producer, self._produce

    def _on_stats(self, text: str) -> None:
        brokers = json.loads(text).get("brokers", {}).values()
        self._reached(any(broker.get("state") == "UP" for broker in brokers))

    def _reached(self, up: bool) -> None:
        self._up = up
        if up:
            self._why = ""
        self._on_reach(up, "")

    def _on_error(self, error: KafkaError) -> None:
        _log.info("%s", error.str())
        if error.code() != _ALL_DOWN and not self._why:
            # The first error since a broker was up; how long an attempt took is no other cause.
            self._why = error.str().partition(" (after ")[0]
        if error.code() == _ALL_DOWN or (self._why and not self._up):
            self._up = False
            self._on_reach(False, self._why or "all are down")
