"""Scenarios held against rules, offline: the readings of a staging, and what alerts it raised."""

from collections import defaultdict
from collections.abc import Iterable

from schemas.records import Alert
from simulators.clock import parse_time
from simulators.stage import staged_messages
from simulators.staging import Staging, truths
from stream.backtest import Series, run
from stream.rules import load_rules

START = parse_time("2026-01-05")


def series(staging: Staging) -> list[Series]:
    found: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
    for message in staged_messages("s", start_ms=START, staging=staging):
        for metric, value in message.values:
            found[message.device_id, metric].append((message.ts_ms, value))
    return [Series(*of, sorted(points)) for of, points in found.items()]


def raised(staging: Staging, pack: str) -> list[Alert]:
    return run(load_rules(pack), series(staging))


def unfounded(staging: Staging, alerts: Iterable[Alert]) -> list[Alert]:
    every = list(alerts)
    return [each for truth in truths(staging, "s", START) for each in truth.unfounded(every)]
