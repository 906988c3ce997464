"""Rubbish put straight onto the readings topic: set aside one by one, and nobody is disturbed."""

import random
import time

import pytest
from confluent_kafka import Producer
from e2e_rig import cancel, eventually_records, prepare, records, submit
from stack_fixture import RunningStack, eventually

from compose.lake_cli import lake_of
from schemas.codec import decode, header
from schemas.contracts import contract_text
from schemas.encoders import ReadingEncoder
from schemas.records import DeadLetter, Reading, WindowFeatures
from schemas.registry import Registry
from schemas.topics import subject
from stream.jobs.cluster import call, live_job
from stream.lake import size

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]
PREFIX = "bad."
GOOD = 3000
UNDECODABLE = 1000
DAY_MS = 86_400_000
MINUTE_MS = 60_000


def good(index: int, start_ms: int) -> Reading:
    ts = start_ms + index // 3 * MINUTE_MS
    return Reading(
        f"bad.pump-{index % 3}", "vibration_rms", "bad", "READING", "mm/s", "gw", 1, 1.0 + index % 7,
        ts, ts, None, index, "GOOD", index, 0, 0, time.time_ns() // 1_000_000, "SYNCED", False,
    )  # fmt: skip


def rubbish(index: int, whole: bytes) -> bytes | None:
    """Truncated, foreign, empty, of an unknown schema, or a tombstone, in turn."""
    rng = random.Random(index)
    return (
        whole[: rng.randrange(6, len(whole) - 1)],
        b"",
        header(999_999) + whole[5:],
        None,
        rng.randbytes(40),
        b"\x01" + whole[1:],
    )[index % 6]


def test_undecodable_and_future_records_disturb_nobody(stack: RunningStack) -> None:
    endpoints = stack.endpoints
    prepare(endpoints, PREFIX)
    for job in ("lake", "alerts"):
        submit(stack, job, PREFIX, "--rules=demo", "--checkpoint-interval=2s")
    topic = f"{PREFIX}readings"
    schema_id = Registry(endpoints.registry_url).register(subject(topic), contract_text("reading"))
    encoder = ReadingEncoder(schema_id)
    producer = Producer(
        {"bootstrap.servers": endpoints.kafka_bootstrap, "partitioner": "murmur2_random"}
    )
    start_ms = (time.time_ns() // 1_000_000 - 3 * DAY_MS) // DAY_MS * DAY_MS
    bad: list[bytes | None] = []
    for index in range(GOOD):
        reading = good(index, start_ms)
        value = encoder.encode(reading)
        producer.produce(topic, value, reading.device_id.encode())
        if index % 3 == 0:
            bad.append(rubbish(len(bad), value))
            producer.produce(topic, bad[-1], reading.device_id.encode())
        producer.poll(0)
    forged = good(0, time.time_ns() // 1_000_000 + 10 * DAY_MS)
    producer.produce(topic, encoder.encode(forged), forged.device_id.encode())
    assert producer.flush(30) == 0
    assert len(bad) == UNDECODABLE

    letters = eventually_records(
        endpoints, f"{PREFIX}dead-letters", DeadLetter, lambda found: len(found) > UNDECODABLE
    )
    undecodable = [each for each in letters if each.reason == "UNDECODABLE"]
    assert sorted(each.payload for each in undecodable) == sorted(each or b"" for each in bad)
    origins = {(each.kafka_topic, each.kafka_partition, each.kafka_offset) for each in undecodable}
    assert len(origins) == UNDECODABLE
    assert all(each.detail for each in undecodable)
    (future,) = (each for each in letters if each.reason == "FUTURE")
    assert decode(Reading, future.payload) == forged

    # 1000 minutes a device give 66 panes of 15 minutes that the device's own clock has closed.
    closed = (GOOD // 3 - 1) // 15
    windows = eventually_records(
        endpoints,
        f"{PREFIX}windows",
        WindowFeatures,
        lambda found: (
            max((each.window_end for each in found), default=0)
            >= start_ms + closed * 15 * MINUTE_MS
        ),
    )
    last = {each.device_id: each for each in sorted(windows, key=lambda each: each.window_end)}
    assert [last[device].count for device in sorted(last)] == [60, 60, 60]

    lake = lake_of(endpoints)
    eventually("every good reading is in the lake", lambda: size(lake, "bad").rows >= GOOD, 60)
    assert size(lake, "bad")[1:] == (GOOD, GOOD)
    for job in ("lake", "alerts"):
        assert _restarts(stack, job) == 0
        cancel(stack, job, PREFIX)
    assert not records(endpoints, f"{PREFIX}late", Reading)


def test_the_alerts_job_reads_its_topic_once(stack: RunningStack) -> None:
    endpoints = stack.endpoints
    prepare(endpoints, "once.")
    submit(stack, "alerts", "once.", "--rules=generic")
    job = live_job(endpoints.flink_url, "tidegate-once-alerts")
    assert job is not None
    plan = call(endpoints.flink_url, f"/jobs/{job.job_id}/plan")["plan"]
    operators = " ".join(node["description"] for node in plan["nodes"])
    cancel(stack, "alerts", "once.")
    assert operators.count("Source: ") == 1
    assert operators.count("panes") == 1
    assert operators.count("decide") == 1


def _restarts(stack: RunningStack, job: str) -> int:
    running = live_job(stack.endpoints.flink_url, f"tidegate-bad-{job}")
    assert running is not None
    metrics = call(stack.endpoints.flink_url, f"/jobs/{running.job_id}/metrics?get=numRestarts")
    return int(metrics[0]["value"])
