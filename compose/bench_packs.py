"""The alerts job under the shipped packs: how many panes a second it decides, and on what.

    machines ─┬─▶ the topic ─▶ the alerts job ───▶ windows, alerts ─┐
              └─▶ the engine, alone on a core ─▶ windows, alerts ─┴─▶ as many of each?

Machines report several metrics every few minutes, so that a pane holds a reading or three: that is
the most that rules can have to do for a reading.
"""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from compose.bench_drain import Bench, Topics, alerts_job, check, tuned
from compose.bench_load import pour
from compose.local.endpoints import read
from compose.local.flink import flink_env
from compose.submissions import cluster_of
from compose.topics import apply_topics
from gateway.follow import ends
from schemas.records import Reading
from simulators.clock import DAY_MS, HOUR_MS
from simulators.message import Message
from simulators.stage import staged_messages
from simulators.staging import staged
from stream.backtest import decisions
from stream.jobs.settings import Cluster, Tuning
from stream.recorded import Series
from stream.rules import parse_rules, rules_text

_SITE = "bench"
_CLOSING_MS = Tuning().lateness_ms


class Decided(NamedTuple):
    """What the engine makes of a load: panes in, windows and records of alerts out, CPU seconds."""

    panes: int
    windows: int
    alerts: int
    cpu_s: float


def measure(
    state: Path, packs: Sequence[str], machines: int, days: int, backend: str
) -> dict[str, Any]:
    """Drain what machines report with the alerts job under each pack in turn; return the figures.

    Args:
        state: folder of the local stack, which must be up.
        packs: their names.
        machines: how many, healthy ones.
        days: how long they report; a multiple of 4, as a quarter of it is drained for the start.
        backend: where the job's state lives.

    Raises:
        Failure: a job failed, or what it wrote is not what the engine alone makes of the readings.
    """
    endpoints = read(state)
    os.environ.update(flink_env(state))
    name = f"packs{time.time_ns() // 1_000_000}"
    start_ms = (time.time_ns() // 1_000_000 // DAY_MS - days - 1) * DAY_MS
    loads = [_messages(machines, start_ms, length) for length in (days // 4, days)]
    topics = Topics(cluster_of(endpoints, f"{name}q."), cluster_of(endpoints, f"{name}."))
    for where, messages in zip(topics, loads, strict=True):
        apply_topics(where.kafka_bootstrap, where.topic_prefix, 4)
        pour(where, _readings(messages))
    figures: dict[str, Any] = {"machines": machines, "days": days}
    figures["readings"] = sum(message.readings for message in loads[1])
    bench = Bench(state, tuned(backend))
    bench.drain(
        f"{name}-warm", alerts_job(rules_text(packs[0])), topics.quarter
    )  # it loads the classes
    for pack in packs:
        figures |= _under(pack, f"{name}-{pack}", bench, topics, loads)
    return figures | {"state_backend": backend, "parallelism": bench.tuning.parallelism}


def _under(
    pack: str, name: str, bench: Bench, topics: Topics, loads: Sequence[Sequence[Message]]
) -> dict[str, float]:
    rules = rules_text(pack)
    quarter, whole = (offline(rules, messages) for messages in loads)
    before = _written(topics.whole)
    took = bench.took(name, alerts_job(rules), topics)
    windows, alerts = (now - then for now, then in zip(_written(topics.whole), before, strict=True))
    check(f"windows under {pack}", windows, whole.windows)
    check(f"alerts under {pack}", alerts, whole.alerts)
    timed = whole.panes - quarter.panes
    return {
        f"{pack}_panes_per_s": round(timed / took.wall_s),
        f"{pack}_cpu_us_per_pane": round(1e6 * took.cpu_s / timed, 1),
        f"{pack}_engine_cpu_us_per_pane": round(1e6 * whole.cpu_s / whole.panes, 1),
        f"{pack}_windows": windows,
        f"{pack}_alerts": alerts,
    }


def offline(rules: str, messages: Sequence[Message]) -> Decided:
    """Return what the engine makes of messages, alone and in this process."""
    series = _series(messages)
    began = time.process_time()
    panes = windows = alerts = 0
    for decision in decisions(parse_rules(rules), series):
        panes += 1
        windows += len(decision.windows)
        alerts += len(decision.alerts)
    return Decided(panes, windows, alerts, time.process_time() - began)


def _written(where: Cluster) -> tuple[int, int]:
    """Return how many records the topics of windows and of alerts have."""
    windows, alerts = (
        sum(ends(where.kafka_bootstrap, where.topic(topic)).values())
        for topic in ("windows", "alerts")
    )
    return windows, alerts


def _messages(machines: int, start_ms: int, days: int) -> list[Message]:
    """Return what healthy machines report, in order of time."""
    staging = staged("healthy", machines=machines, days=days)
    messages = staged_messages(_SITE, start_ms=start_ms, staging=staging)
    return sorted(messages, key=lambda message: (message.ts_ms, message.device_id))


def _readings(messages: Sequence[Message]) -> Iterator[Reading]:
    """Yield the messages' readings, and a marker that closes the last panes of each device."""
    at = 0
    for message in messages:
        for metric, value in message.values:
            yield _reading(message.device_id, "READING", metric, value, message.ts_ms, at)
            at += 1
    end_ms = -(-messages[-1].ts_ms // HOUR_MS) * HOUR_MS + _CLOSING_MS
    for device in sorted({message.device_id for message in messages}):
        yield _reading(device, "MARKER", "", 0.0, end_ms, at)
        at += 1


def _reading(device: str, kind: Any, metric: str, value: float, ts: int, at: int) -> Reading:
    return Reading(
        device, metric, _SITE, kind, None, "bench", 1, value, ts, ts, None, at,
        "GOOD", at, 0, 0, ts + 50, "SYNCED", False,
    )  # fmt: skip


def _series(messages: Iterable[Message]) -> list[Series]:
    found: dict[tuple[str, str], Series] = {}
    for message in messages:
        for metric, value in message.values:
            key = message.device_id, metric
            if key not in found:
                found[key] = Series(*key, [], _SITE)
            found[key].points.append((message.ts_ms, value))
    return list(found.values())
