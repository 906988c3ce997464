"""The edge benchmark: drain a backlog, carry a steady load, replay real series, over a gateway.

A gateway makes its session and goes; readings queue up in the broker; a gateway comes back and
drains them to Kafka. Everything is counted at the far end.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
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
from gateway.bench.servers import BYTES_TOPIC, PREFIX, ROOT, Ends, Gateway, mock_kafka, servers
from gateway.bench.telegraf import ROOT as TELEGRAF_ROOT
from gateway.bench.telegraf import Telegraf
from schemas.failure import Failure

_SAMPLE = 20_000


Line = tuple[str, str]
"""A topic below the benchmark's own, and a payload."""


class Options(NamedTuple):
    """What to measure; servers of our own where one is empty; the folder of the spool.

    ``replay`` is published as it is, beside the readings that are made up.
    """

    readings: int
    rate: float
    seconds: float
    given: Ends
    folder: Path
    replay: Sequence[Line] = ()
    telegraf: Path | None = None
    pi_like: bool = False


class Phase(NamedTuple):
    """One phase as seen at both ends."""

    seconds: float
    before: Usage
    after: Usage
    commits: float
    flushes: int
    arrivals: list[Arrival]
    connects: int
    rewinds: int


def measure(options: Options) -> dict[str, object]:
    """Run both phases and return the figures.

    Raises:
        Failure: a part does not do its part.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=options.folder)))
        mock = mock_kafka(stack)
        ends = servers(folder, mock, options.given, stack)
        gateway = Gateway(ends, folder, pi_like=options.pi_like)
        stack.callback(gateway.kill)
        gateway.start()
        idle = usage(gateway.pid)
        gateway.stop()
        _publish(ends.mqtt, options.readings, 0)
        drain = _drain(gateway, ends, options.readings)
        steady = _steady(gateway, ends, options)
        replayed = _replay(ends, options.replay, folder / "replay")
        gateway.stop()
        figures = _drain_figures(drain, idle, options.readings)
        return {
            "kafka": "given" if options.given.kafka else "mock",
            **figures,
            **_telegraf_figures(options, ends, folder, figures),
            **_steady_figures(steady, int(options.rate * options.seconds), options.rate),
            **_bytes_figures(mock, drain.arrivals),
            **_replay_figures(mock, replayed, len(options.replay)),
        }


def _telegraf_figures(
    options: Options, ends: Ends, folder: Path, own: dict[str, object]
) -> dict[str, object]:
    if options.telegraf is None:
        return {}
    telegraf = Telegraf(options.telegraf, folder, ends.mqtt, ends.kafka, f"{PREFIX}telegraf")
    try:
        start_s = telegraf.subscribe()
        _publish(ends.mqtt, options.readings, 0, TELEGRAF_ROOT)
        drained = telegraf.drain(options.readings, start_s)
    finally:
        telegraf.stop()
    ratio = drained.cpu_us_per_reading / float(str(own["cpu_us_per_reading"]))
    return {f"telegraf_{name}": figure for name, figure in drained._asdict().items()} | {
        "telegraf_cpu_ratio": round(ratio, 2)
    }


def _publish(mqtt: str, count: int, rate: float, root: str = ROOT, *more: str) -> None:
    url = urlsplit(mqtt)
    command = [sys.executable, "-m", "gateway.bench.publish"]
    where = [str(url.hostname), str(url.port or 1883), root, str(count), str(rate), *more]
    if subprocess.run([*command, *where], stdout=subprocess.DEVNULL, check=False).returncode:
        raise Failure("the publisher failed")


def _drain(gateway: Gateway, ends: Ends, count: int) -> Phase:
    arrivals = Arrivals(ends.kafka, f"{PREFIX}readings")
    flushes = device_flushes()
    gateway.start()
    begun = time.monotonic()
    _wait_delivered(gateway, count, 300)
    seconds = time.monotonic() - begun
    commits = gateway.metric("tidegate_buffer_commits_total")
    after = usage(gateway.pid)
    flushes = device_flushes() - flushes
    came = _all(arrivals, count)
    return Phase(seconds, Usage(0.0, 0.0), after, commits, flushes, came, *_trouble(gateway))


def _steady(gateway: Gateway, ends: Ends, options: Options) -> Phase:
    arrivals = Arrivals(ends.kafka, f"{PREFIX}readings")
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
    came = _all(arrivals, count)
    return Phase(seconds, before, after, commits, flushes, came, *_trouble(gateway))


def _replay(ends: Ends, replay: Sequence[Line], file: Path) -> list[Arrival]:
    if not replay:
        return []
    file.write_text("".join(f"{topic}\t{payload}\n" for topic, payload in replay), "utf-8")
    arrivals = Arrivals(ends.kafka, f"{PREFIX}readings")
    _publish(ends.mqtt, len(replay), 0, ROOT, str(file))
    return _all(arrivals, len(replay))


def _trouble(gateway: Gateway) -> tuple[int, int]:
    """Return how often it connected to the broker and went back to its cursor."""
    names = ("tidegate_mqtt_connects_total", "tidegate_kafka_rewinds_total")
    connects, rewinds = (int(gateway.metric(name)) for name in names)
    return connects, rewinds


def _wait_delivered(gateway: Gateway, count: float, seconds: float) -> None:
    until = time.monotonic() + seconds
    while gateway.metric("tidegate_gateway_messages_delivered_total") < count:
        if time.monotonic() > until:
            return  # What is missing then counts as lost.
        time.sleep(0.05)


def _all(arrivals: Arrivals, count: int) -> list[Arrival]:
    """Give the consumer time to catch up with what Kafka has acknowledged."""
    until = time.monotonic() + 10
    while len(arrivals) < count and time.monotonic() < until:
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
        "connects": phase.connects,
        "rewinds": phase.rewinds,
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


def _replay_figures(kafka: str, arrivals: list[Arrival], count: int) -> dict[str, object]:
    if not count:
        return {}
    figures: dict[str, object] = {
        "readings": count,
        "lost": count - len({arrival.value for arrival in arrivals}),
    }
    figures |= _bytes_figures(kafka, arrivals)
    return {f"replay_{name}": figure for name, figure in figures.items()}


def _bytes_figures(kafka: str, arrivals: list[Arrival]) -> dict[str, object]:
    values = [arrival.value for arrival in arrivals[:_SAMPLE]]
    if not values:
        return {}
    avro, plain = keyed(values, as_json=False), keyed(values, as_json=True)
    sizes = {
        (name, compression): bytes_on_the_wire(kafka, BYTES_TOPIC, records, compression)
        for name, records in (("avro", avro), ("json", plain))
        for compression in ("zstd", "none")
    }
    return {
        "bytes_per_reading": round(sizes["avro", "zstd"], 2),
        "bytes_ratio_vs_json": round(sizes["avro", "zstd"] / sizes["json", "zstd"], 3),
        "bytes_per_reading_uncompressed": round(sizes["avro", "none"], 2),
        "bytes_ratio_vs_json_uncompressed": round(sizes["avro", "none"] / sizes["json", "none"], 3),
    }
