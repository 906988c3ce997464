"""What the stream benchmark's engines read, and how many windows are in it."""

import random
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from confluent_kafka import Producer

from compose.schemas_cli import register_contracts
from compose.topics import apply_topics
from schemas.encoders import ReadingEncoder
from schemas.failure import Failure
from schemas.records import Reading
from schemas.topics import subject
from stream.jobs.settings import Cluster, Tuning

SIZE_MS, SLIDE_MS, LATENESS_MS = 300_000, 30_000, Tuning().lateness_ms
_RULES = """
version: 1
rules:
  - name: bench
    match: {{metric: vibration_rms}}
    window: {{size: {size_s}s, slide: {slide_s}s}}
    aggregate: mean
    compare: {{op: ">=", to: value}}
    severities: [{{level: WARNING, enter: 4.5, exit: 4.0}}]
"""


class Load(NamedTuple):
    """What is read: devices at a rate, for as long as the readings last.

    ``alarming`` is the share of the devices whose values are beyond the limit. Windows are
    ``slower`` times as long as those of the question.
    """

    readings: int
    devices: int
    hz: float
    alarming: float = 0.0
    slower: int = 1

    @property
    def rules(self) -> str:
        """Return the rule file that asks the question."""
        return _RULES.format(
            size_s=self.slower * SIZE_MS // 1000, slide_s=self.slower * SLIDE_MS // 1000
        )


def yesterday_ms() -> int:
    """Return when a load begins whose times lie in no future."""
    return time.time_ns() // 1_000_000 - 86_400_000


def windows(load: Load, start_ms: int, *, at_end: bool = False) -> int:
    """Return how many windows are over, by the lateness, at the load's last readings.

    With ``at_end``, of all that hold a reading: some engines close them where the topic ends.
    """
    last_ms = start_ms + round((load.readings // load.devices - 1) * 1000 / load.hz)
    size_ms, slide_ms = load.slower * SIZE_MS, load.slower * SLIDE_MS
    ends = (last_ms + size_ms if at_end else last_ms - LATENESS_MS) // slide_ms
    return load.devices * max(0, ends - start_ms // slide_ms)


def fill(cluster: Cluster, load: Load, site: str, start_ms: int) -> None:
    """Produce the load to topics of its own, tick by tick, as live traffic would come."""
    apply_topics(cluster.kafka_bootstrap, cluster.topic_prefix, 4)
    pour(cluster, _readings(load, site, start_ms))


def pour(cluster: Cluster, readings: Iterable[Reading]) -> None:
    """Put readings onto the readings topic, each device's in this order, and wait for the broker.

    Raises:
        Failure: it does not have them all.
    """
    ids = register_contracts(cluster.registry_url, cluster.topic_prefix)
    producer = Producer(
        {
            "bootstrap.servers": cluster.kafka_bootstrap,
            "partitioner": "murmur2_random",
            "compression.type": "zstd",
            "linger.ms": 20,
            # Without it a retry changes the order, and some readings come late.
            "enable.idempotence": True,
        }
    )
    encoder = ReadingEncoder(ids[subject(cluster.topic("readings"))])
    for reading in readings:
        value = encoder.encode(reading)
        while True:
            try:
                producer.produce(cluster.topic("readings"), value, reading.device_id.encode())
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    if producer.flush(60):
        raise Failure("the readings did not all reach Kafka")


def _readings(load: Load, site: str, start_ms: int) -> Iterator[Reading]:
    rng = random.Random(1)
    devices = [f"{site}.device-{device}" for device in range(load.devices)]
    alarming = load.devices * load.alarming
    for index in range(load.readings):
        tick, device = divmod(index, load.devices)
        ts = start_ms + round(tick * 1000 / load.hz)
        x = rng.gauss(6.0 if device < alarming else 2.0, 0.3)
        yield _reading(site, devices[device], ts, index, x)


def _reading(site: str, device: str, ts: int, index: int, value: float) -> Reading:
    return Reading(
        device, "vibration_rms", site, "READING", "mm/s", "bench", 1, value, ts, ts, None, index,
        "GOOD", index, 0, 0, ts + 50, "SYNCED", False,
    )  # fmt: skip
