"""What the stream benchmark's engines read."""

import random
from typing import NamedTuple

from confluent_kafka import Producer

from schemas.codec import ReadingEncoder
from schemas.failure import Failure
from schemas.records import Reading
from stream.jobs.settings import Cluster


class Load(NamedTuple):
    """What is read: devices at a rate, for as long as the readings last.

    ``alarming`` is the share of the devices whose values are beyond the limit.
    """

    readings: int
    devices: int
    hz: float
    alarming: float = 0.0


def fill(cluster: Cluster, schema_id: int, load: Load, site: str, start_ms: int) -> None:
    """Produce the load, device after device within each tick, as live traffic would come."""
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
    encoder = ReadingEncoder(schema_id)
    rng = random.Random(1)
    keys = [f"{site}.device-{device}" for device in range(load.devices)]
    alarming = load.devices * load.alarming
    for index in range(load.readings):
        tick, device = divmod(index, load.devices)
        ts = start_ms + round(tick * 1000 / load.hz)
        x = rng.gauss(6.0 if device < alarming else 2.0, 0.3)
        value = encoder.encode(_reading(site, keys[device], ts, index, x))
        while True:
            try:
                producer.produce(cluster.topic("readings"), value, keys[device].encode())
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    if producer.flush(60):
        raise Failure("the benchmark's readings did not all reach Kafka")


def _reading(site: str, device: str, ts: int, index: int, value: float) -> Reading:
    return Reading(
        device, "vibration_rms", site, "READING", "mm/s", "bench", 1, value, ts, ts, None, index,
        "GOOD", index, 0, 0, ts + 50, "SYNCED", False,
    )  # fmt: skip
