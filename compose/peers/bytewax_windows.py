"""Bytewax: count, mean and maximum of each device over 5 min every 30 s, in one worker."""

import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import bytewax.operators as op
import bytewax.operators.windowing as win
from bytewax.connectors.kafka import operators as kop
from bytewax.connectors.stdio import StdOutSink
from bytewax.dataflow import Dataflow
from bytewax.testing import run_main
from wire import Asked

ASKED = Asked(sys.argv[1])
SEEN: Counter[str] = Counter()
Sums = tuple[int, float, float]


def keyed(message: Any) -> tuple[str, tuple[datetime, float]]:
    """Return a reading by its device and metric."""
    reading = ASKED.reading(message.value)
    SEEN["readings"] += 1
    at = datetime.fromtimestamp(reading["ts"].timestamp(), UTC)
    return f"{reading['device_id']}|{reading['metric']}", (at, reading["value"])


def add(sums: Sums, each: tuple[datetime, float]) -> Sums:
    """Fold a reading into a window."""
    count, total, most = sums
    value = each[1]
    return count + 1, total + value, max(most, value)


def join(one: Sums, other: Sums) -> Sums:
    """Merge two windows' sums."""
    return one[0] + other[0], one[1] + other[1], max(one[2], other[2])


def described(each: tuple[str, tuple[int, Sums]]) -> None:
    """Make a window's row, and pass nothing on."""
    _key, (_window, (count, total, most)) = each
    SEEN["windows"] += 1
    SEEN["counted"] += count
    assert total / count <= most


flow = Dataflow("windows")
read = kop.input("read", flow, brokers=[ASKED.bootstrap], topics=[ASKED.topic], tail=False)
by_key = op.map("key", read.oks, keyed)
windows = win.fold_window(
    "fold",
    by_key,
    win.EventClock(
        ts_getter=lambda each: each[0],
        wait_for_system_duration=timedelta(milliseconds=ASKED.lateness_ms),
    ),
    win.SlidingWindower(
        length=timedelta(milliseconds=ASKED.size_ms),
        offset=timedelta(milliseconds=ASKED.slide_ms),
        align_to=datetime.fromtimestamp(0, UTC),
    ),
    builder=lambda: (0, 0.0, float("-inf")),
    folder=add,
    merger=join,
)
op.output("out", op.filter_map("row", windows.down, described), StdOutSink())
run_main(flow)
assert SEEN["readings"] == ASKED.readings, SEEN
ASKED.answer(SEEN["readings"], SEEN["windows"])
