"""Load at full rate, kills under it, and the account of what came of it."""

import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from functools import partial

from confluent_kafka import Consumer, KafkaException, TopicPartition
from edge_rig import ROOT, GatewayProcess, slow_disk, wait_for

from gateway.bench.mosquitto import Mosquitto
from schemas.codec import decode
from schemas.records import Reading, reading_key

TOPIC = "tidegate.readings"


def _bounds(consumer: Consumer, part: TopicPartition) -> tuple[int, int] | None:
    """Return where the partition begins and ends; None while a new topic has no leader yet."""
    try:
        return consumer.get_watermark_offsets(part, timeout=20)
    except KafkaException:
        return None


class Ledger:
    """What came to Kafka since it was made, counted by device in the order of first appearance."""

    def __init__(self, bootstrap: str) -> None:
        self.seen: dict[str, dict[int, None]] = {}
        self.keys: set[object] = set()
        self.records = 0
        self._bootstrap = bootstrap
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(30)

    def _run(self) -> None:
        consumer = Consumer({"bootstrap.servers": self._bootstrap, "group.id": "ledger"})
        partitions = consumer.list_topics(TOPIC, timeout=20).topics[TOPIC].partitions
        parts = [TopicPartition(TOPIC, p) for p in partitions]
        for part in parts:
            part.offset = wait_for("its leader", partial(_bounds, consumer, part))[1]
        consumer.assign(parts)
        self._ready.set()
        while not self._stop.is_set():
            for message in consumer.consume(5000, 0.2):
                if not message.error():
                    self._count(decode(Reading, message.value()))
        consumer.close()

    def _count(self, reading: Reading) -> None:
        self.records += 1
        if reading.kind == "READING":
            assert reading.device_seq is not None
            self.seen.setdefault(reading.device_id, {})[reading.device_seq] = None
            self.keys.add(reading_key(reading))

    @property
    def distinct(self) -> int:
        return sum(len(seqs) for seqs in self.seen.values())

    def in_order(self) -> bool:
        return all(list(seqs) == sorted(seqs) for seqs in self.seen.values())

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(30)


class FastPublisher:
    """The benchmark's publisher in a process of its own; it prints how many were acknowledged."""

    def __init__(self, broker: Mosquitto, count: int, rate: float) -> None:
        words = ["127.0.0.1", str(broker.port), "sensors", str(count), str(rate)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gateway.bench.publish", *words],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def acknowledged(self, seconds: float) -> int:
        return int(self._process.communicate(timeout=seconds)[0])


def killed(gateway: GatewayProcess, times: int, chance: random.Random) -> None:
    """Kill a gateway again and again, and start it again, at any moment of its life.

    A commit takes a millisecond, so kills hardly ever meet one; at every third it hangs.
    """
    for turn in range(times):
        time.sleep(chance.uniform(0.1, 1.2))  # the fault's own timing, not a wait for anything
        with slow_disk(gateway) if turn % 3 == 0 else nullcontext():
            time.sleep(chance.uniform(0.0, 0.2))
            gateway.end(signal.SIGKILL)
        time.sleep(chance.uniform(0.0, 0.3))
        gateway.start()
