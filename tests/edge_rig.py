"""Real parts for tests of the gateway: mosquitto, a Kafka, a registry, gateway processes."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from gateway.bench.mosquitto import free_port
from gateway.bench.registry import SmallRegistry
from schemas.codec import decode
from schemas.records import DeadLetter, Reading

FakeRegistry = SmallRegistry
ROOT = Path(__file__).parent.parent
PARTITIONS = 4


def wait_for(what: str, done: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Poll until `done` returns something true; fail with `what` after a bound."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if value := done():
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what}")


class MockKafka:
    """librdkafka's mock cluster in a process of its own."""

    def __init__(self) -> None:
        topics = [f"tidegate.readings:{PARTITIONS}", "tidegate.dead-letters:1"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gateway.bench.mock_kafka", *topics],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdin
        assert self._process.stdout
        self._in, self._out = self._process.stdin, self._process.stdout
        self.bootstrap = self._out.readline().strip()

    def tell(self, line: str) -> None:
        self._in.write(line + "\n")
        self._in.flush()
        assert self._out.readline() == "ok\n"

    def stop(self) -> None:
        self._in.close()
        self._process.wait(10)
        self._out.close()


class Follower:
    """Reads both topics from the start, all the time: the mock forgets what is old."""

    def __init__(self, bootstrap: str) -> None:
        self.readings: list[Reading] = []
        self.dead: list[DeadLetter] = []
        self.keys: list[tuple[bytes, int]] = []
        self._bootstrap = bootstrap
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        consumer = Consumer(
            {
                "bootstrap.servers": self._bootstrap,
                "group.id": "follower",
                "auto.offset.reset": "earliest",
                "reconnect.backoff.max.ms": 200,
                "logger": _silent(),
            }
        )
        parts = [TopicPartition("tidegate.readings", p, 0) for p in range(PARTITIONS)]
        consumer.assign([*parts, TopicPartition("tidegate.dead-letters", 0, 0)])
        while not self._stop.is_set():
            for message in consumer.consume(1000, 0.1):
                if message.error():
                    continue
                if message.topic() == "tidegate.readings":
                    self.readings.append(decode(Reading, message.value()))
                    self.keys.append((message.key(), message.partition()))
                else:
                    self.dead.append(decode(DeadLetter, message.value()))
        consumer.close()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(10)


def _silent() -> Any:
    import logging

    log = logging.getLogger("test.follower")
    log.setLevel(logging.CRITICAL)
    return log


CONFIG = """
[gateway]
id = "gw1"
data_dir = "{folder}"
[mqtt]
url = "{mqtt}"
keepalive = "5s"
[kafka]
bootstrap_servers = "{kafka}"
[registry]
url = "{registry}"
[admin]
listen = "127.0.0.1:{admin}"
{extra}
[[routes]]
topic = "sensors/{{site}}/{{device}}/{{metric}}"
payload = "json"
[[routes]]
topic = "numbers/{{site}}/{{device}}/{{metric}}"
payload = "number"
[[routes]]
topic = "machines/{{site}}/{{device}}"
payload = "metrics"
"""


class GatewayProcess:
    """`tidegate gateway run` with a configuration of its own; can be killed and started again."""

    def __init__(self, folder: Path, mqtt: str, kafka: str, registry: str, extra: str = "") -> None:
        self.folder = folder
        self.admin = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        self.config = folder / "gateway.toml"
        self.config.write_text(
            CONFIG.format(
                folder=folder / "data",
                mqtt=mqtt,
                kafka=kafka,
                registry=registry,
                admin=self.admin,
                extra=extra,
            )
        )
        self.log = (folder / "log").open("ab")
        self.command = [
            sys.executable,
            "-m",
            "compose.cli",
            "gateway",
            "run",
            "-c",
            str(self.config),
        ]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=self.log
        )

    def get(self, path: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.admin}{path}"
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def ready(self) -> bool:
        return self.get("/readyz")[0] == 200

    def wait_ready(self) -> None:
        wait_for(f"gateway ready; {self.get('/readyz')} {self.logged()}", self.ready)

    def metric(self, name: str) -> float:
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
        return 0.0

    def logged(self) -> str:
        return (self.folder / "log").read_text()

    def rss_mb(self) -> float:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
        return 0.0

    def end(self, number: int = signal.SIGTERM, seconds: float = 20.0) -> int:
        if self.process.poll() is None:
            os.kill(self.process.pid, number)
        return self.process.wait(seconds)


class Publisher:
    """Publishes and knows what the broker acknowledged, or at QoS 2 completed."""

    def __init__(self, port: int, qos: int = 1) -> None:
        self.qos = qos
        self.client = Client(CallbackAPIVersion.VERSION2, client_id=f"test-{os.getpid()}-{qos}")
        self.client.max_inflight_messages_set(200)
        self.client.max_queued_messages_set(0)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> Any:
        return self.client.publish(topic, payload, qos=self.qos, retain=retain)

    def readings(
        self, count: int, *, devices: int = 8, start: int = 0
    ) -> Iterator[tuple[str, int]]:
        """Publish readings and yield (device id, seq) as each is acknowledged by the broker."""
        sent = []
        for seq in range(start, start + count):
            device = f"d{seq % devices}"
            payload = json.dumps(
                {"value": seq / 8, "ts": int(time.time() * 1000), "unit": "degC", "seq": seq}
            ).encode()
            sent.append(
                (f"plant.{device}", seq, self.publish(f"sensors/plant/{device}/temp", payload))
            )
        for device, seq, info in sent:
            info.wait_for_publish(30)
            yield device, seq

    def stop(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def seen(edge: Any) -> set[tuple[str, int]]:
    """Return device and sequence number of every reading that Kafka has."""
    return {
        (r.device_id, r.device_seq) for r in list(edge.follower.readings) if r.kind == "READING"
    }


def first_order(edge: Any) -> dict[str, list[int]]:
    """Return each device's sequence numbers in the order of their first appearance."""
    orders: dict[str, dict[int, None]] = {}
    for reading in list(edge.follower.readings):
        orders.setdefault(reading.device_id, {})[reading.device_seq] = None
    return {device: list(seqs) for device, seqs in orders.items()}


@contextmanager
def slow_disk(gateway: GatewayProcess) -> Iterator[None]:
    """Let no commit of the spool end: another holds its write lock."""
    path = gateway.folder / "data" / "spool.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        yield
