"""The edge benchmark: drain a backlog, then carry a steady load, with a gateway process between.

A gateway makes its session and goes; readings queue up in the broker; a gateway comes back and
drains them to Kafka. Everything is counted at the far end.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from gateway.bench.measure import (
    Arrival,
    Arrivals,
    Usage,
    bytes_on_the_wire,
    device_flushes,
    keyed,
    usage,
)
from gateway.bench.mosquitto import Mosquitto, free_port
from gateway.bench.registry import SmallRegistry
from schemas.failure import Failure, Unavailable

_PREFIX = "tidegate."
_SAMPLE = 20_000
# One partition, and never on a Kafka that others use: both forms fill the same batches.
_BYTES_TOPIC = "bench.bytes"
_CONFIG = """\
[gateway]
id = "bench"
data_dir = "{folder}/data"
[mqtt]
url = "{mqtt}"
client_id = "tidegate-bench-{run}"
[kafka]
bootstrap_servers = "{kafka}"
topic_prefix = "{prefix}"
[registry]
url = "{registry}"
[admin]
listen = "127.0.0.1:{admin}"
[[routes]]
topic = "sensors/{{site}}/{{device}}/{{metric}}"
payload = "json"
"""


class Options(NamedTuple):
    """What to measure, and against what; None starts a part of our own."""

    readings: int
    rate: float
    seconds: float
    mqtt: str | None
    kafka: str | None
    registry: str | None
    folder: Path


class Ends(NamedTuple):
    """The servers in use."""

    mqtt: str
    kafka: str
    registry: str


class Phase(NamedTuple):
    """One phase as seen at both ends."""

    seconds: float
    before: Usage
    after: Usage
    commits: float
    flushes: int
    arrivals: list[Arrival]


def measure(options: Options) -> dict[str, object]:
    """Run both phases and return the figures.

    Raises:
        Failure: a part does not do its part.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=options.folder)))
        # The broker drops its privileges and must still reach its own folder below.
        folder.chmod(0o755)
        mock = _mock_kafka(stack)
        ends = _ends(options, folder, mock, stack)
        gateway = _Gateway(ends, folder)
        stack.callback(gateway.kill)
        gateway.start()
        idle = usage(gateway.pid)
        gateway.stop()
        _publish(ends.mqtt, options.readings, 0)
        drain = _drain(gateway, ends, options.readings)
        steady = _steady(gateway, ends, options)
        gateway.stop()
        return {
            **_drain_figures(drain, idle, options.readings),
            **_steady_figures(steady, int(options.rate * options.seconds), options.rate),
            **_bytes_figures(mock, drain.arrivals),
        }


def _ends(options: Options, folder: Path, mock: str, stack: ExitStack) -> Ends:
    mqtt, registry = options.mqtt, options.registry
    if mqtt is None:
        broker = Mosquitto(folder / "mosquitto")
        stack.callback(broker.stop)
        mqtt = broker.url
    if registry is None:
        small = SmallRegistry()
        stack.callback(small.stop)
        registry = small.url
    return Ends(mqtt, options.kafka or mock, registry)


def _mock_kafka(stack: ExitStack) -> str:
    topics = [f"{_PREFIX}readings:4", f"{_PREFIX}dead-letters:1", f"{_BYTES_TOPIC}:1"]
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


class _Gateway:
    """A real gateway process, started and stopped."""

    def __init__(self, ends: Ends, folder: Path) -> None:
        self._admin = free_port()
        self._config = folder / "gateway.toml"
        self._config.write_text(
            _CONFIG.format(
                folder=folder, run=os.getpid(), prefix=_PREFIX, admin=self._admin, **ends._asdict()
            ),
            "utf-8",
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        command = [sys.executable, "-m", "compose.cli", "gateway", "run", "-c", str(self._config)]
        self._process = subprocess.Popen(command)
        until = time.monotonic() + 30
        while time.monotonic() < until:
            if self._process.poll() is not None:
                raise Failure(f"the gateway ended with {self._process.returncode}")
            if self._get("/readyz") is not None:
                return
            time.sleep(0.02)
        raise Unavailable("the gateway is not ready within 30 s")

    def metric(self, name: str) -> float:
        for line in (self._get("/metrics") or "").splitlines():
            if line.startswith(f"{name} "):
                return float(line.split()[1])
        return 0.0

    def stop(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        if self._process.wait(20):
            raise Failure(f"the gateway ended with {self._process.returncode}")

    def kill(self) -> None:
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


def _publish(mqtt: str, count: int, rate: float) -> None:
    url = urlsplit(mqtt)
    command = [sys.executable, "-m", "gateway.bench.publish"]
    where = [str(url.hostname), str(url.port or 1883), str(count), str(rate)]
    if subprocess.run([*command, *where], stdout=subprocess.DEVNULL, check=False).returncode:
        raise Failure("the publisher failed")


def _drain(gateway: _Gateway, ends: Ends, count: int) -> Phase:
    arrivals = Arrivals(ends.kafka, f"{_PREFIX}readings")
    flushes = device_flushes()
    gateway.start()
    begun = time.monotonic()
    _wait_delivered(gateway, count, 300)
    seconds = time.monotonic() - begun
    commits = gateway.metric("tidegate_buffer_commits_total")
    after = usage(gateway.pid)
    flushes = device_flushes() - flushes
    return Phase(seconds, Usage(0.0, 0.0), after, commits, flushes, _all(arrivals, count))


def _steady(gateway: _Gateway, ends: Ends, options: Options) -> Phase:
    arrivals = Arrivals(ends.kafka, f"{_PREFIX}readings")
    count = int(options.rate * options.seconds)
    flushes, before = device_flushes(), usage(gateway.pid)
    done = gateway.metric("tidegate_gateway_messages_delivered_total")
    commits = gateway.metric("tidegate_buffer_commits_total")
    begun = time.monotonic()
    _publish(ends.mqtt, count, options.rate)
    seconds = time.monotonic() - begun
    _wait_delivered(gateway, done + count, 60)
    commits = gateway.metric("tidegate_buffer_commits_total") - commits
    after = usage(gateway.pid)
    flushes = device_flushes() - flushes
    return Phase(seconds, before, after, commits, flushes, _all(arrivals, count))


def _wait_delivered(gateway: _Gateway, count: float, seconds: float) -> None:
    until = time.monotonic() + seconds
    while gateway.metric("tidegate_gateway_messages_delivered_total") < count:
        if time.monotonic() > until:
            return  # What is missing then counts as lost.
        time.sleep(0.05)


def _all(arrivals: Arrivals, count: int) -> list[Arrival]:
    """Give the consumer time to catch up with what Kafka has acknowledged."""
    until = time.monotonic() + 10
    while len(arrivals.records) < count and time.monotonic() < until:
        time.sleep(0.05)
    return arrivals.stop()


def _drain_figures(phase: Phase, idle: Usage, count: int) -> dict[str, object]:
    stamps = [arrival.appended_ms for arrival in phase.arrivals]
    # The gateway starts draining before it is ready; the topic tells when it began.
    span_s = (max(stamps) - min(stamps)) / 1000 if stamps else phase.seconds
    distinct = len({arrival.seq for arrival in phase.arrivals})
    return {
        "readings": count,
        "cpu_us_per_reading": round(1e6 * (phase.after.cpu_s - idle.cpu_s) / count, 2),
        "readings_per_s": round(count / span_s),
        "rss_mb": round(phase.after.peak_rss_mb, 1),
        "lost": count - distinct,
        "duplicates": len(phase.arrivals) - distinct,
        "commits": int(phase.commits),
        "device_flushes": phase.flushes,
    }


def _steady_figures(phase: Phase, count: int, rate: float) -> dict[str, object]:
    delays = sorted(arrival.appended_ms - arrival.seq / 1000 for arrival in phase.arrivals)
    distinct = len({arrival.seq for arrival in phase.arrivals})

    def at(share: float) -> float:
        return round(delays[min(int(share * len(delays)), len(delays) - 1)], 2) if delays else -1

    return {
        "p50_ms": at(0.50),
        "p99_ms": at(0.99),
        "steady_rate": rate,
        "steady_reached_rate": round(count / phase.seconds),
        "steady_cpu_us_per_reading": round(
            1e6 * (phase.after.cpu_s - phase.before.cpu_s) / count, 2
        ),
        "steady_rss_mb": round(phase.after.peak_rss_mb, 1),
        "steady_lost": count - distinct,
        "steady_duplicates": len(phase.arrivals) - distinct,
        "steady_commits": int(phase.commits),
        "steady_device_flushes": phase.flushes,
    }


def _bytes_figures(kafka: str, arrivals: list[Arrival]) -> dict[str, object]:
    values = [arrival.value for arrival in arrivals[:_SAMPLE]]
    if not values:
        return {}
    avro, plain = keyed(values, as_json=False), keyed(values, as_json=True)
    sizes = {
        (name, compression): bytes_on_the_wire(kafka, _BYTES_TOPIC, records, compression)
        for name, records in (("avro", avro), ("json", plain))
        for compression in ("zstd", "none")
    }
    return {
        "bytes_per_reading": round(sizes["avro", "zstd"], 2),
        "bytes_ratio_vs_json": round(sizes["avro", "zstd"] / sizes["json", "zstd"], 3),
        "bytes_per_reading_uncompressed": round(sizes["avro", "none"], 2),
        "bytes_ratio_vs_json_uncompressed": round(sizes["avro", "none"] / sizes["json", "none"], 3),
    }
