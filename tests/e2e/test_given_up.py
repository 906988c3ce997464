"""Alerts whose transaction Kafka gave up while their job was down: told of, and put right."""

import json
import re
import shlex
import time
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from e2e_rig import Readings, cancel, eventually_records, prepare, records, submit
from msgspec.structs import replace
from stack_fixture import RunningStack, eventually

from gateway.follow import decoder, ends, follow
from schemas.records import Alert

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(1200)]
LOST, CALM = "undone.", "done."
PUMPS = ("given.over", "given.stands", "given.later")
T0 = 1_699_999_200_000  # 2023-11-14 22:00 UTC
MINUTE_MS = 60_000
TIMEOUT_S = 120
"""How long the brokers keep the job's transactions here."""
HOT = {"given.over": range(20, 60), "given.stands": range(70, 130), "given.later": range(140, 170)}
"""Minutes in which a pump is hot: over and half over before the job goes down, and after."""
DOWN, END = 100, 240
RULES = """version: 1
rules:
  - name: hot
    match: {metric: temperature}
    window: {size: 5m, slide: 5m}
    aggregate: mean
    compare: {op: ">=", to: value}
    severities: [{level: WARNING, enter: 80}]
"""


def play(stack: RunningStack, first: int, upto: int) -> None:
    """Give both jobs the same readings, a minute each."""
    for prefix in (LOST, CALM):
        readings = Readings(stack.endpoints, prefix)
        for minute in range(first, upto):
            for pump in PUMPS:
                value = (90.0 if minute in HOT[pump] else 20.0) + minute % 3
                readings.put(pump, "temperature", value, T0 + minute * MINUTE_MS)
        readings.flush()


def written(stack: RunningStack) -> list[Alert]:
    """Everything that the job has written, committed or not."""
    endpoints = stack.endpoints
    decoded = decoder(Alert, endpoints.registry_url)
    topic = f"{LOST}alerts"
    return [
        decoded(message.value())
        for batch in follow(endpoints.kafka_bootstrap, topic, until_end=True, committed_only=False)
        for message in batch
    ]


def nothing_is_open(stack: RunningStack) -> bool:
    """Say whether the brokers have ended every transaction on the topic, one way or the other."""
    bootstrap, topic = stack.endpoints.kafka_bootstrap, f"{LOST}alerts"
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "given-up"})
    try:  # for readers of committed records a partition ends where the first open one begins
        return all(
            consumer.get_watermark_offsets(TopicPartition(topic, partition), 10)[1] == end
            for partition, end in ends(bootstrap, topic).items()
        )
    finally:
        consumer.close()


def stands(found: list[Alert]) -> dict[str, Alert]:
    """Every alert's newest record, without what tells of how it came to be known."""
    return {
        each.alert_id: replace(
            each, event="FIRED", seq=0, late=False, prev_state=None, prev_severity=None
        )
        for each in found
    }


def events(found: list[Alert]) -> list[str]:
    """By time: the topic has two partitions."""
    return [each.event for each in sorted(found, key=lambda each: (each.window_end, each.late))]


def committed(stack: RunningStack, prefix: str) -> list[Alert]:
    return records(stack.endpoints, f"{prefix}alerts", Alert)


def command_in(told: str) -> list[str]:
    found = re.search(r"tidegate (jobs backfill --prefix=undone\. --from=\S+ --to=\S+)", told)
    assert found is not None, told
    return shlex.split(found[1])


def problems(stack: RunningStack) -> list[str]:
    done = stack.tidegate("jobs", "status", "alerts", f"--prefix={LOST}", "--json")
    assert done.returncode == 0, done.stderr
    return [each for each in json.loads(done.stdout)[0]["problems"] if "missing" in each]


def go_down(stack: RunningStack, fired: int) -> None:
    """Stop the job hard, its alerts in a snapshot and in a transaction that nobody commits.

    A savepoint of a job that runs on is a snapshot whose transaction only the next checkpoint
    commits, and that one would come after an hour.
    """
    eventually(f"{fired} records are written", lambda: len(written(stack)) >= fired)
    saved = stack.tidegate("jobs", "savepoint", "alerts", f"--prefix={LOST}")
    assert saved.returncode == 0, saved.stderr
    cancel(stack, "alerts", LOST)
    assert committed(stack, LOST) == []


def backfill(stack: RunningStack, words: list[str]) -> dict[str, Any]:
    done = stack.tidegate(*words, "--json")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_alerts_of_a_transaction_that_expired_are_named_and_a_backfill_sends_them(
    stack: RunningStack, tmp_path: Any
) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    for prefix in (LOST, CALM):
        prepare(stack.endpoints, prefix)
    submit(stack, "alerts", CALM, f"--rules={rules}", "--checkpoint-interval=1s")
    submit(stack, "lake", LOST, "--checkpoint-interval=1s")
    submit(
        stack, "alerts", LOST, f"--rules={rules}", "--checkpoint-interval=1h",
        f"--transaction-timeout={TIMEOUT_S}s",
    )  # fmt: skip
    play(stack, 0, DOWN)
    before = eventually_records(
        stack.endpoints, f"{CALM}alerts", Alert, lambda found: len(found) >= 3
    )
    assert events(before) == ["FIRED", "RESOLVED", "FIRED"]
    go_down(stack, len(before))
    begun = time.monotonic()
    eventually("the brokers gave the transaction up", lambda: nothing_is_open(stack), 240)
    waited = time.monotonic() - begun

    words = ("jobs", "submit", "alerts", f"--prefix={LOST}", f"--rules={rules}")
    again = stack.tidegate(*words, "--checkpoint-interval=1s", "--parallelism=2")
    assert again.returncode == 0, again.stderr
    print(again.stderr)
    assert "warning: undone-alerts: 2 alerts missing on undone.alerts" in again.stderr
    repair = command_in(again.stderr)

    play(stack, DOWN, END)
    calm = eventually_records(
        stack.endpoints, f"{CALM}alerts", Alert, lambda found: len(found) >= 6
    )
    mine = eventually_records(
        stack.endpoints, f"{LOST}alerts", Alert, lambda found: len(found) >= 3
    )
    # It goes on behind what is lost: one alert's end has come, of another nothing.
    lost = {(each.alert_id, each.seq) for each in calm} - {(m.alert_id, m.seq) for m in mine}
    assert lost == {(each.alert_id, each.seq) for each in before}
    assert events(mine) == ["RESOLVED", "FIRED", "RESOLVED"]
    (problem,) = eventually("Flink counts it", lambda: problems(stack), 60)
    assert "1 alert missing" in problem
    assert "given.over hot WARNING RESOLVED" in problem
    logs = stack.tidegate("jobs", "logs", "alerts", f"--prefix={LOST}", "-n", "1000")
    assert "KafkaCommitter Unable to commit transaction" in logs.stdout

    mended = backfill(stack, repair)
    assert mended["sent"] == mended["alerts"]["new"] == 1
    mine = committed(stack, LOST)
    assert stands(mine) == stands(calm)
    assert events(mine) == ["CORRECTED", "RESOLVED", "FIRED", "RESOLVED"]
    assert backfill(stack, repair)["sent"] == 0
    assert problems(stack) == []
    print(
        f"given up {waited:.0f} s after the job went down: {len(lost)} of {len(calm)} records of "
        f"{len(stands(calm))} alerts lost, 1 alert missing; {mended['sent']} record sent by {repair}"
    )
    for job, prefix in (("alerts", LOST), ("lake", LOST), ("alerts", CALM)):
        cancel(stack, job, prefix)
