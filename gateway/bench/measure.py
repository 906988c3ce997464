"""What the benchmark reads off a process, a disk and a Kafka topic."""

import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from threading import Event, Thread
from typing import Any, NamedTuple

import msgspec
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Consumer, Producer, TopicPartition

from gateway.kafka import DEFAULTS
from schemas.codec import decode
from schemas.records import Reading

_TICKS = os.sysconf("SC_CLK_TCK")
_FLUSHES = 18  # field of /proc/diskstats, Documentation/admin-guide/iostats.rst


class Usage(NamedTuple):
    """What a process has used so far."""

    cpu_s: float
    peak_rss_mb: float


def usage(pid: int) -> Usage:
    """Return a process's CPU time, user and system, and its highest resident size."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    cpu_s = (int(fields[11]) + int(fields[12])) / _TICKS
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    return Usage(cpu_s, peak / 1024)


def device_flushes() -> int:
    """Return how many cache flushes all disks have done: what fsyncs become."""
    lines = Path("/proc/diskstats").read_text().splitlines()
    rows = (line.split() for line in lines)
    return sum(int(row[_FLUSHES]) for row in rows if len(row) > _FLUSHES)


class Arrival(NamedTuple):
    """A reading on Kafka: its sequence number (µs) and its time of append (ms)."""

    seq: int
    appended_ms: float
    value: bytes


class Arrivals:
    """Reads a topic from its present end, in a thread."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        """Start reading; returns once the present end of every partition is known."""
        # Decoded at the end only: while it measures, the machine is the gateway's.
        self._raw: list[tuple[float, bytes]] = []
        self._bootstrap = bootstrap
        self._topic = topic
        self._stop = Event()
        self._ready = Event()
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()
        self._ready.wait(30)

    def stop(self) -> list[Arrival]:
        """Stop and return what came."""
        self._stop.set()
        self._thread.join(30)
        return [
            Arrival(decode(Reading, value).device_seq or 0, appended, value)
            for appended, value in self._raw
        ]

    def __len__(self) -> int:
        return len(self._raw)

    def _run(self) -> None:
        consumer = Consumer(
            {
                "bootstrap.servers": self._bootstrap,
                "group.id": f"bench-{time.time_ns()}",
                # The mock cluster keeps no append time: there the time of receipt stands for it.
                "fetch.wait.max.ms": 5,
            }
        )
        partitions = consumer.list_topics(self._topic, timeout=20).topics[self._topic].partitions
        parts = [TopicPartition(self._topic, number) for number in partitions]
        for part in parts:
            part.offset = consumer.get_watermark_offsets(part, timeout=20)[1]
        consumer.assign(parts)
        self._ready.set()
        while not self._stop.is_set():
            self._keep(consumer.consume(5000, 0.05))
        consumer.close()

    def _keep(self, messages: Iterable[Any]) -> None:
        now_ms = time.time() * 1000
        for message in messages:
            if message.error():
                continue
            kind, stamp = message.timestamp()
            appended = float(stamp) if kind == TIMESTAMP_LOG_APPEND_TIME else now_ms
            self._raw.append((appended, message.value()))


def bytes_on_the_wire(
    bootstrap: str, topic: str, records: list[tuple[str, bytes]], compression: str
) -> float:
    """Return bytes sent to the broker per record, in the gateway's own batches."""
    sent = [0]

    def on_stats(text: str) -> None:
        brokers = json.loads(text)["brokers"].values()
        sent[0] = sum(broker["txbytes"] for broker in brokers)

    settings = {
        **DEFAULTS,
        "bootstrap.servers": bootstrap,
        "compression.type": compression,
        "statistics.interval.ms": 100,
        "linger.ms": 100,
        "stats_cb": on_stats,
        "queue.buffering.max.messages": len(records) + 1,
        "queue.buffering.max.kbytes": 1 << 20,
    }
    producer = Producer(settings)
    for key, value in records:
        producer.produce(topic, value, key)
    while len(producer):
        producer.poll(0.1)
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        producer.poll(0.1)
    return sent[0] / len(records)


def keyed(values: list[bytes], *, as_json: bool) -> list[tuple[str, bytes]]:
    """Return records with their keys, as they are or with the same fields as compact JSON."""
    readings = [(decode(Reading, value), value) for value in values]
    return [(r.device_id, msgspec.json.encode(r) if as_json else value) for r, value in readings]
