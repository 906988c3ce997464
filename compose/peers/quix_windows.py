"""Quix Streams: count, mean and maximum of each device over 5 min every 30 s, in one process."""

import sys
from collections import Counter
from typing import Any

from quixstreams import Application
from quixstreams.dataframe.windows import Count, Max, Mean
from wire import Asked

ASKED = Asked(sys.argv[1])
SEEN: Counter[str] = Counter()


def decoded(value: bytes) -> dict[str, Any]:
    """Return what is asked of a reading."""
    reading = ASKED.reading(value)
    SEEN["readings"] += 1
    return {"value": reading["value"], "ts": int(reading["ts"].timestamp() * 1000)}


def at(row: dict[str, Any], _key: object, _timestamp: int, _headers: object) -> int:
    """Return a reading's event time, ms."""
    return int(row["ts"])


def told(_row: dict[str, Any]) -> None:
    """Count a window's row."""
    SEEN["windows"] += 1


app = Application(
    broker_address=ASKED.bootstrap,
    consumer_group=f"{ASKED.topic}-quix",
    auto_offset_reset="earliest",
    auto_create_topics=True,
    state_dir=ASKED.scratch,
    loglevel="ERROR",
)
topic = app.topic(
    ASKED.topic,
    key_deserializer="str",
    value_deserializer="bytes",
)
frame = app.dataframe(topic)
frame = frame.apply(decoded).set_timestamp(at)
frame = (
    frame.hopping_window(ASKED.size_ms, ASKED.slide_ms, grace_ms=ASKED.lateness_ms)
    .agg(count=Count(), mean=Mean("value"), most=Max("value"))
    .final()
)
frame.update(told)
app.run(timeout=15.0)
assert SEEN["readings"] == ASKED.readings, SEEN
ASKED.answer(SEEN["readings"], SEEN["windows"])
