"""The job commands as a data engineer uses them."""

import time
from pathlib import Path

import pytest
from confluent_kafka import Producer
from e2e_rig import cancel, prepare, submit
from stack_fixture import RunningStack, eventually

from compose.lake_cli import lake_of
from schemas.contracts import contract_text
from schemas.encoders import ReadingEncoder
from schemas.records import Reading
from schemas.registry import Registry
from schemas.topics import subject
from stream.jobs.cluster import live_job
from stream.lake import size

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]
PREFIX = "stops."
COUNT = 500


def produce(stack: RunningStack, first: int) -> None:
    endpoints = stack.endpoints
    topic = f"{PREFIX}readings"
    registry = Registry(endpoints.registry_url)
    encoder = ReadingEncoder(registry.register(subject(topic), contract_text("reading")))
    producer = Producer({"bootstrap.servers": endpoints.kafka_bootstrap})
    now_ms = time.time_ns() // 1_000_000
    for seq in range(first, first + COUNT):
        reading = Reading(
            "stops.pump", "temperature", "stops", "READING", None, "gw", 1, 20.5, now_ms, now_ms,
            None, seq, "GOOD", seq, 0, 0, now_ms, "SYNCED", False,
        )  # fmt: skip
        producer.produce(topic, encoder.encode(reading), b"stops.pump")
    assert producer.flush(30) == 0


def test_a_stopped_job_goes_on_from_its_savepoint(stack: RunningStack) -> None:
    prepare(stack.endpoints, PREFIX)
    submit(stack, "lake", PREFIX, "--checkpoint-interval=2s")
    again = stack.tidegate("jobs", "submit", "lake", f"--prefix={PREFIX}")
    assert "stops-lake: runs already as" in again.stdout
    lake = lake_of(stack.endpoints)
    produce(stack, 0)
    eventually("the first readings are in the lake", lambda: size(lake, "stops").rows >= COUNT)
    stopped = stack.tidegate("jobs", "stop", "lake", f"--prefix={PREFIX}")
    assert stopped.returncode == 0, stopped.stderr
    savepoint = stopped.stdout.split()[-1]
    assert savepoint.startswith("s3://lake/_flink/savepoints/")
    produce(stack, COUNT)
    resumed = stack.tidegate(
        "jobs", "submit", "lake", f"--prefix={PREFIX}", "--checkpoint-interval=2s"
    )
    assert f", from {savepoint}" in resumed.stdout, resumed.stderr
    eventually("the others are, too", lambda: size(lake, "stops").rows >= 2 * COUNT)
    assert size(lake, "stops")[1:] == (2 * COUNT, 2 * COUNT)
    _refused_and_looked_at(stack)
    cancel(stack, "lake", PREFIX)
    told = stack.tidegate("jobs", "stop", "lake", f"--prefix={PREFIX}")
    assert told.returncode == 1
    assert told.stderr == "error: stops-lake does not run; `tidegate jobs list` shows what does\n"


def _refused_and_looked_at(stack: RunningStack) -> None:
    """With one instance, Flink chains the lake's operators otherwise: their state has no place."""
    running = live_job(stack.endpoints.flink_url, "tidegate-stops-lake")
    assert running is not None
    refused = stack.tidegate("jobs", "upgrade", "lake", f"--prefix={PREFIX}", "--parallelism=1")
    assert refused.returncode == 78
    assert "StreamingFileWriter" in refused.stderr
    assert "nothing was changed" in refused.stderr
    assert live_job(stack.endpoints.flink_url, "tidegate-stops-lake") == running
    taken = stack.tidegate("jobs", "savepoint", "lake", f"--prefix={PREFIX}")
    assert taken.stdout.startswith(f"s3://lake/_flink/savepoints/{running.job_id}/"), taken.stderr
    told = stack.tidegate("jobs", "logs", "lake", f"--prefix={PREFIX}")
    assert running.job_id in told.stdout, told.stderr


def test_wrong_rules_are_refused_before_anything_starts(
    stack: RunningStack, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("version: 1\nrules:\n  - name: a\n    matsch: {metric: x}\n")
    done = stack.tidegate("jobs", "submit", "alerts", f"--rules={rules}")
    assert done.returncode == 78
    assert f"{rules}:4: " in done.stderr
    assert "match" in done.stderr
    assert "Traceback" not in done.stderr
