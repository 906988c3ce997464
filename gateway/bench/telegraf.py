"""Telegraf beside the gateway: the same queued messages, parsed as JSON and written as JSON.

It acknowledges to the broker once Kafka has taken a message (``persistent_session``), as the
gateway does, and is given the batches that suited it best. A binary with ``inputs.mqtt_consumer``,
``outputs.kafka`` and the JSON parser and serializer is enough.
"""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from confluent_kafka import Consumer, TopicPartition

from gateway.bench.measure import Usage, usage
from schemas.failure import Failure, Unavailable

ROOT = f"tidegate-bench-telegraf/{os.getpid()}"
_CONFIG = """\
[agent]
  interval = "1s"
  flush_interval = "100ms"
  metric_batch_size = 5000
  metric_buffer_limit = 200000
  omit_hostname = true
  quiet = true
[[inputs.mqtt_consumer]]
  servers = ["tcp://{host}:{port}"]
  topics = ["{root}/+/+/+"]
  qos = 1
  persistent_session = true
  client_id = "tidegate-bench-telegraf-{run}"
  max_undelivered_messages = 10000
  data_format = "json"
  json_time_key = "ts"
  json_time_format = "unix_ms"
  json_string_fields = ["unit", "boot", "quality"]
[[outputs.kafka]]
  brokers = ["{kafka}"]
  topic = "{topic}"
  required_acks = -1
  idempotent_writes = true
  compression_codec = 4
  routing_tag = "topic"
  max_retry = 100
  metadata_retry_max = 100000
  metadata_retry_backoff = "250ms"
  data_format = "json"
"""
_SUBSCRIBED_S = 3.0
_DRAINED_S = 300.0


class Drained(NamedTuple):
    """What Telegraf took to drain."""

    cpu_us_per_reading: float
    readings_per_s: float
    rss_mb: float
    missing: int


class Telegraf:
    """A Telegraf process, started and stopped."""

    def __init__(self, binary: Path, folder: Path, mqtt: str, kafka: str, topic: str) -> None:
        """Write its configuration.

        Raises:
            Unavailable: the binary is none.
        """
        if not os.access(binary, os.X_OK):
            raise Unavailable(
                f"{binary} is no program; --telegraf takes the path of a Telegraf binary"
            )
        url = urlsplit(mqtt)
        self._command = [str(binary), "--config", str(folder / "telegraf.conf")]
        (folder / "telegraf.conf").write_text(
            _CONFIG.format(
                host=url.hostname,
                port=url.port,
                root=ROOT,
                run=os.getpid(),
                kafka=kafka,
                topic=topic,
            ),
            "utf-8",
        )
        self._consumer = Consumer({"bootstrap.servers": kafka, "group.id": "bench-telegraf"})
        self._topic = topic
        self._process: subprocess.Popen[bytes] | None = None

    def subscribe(self) -> float:
        """Make its session at the broker and go; return the CPU seconds that took."""
        self._start()
        time.sleep(_SUBSCRIBED_S)  # it tells nobody when it has subscribed
        cpu_s = self._usage().cpu_s
        self.stop()
        return cpu_s

    def drain(self, count: int, start_s: float) -> Drained:
        """Start it and wait until so many readings are on its topic.

        Args:
            count: how many are queued.
            start_s: CPU seconds of a start with nothing to do.

        Raises:
            Failure: it ends by itself.
        """
        self._start()
        begun = first = time.monotonic()
        done = 0
        while done < count and time.monotonic() - begun < _DRAINED_S:
            if self._process is not None and self._process.poll() is not None:
                raise Failure(f"Telegraf ended with {self._process.returncode}")
            before, done = done, self._records()
            first = time.monotonic() if not before else first
            time.sleep(0.05)
        seconds = time.monotonic() - first
        used = self._usage()
        self.stop()
        return Drained(
            round(1e6 * (used.cpu_s - start_s) / count, 2),
            round(done / seconds),
            round(used.peak_rss_mb, 1),
            count - done,
        )

    def stop(self) -> None:
        """End it."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(30)

    def _start(self) -> None:
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def _usage(self) -> Usage:
        assert self._process is not None
        return usage(self._process.pid)

    def _records(self) -> int:
        partitions = (
            self._consumer.list_topics(self._topic, timeout=20).topics[self._topic].partitions
        )
        marks = (
            self._consumer.get_watermark_offsets(TopicPartition(self._topic, p), timeout=20)
            for p in partitions
        )
        return sum(high for _, high in marks)
