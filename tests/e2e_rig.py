"""What the end-to-end tests share: a stack, gateways on it, jobs, and reading what came out."""

import json
import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from confluent_kafka import Producer
from paho.mqtt.client import Client, MQTTMessageInfo
from stack_fixture import RunningStack, eventually

from compose.local.endpoints import Endpoints
from compose.processes import command, end, ready_url, start
from compose.schemas_cli import register_contracts
from compose.topics import apply_topics
from gateway.follow import decoder, follow
from schemas.contracts import contract_text
from schemas.encoders import ReadingEncoder
from schemas.records import Alert, DeadLetter, Reading, WindowFeatures
from schemas.registry import Registry
from schemas.topics import subject

R = TypeVar("R", Reading, WindowFeatures, Alert, DeadLetter)


def prepare(endpoints: Endpoints, prefix: str, partitions: int = 2) -> None:
    """Create a test's own topics and contracts."""
    apply_topics(endpoints.kafka_bootstrap, prefix, partitions)
    register_contracts(endpoints.registry_url, prefix)


def submit(stack: RunningStack, job: str, prefix: str, *words: str) -> None:
    done = stack.tidegate("jobs", "submit", job, f"--prefix={prefix}", *words)
    assert done.returncode == 0, done.stderr


def cancel(stack: RunningStack, job: str, prefix: str) -> None:
    done = stack.tidegate("jobs", "cancel", job, f"--prefix={prefix}")
    assert done.returncode == 0, done.stderr


def stop(stack: RunningStack, job: str, prefix: str) -> None:
    """Stop a job with a savepoint, so that nothing is on its way any more."""
    done = stack.tidegate("jobs", "stop", job, f"--prefix={prefix}")
    assert done.returncode == 0, done.stderr


def gateway_toml(
    folder: Path,
    endpoints: Endpoints,
    admin_port: int,
    *,
    name: str,
    prefix: str,
    site: str = "{site}",
    min_quiet: str = "2m",
) -> Path:
    """Write a gateway's configuration of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "gateway.toml"
    fixed = "" if site == "{site}" else f'site = "{site}"\n'
    path.write_text(
        f"""
[gateway]
id = "{name}"
data_dir = {json.dumps(str(folder / "data"))}
[mqtt]
url = "{endpoints.mqtt_url}"
client_id = "tidegate-{name}-{prefix.rstrip(".")}"
[kafka]
bootstrap_servers = "{endpoints.kafka_bootstrap}"
topic_prefix = "{prefix}"
allow_insecure = true
[registry]
url = "{endpoints.registry_url}"
[admin]
listen = "127.0.0.1:{admin_port}"
[markers]
min_quiet = "{min_quiet}"
[[routes]]
topic = "sensors/{site}/{{device}}/{{metric}}"
payload = "json"
{fixed}
[[routes]]
topic = "machines/{site}/{{device}}"
payload = "metrics"
{fixed}
"""
    )
    return path


def cut_off(config: Path) -> Path:
    """Write how the same gateway, with its spool and its session, runs with Kafka out of reach."""
    path = config.with_name("cut.toml")
    away = re.sub(
        'bootstrap_servers = ".*"', 'bootstrap_servers = "127.0.0.1:9"', config.read_text()
    )
    path.write_text(away)
    return path


class Gateway:
    """A gateway process that a test may kill and start again."""

    def __init__(self, config: Path) -> None:
        self.config = config
        self.log = config.parent / "gateway.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, ready: bool = True) -> None:
        self.process = start(command("gateway", "run", "-c", str(self.config)), self.log)
        if ready:
            eventually(f"the gateway is ready; its log is {self.log}", self.is_ready)

    def is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        try:
            with urllib.request.urlopen(ready_url(self.config), timeout=2):
                return True
        except OSError:
            return False

    def kill(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        assert self.process is not None
        return end(self.process)


@contextmanager
def gateway(config: Path) -> Iterator[Gateway]:
    it = Gateway(config)
    it.start()
    try:
        yield it
    finally:
        it.stop()


class Readings:
    """Puts readings onto a test's topic, sound ones with the device's own time."""

    def __init__(self, endpoints: Endpoints, prefix: str) -> None:
        self._topic = f"{prefix}readings"
        registry = Registry(endpoints.registry_url)
        schema_id = registry.register(subject(self._topic), contract_text("reading"))
        self._encoder = ReadingEncoder(schema_id)
        # Without idempotence a retry changes the order.
        self._producer = Producer(
            {
                "bootstrap.servers": endpoints.kafka_bootstrap,
                "linger.ms": 0,
                "enable.idempotence": True,
            }
        )

    def put(self, device: str, metric: str, value: float, ts: int, **how: Any) -> None:
        """Put one; ``how`` is what the producer is told beside it."""
        reading = Reading(
            device, metric, device.partition(".")[0], "READING", None, "gw", 1, value, ts, ts, None,
            ts, "GOOD", ts, 0, 0, ts, "SYNCED", False,
        )  # fmt: skip
        self.send(reading, **how)

    def send(self, reading: Reading, **how: Any) -> None:
        """Put one as it is."""
        value, key = self._encoder.encode(reading), reading.device_id.encode()
        while True:
            try:
                self._producer.produce(self._topic, value, key, **how)
            except BufferError:
                self._producer.poll(0.1)
            else:
                return

    def flush(self) -> None:
        assert self._producer.flush(30) == 0


def send(client: Client, topic: str, payload: object) -> MQTTMessageInfo:
    """Publish what a sensor says; :func:`await_sent` waits until the broker has it."""
    return client.publish(topic, json.dumps(payload), qos=1)


def await_sent(sent: Iterable[MQTTMessageInfo]) -> None:
    """Wait until the broker has all of these messages."""
    for each in sent:
        each.wait_for_publish(30)
        assert each.is_published()


def records(endpoints: Endpoints, topic: str, kind: type[R]) -> list[R]:
    """Return everything committed on a topic as of now."""
    decoded = decoder(kind, endpoints.registry_url)
    return [
        decoded(message.value())
        for batch in follow(endpoints.kafka_bootstrap, topic, until_end=True)
        for message in batch
    ]


def eventually_records(
    endpoints: Endpoints,
    topic: str,
    kind: type[R],
    enough: Callable[[list[R]], Any],
    seconds: float = 180.0,
) -> list[R]:
    """Poll a topic until there is enough on it."""
    found: list[R] = []

    def look() -> Any:
        found[:] = records(endpoints, topic, kind)
        return enough(found)

    try:
        eventually(f"enough on {topic}", look, seconds)
    except AssertionError as error:
        raise AssertionError(f"{error}; there are {len(found)}, the last {found[-3:]}") from error
    return found


def ledger_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
