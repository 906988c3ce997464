"""Readings that came after their panes had closed: what the job missed, a backfill puts right."""

import json
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import pytest
from confluent_kafka import Producer
from e2e_rig import cancel, eventually_records, prepare, records, submit
from msgspec.structs import replace
from stack_fixture import RunningStack

from compose.backfill import backfill
from compose.backfill_books import Request
from compose.lake_cli import lake_of
from compose.outbox import Outbox, Sender
from schemas.codec import encode
from schemas.contracts import contract_text
from schemas.encoders import ReadingEncoder
from schemas.records import Alert, Reading, WindowFeatures, reading_key
from schemas.registry import Registry
from schemas.topics import subject
from stream.lake import connect
from stream.rules import load_rules

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(400)]
PREFIX = "mends."
MINUTE_MS = 60_000
HOURS = 12
# In minutes of the half day: when one of two equal pumps could not be heard, and when both shake.
AWAY = (*range(180, 300), *range(510, 570))
SHAKES = (*range(240, 300), *range(480, 555))


def minutes(device: str, start_ms: int, which: Iterable[int]) -> list[Reading]:
    found = []
    for minute in which:
        ts = start_ms + minute * MINUTE_MS
        value = 6.0 if minute in SHAKES else 1.0 + 0.01 * (minute * 7 % 13)
        found.append(
            Reading(
                f"mends.{device}", "vibration_rms", "mends", "READING", "mm/s", "gw", 1, value, ts,
                ts, None, minute, "GOOD", minute, 0, 0, ts, "SYNCED", False,
            )
        )  # fmt: skip
    return found


def produce(stack: RunningStack, readings: list[Reading]) -> None:
    topic = f"{PREFIX}readings"
    registry = Registry(stack.endpoints.registry_url)
    encoder = ReadingEncoder(registry.register(subject(topic), contract_text("reading")))
    producer = Producer({"bootstrap.servers": stack.endpoints.kafka_bootstrap})
    for reading in readings:
        producer.produce(topic, encoder.encode(reading), reading.device_id.encode())
    assert producer.flush(30) == 0


def through(end_ms: int):
    def look(windows: list[WindowFeatures]) -> bool:
        return len({each.device_id for each in windows if each.window_end >= end_ms}) == 2

    return look


def as_one_pump(stack: RunningStack) -> list[dict[tuple[int, int], WindowFeatures]]:
    """The newest of each window, of either pump, under one name."""
    found = records(stack.endpoints, f"{PREFIX}windows", WindowFeatures)
    return [
        {
            (each.window_start, each.window_end): replace(each, device_id="pump", asset_id="pump")
            for each in found
            if each.device_id == device
        }
        for device in ("mends.whole", "mends.away")
    ]


def stands(stack: RunningStack, device: str) -> list[tuple[object, ...]]:
    """Every alert's newest record, without what tells of how it came to be known."""
    found = records(stack.endpoints, f"{PREFIX}alerts", Alert)
    newest = {each.alert_id: each for each in found if each.device_id == device}
    return [
        (each.state, each.severity, each.starts_at, each.ends_at, each.value, each.peak_value)
        for each in sorted(newest.values(), key=lambda alert: alert.starts_at)
    ]


def request(start_ms: int, *, dry_run: bool = False) -> Request:
    return Request(
        from_ms=start_ms,
        to_ms=start_ms + HOURS * 60 * MINUTE_MS,
        rules=load_rules("demo"),
        site="mends",
        prefix=PREFIX,
        dry_run=dry_run,
    )


def mend(stack: RunningStack, start_ms: int) -> dict:
    """Run the command; it knows the job's rules."""
    asked = request(start_ms)
    done = stack.tidegate(
        "jobs", "backfill", f"--from={asked.from_ms}", f"--to={asked.to_ms}",
        f"--prefix={PREFIX}", "--site=mends", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def counts(stack: RunningStack) -> tuple[int, int]:
    endpoints = stack.endpoints
    return (
        len(records(endpoints, f"{PREFIX}windows", WindowFeatures)),
        len(records(endpoints, f"{PREFIX}alerts", Alert)),
    )


def leave_unfinished(stack: RunningStack, folder: Path, window: WindowFeatures) -> Sender:
    """Do what a backfill does that is killed before it commits."""
    topic = f"{PREFIX}windows"
    schema_id = Registry(stack.endpoints.registry_url).register(
        subject(topic), contract_text("window_features")
    )
    sender = Sender(stack.endpoints.kafka_bootstrap, f"{PREFIX}backfill")
    with closing(Outbox(folder / "unfinished")) as outbox:
        outbox.put(
            topic, b"mends.away|vibration_rms", encode(replace(window, mean=99.0), schema_id)
        )
        sender.begin(outbox)
    return sender


def test_late_readings_are_put_right_once_and_a_second_time_nothing_is_sent(
    stack: RunningStack, tmp_path: Path
) -> None:
    prepare(stack.endpoints, PREFIX)
    submit(stack, "alerts", PREFIX, "lake", "--rules=demo", "--checkpoint-interval=1s")
    day_ms = 24 * 60 * MINUTE_MS
    start_ms = (time.time_ns() // 1_000_000 - 2 * day_ms) // day_ms * day_ms
    # Two quiet hours behind the half day bring its last windows out, and end its alerts.
    end = (HOURS + 3) * 60
    produce(stack, minutes("whole", start_ms, range(end)))
    produce(stack, minutes("away", start_ms, [m for m in range(end) if m not in AWAY]))
    eventually_records(
        stack.endpoints, f"{PREFIX}windows", WindowFeatures,
        through(start_ms + (end - 30) * MINUTE_MS),
    )  # fmt: skip
    late = minutes("away", start_ms, AWAY)
    produce(stack, late)
    told = eventually_records(
        stack.endpoints, f"{PREFIX}late", Reading, lambda found: len(found) >= len(late)
    )
    assert {reading_key(each) for each in told} == {reading_key(each) for each in late}
    whole, away = as_one_pump(stack)
    assert whole != away
    assert stands(stack, "mends.whole") != stands(stack, "mends.away")

    before = counts(stack)
    planned = backfill(stack.endpoints, request(start_ms, dry_run=True))
    assert counts(stack) == before
    unfinished = leave_unfinished(stack, tmp_path, next(iter(away.values())))
    mended = mend(stack, start_ms)
    del unfinished
    assert asdict(planned).items() <= mended.items()
    # The lake has them, once each, beside those that were on time.
    with connect(lake_of(stack.endpoints), "mends") as lake:
        asked = "SELECT count(*) FROM readings WHERE device_id = 'mends.away'"
        assert lake.execute(asked).fetchone() == (end,)
    whole, away = as_one_pump(stack)
    assert away == whole
    assert stands(stack, "mends.away") == stands(stack, "mends.whole")
    alerts = mended["alerts"]
    assert (alerts["new"], alerts["corrected"], alerts["withdrawn"]) == (1, 1, 0)
    assert alerts["unchanged"] == 2
    after = counts(stack)
    assert sum(after) == sum(before) + mended["sent"]

    assert backfill(stack.endpoints, request(start_ms)).sent == 0
    assert counts(stack) == after
    for job in ("alerts", "lake"):
        cancel(stack, job, PREFIX)
