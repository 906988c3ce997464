"""The servers of the benchmark, given or our own, and the gateway process between them."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from gateway.bench.mosquitto import Mosquitto, free_port
from gateway.bench.registry import SmallRegistry
from schemas.failure import Failure, Unavailable

# Topics and a session of its own: the servers may be in use by others.
ROOT = f"tidegate-bench/{os.getpid()}"
PREFIX = f"tidegate-bench-{os.getpid()}."
_PARTITIONS = 4
# One partition, and never on a Kafka that others use: both forms fill the same batches.
BYTES_TOPIC = "bench.bytes"
_CONFIG = """\
[gateway]
id = "bench"
data_dir = "{folder}/data"
[mqtt]
url = "{mqtt}"
client_id = "tidegate-bench-{run}"
session_expiry = "10m"
[kafka]
bootstrap_servers = "{kafka}"
topic_prefix = "{prefix}"
[registry]
url = "{registry}"
[admin]
listen = "127.0.0.1:{admin}"
[[routes]]
topic = "{root}/{{site}}/{{device}}/{{metric}}"
payload = "json"
"""


class Ends(NamedTuple):
    """The servers in use."""

    mqtt: str
    kafka: str
    registry: str


def servers(folder: Path, mock: str, given: Ends, stack: ExitStack) -> Ends:
    """Return the servers to use: those given, and our own where one is empty.

    Raises:
        Unavailable: one is not to be had.
    """
    mqtt, kafka, registry = given
    if not mqtt:
        broker = Mosquitto(folder / "mosquitto")
        stack.callback(broker.stop)
        mqtt = broker.url
    if not registry:
        small = SmallRegistry()
        stack.callback(small.stop)
        registry = small.url
    if kafka:
        _own_topics(kafka, stack)
    return Ends(mqtt, kafka or mock, registry)


def _own_topics(kafka: str, stack: ExitStack) -> None:
    """Create the benchmark's topics, to be deleted at the end."""
    admin = AdminClient({"bootstrap.servers": kafka})
    config = {"message.timestamp.type": "LogAppendTime"}
    topics = [
        NewTopic(f"{PREFIX}readings", _PARTITIONS, config=config),
        NewTopic(f"{PREFIX}dead-letters", 1, config=config),
        NewTopic(f"{PREFIX}telegraf", _PARTITIONS, config=config),
    ]
    try:
        for future in admin.create_topics(topics, request_timeout=20).values():
            future.result()
    except KafkaException as error:
        raise Unavailable(f"Kafka {kafka}: cannot create topics: {error}") from error
    stack.callback(
        lambda: [f.result() for f in admin.delete_topics([t.topic for t in topics]).values()]
    )


def mock_kafka(stack: ExitStack) -> str:
    """Start librdkafka's mock cluster and return its bootstrap servers."""
    topics = [
        f"{PREFIX}readings:{_PARTITIONS}",
        f"{PREFIX}dead-letters:1",
        f"{PREFIX}telegraf:{_PARTITIONS}",
        f"{BYTES_TOPIC}:1",
    ]
    mock = stack.enter_context(
        subprocess.Popen(
            [sys.executable, "-m", "gateway.bench.mock_kafka", *topics],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
    )
    assert mock.stdin is not None
    assert mock.stdout is not None
    stack.callback(mock.stdin.close)
    return mock.stdout.readline().strip()


class Gateway:
    """A real gateway process, started and stopped."""

    def __init__(self, ends: Ends, folder: Path, *, pi_like: bool = False) -> None:
        program = "gateway.bench.pi_like" if pi_like else "compose.cli"
        self._command = [sys.executable, "-m", program, "gateway", "run", "-c"]
        self._admin = free_port()
        self._config = folder / "gateway.toml"
        self._config.write_text(
            _CONFIG.format(
                folder=folder,
                run=os.getpid(),
                prefix=PREFIX,
                admin=self._admin,
                root=ROOT,
                **ends._asdict(),
            ),
            "utf-8",
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Return the process's id."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it is ready.

        Raises:
            Failure: it is not.
        """
        self._process = subprocess.Popen([*self._command, str(self._config)])
        until = time.monotonic() + 30
        while time.monotonic() < until:
            if self._process.poll() is not None:
                raise Failure(f"the gateway ended with {self._process.returncode}")
            if self._get("/readyz") is not None:
                return
            time.sleep(0.02)
        raise Unavailable("the gateway is not ready within 30 s")

    def metric(self, name: str) -> float:
        """Return one of its metrics without labels, 0 when it does not answer."""
        for line in (self._get("/metrics") or "").splitlines():
            if line.startswith(f"{name} "):
                return float(line.split()[1])
        return 0.0

    def stop(self) -> None:
        """End it as an operator would.

        Raises:
            Failure: it does not end well.
        """
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        if self._process.wait(20):
            raise Failure(f"the gateway ended with {self._process.returncode}")

    def kill(self) -> None:
        """Make sure that it is gone."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _get(self, path: str) -> str | None:
        try:
            url = f"http://127.0.0.1:{self._admin}{path}"
            with urllib.request.urlopen(url, timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return None
