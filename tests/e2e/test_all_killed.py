"""Every job and every sink while all that they stand on is killed: row by row as if undisturbed."""

import os
import random
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice
from pathlib import Path
from typing import Any

import msgspec
import pytest
from all_jobs import PARTITIONS, Out, Run, all_jobs, await_checkpoints, await_out, paced
from sink_rig import asked
from stack_fixture import RunningStack

from compose.bench_load import pour
from compose.lake_cli import lake_of
from compose.local.state import holder
from compose.sinks import postgres_of
from compose.submissions import cluster_of
from gateway.follow import ends
from schemas.records import Alert, Reading, WindowFeatures
from stream.archived import ARCHIVED
from stream.lake import connect
from stream.lake_tables import TABLES
from stream.sinks.postgres import connected
from stream.sinks.warehouse import WAREHOUSE

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(7200)]
READINGS = 4_000_000
DEVICES = 200
# In this order, each in the midst of a part of the readings, once all jobs run again.
STRIKES = [
    {"T": "taskmanager", "J": "jobmanager", "K": "kafka", "S": "s3"}[each]
    for each in "TSTKJTTJTTTJTTT"
]
S3_AWAY_S = 60.0
# A part lasts for longer than most recoveries, so that what comes back has readings waiting.
PER_S = 8_000
RECOVERY_S = 900.0
DAY_MS = 86_400_000
# Yesterday's midnight is in the midst: the lake has two days.
START_MS = (time.time_ns() // 1_000_000 // DAY_MS - 1) * DAY_MS - 9_000_000
RULES = """
version: 1
baselines:
  slow: {kind: decayed, n0: 6400, counted_every: 5m, warmup: 10, floor_rel: 1e-3}
rollups:
  - {metric: "*", size: 1h}
rules:
  - name: shakes
    match: {metric: vibration_rms}
    window: {size: 5m, slide: 1m}
    aggregate: rms
    compare: {op: ">=", to: value}
    severities:
      - {level: WARNING, enter: 2.8, exit: 2.5, for: 1m}
      - {level: CRITICAL, enter: 4.5, exit: 4.0, for: 2m, keep_firing_for: 5m}
  - name: unusual
    match: {metric: vibration_rms}
    window: {size: 15m, slide: 5m}
    aggregate: mean
    compare: {op: "abs>=", to: zscore, baseline: slow}
    severities: [{level: INFO, enter: 2.0}]
"""


def readings(site: str) -> Iterator[Reading]:
    """Yield what the devices send each second: the same for every site, some out of order or twice.

    A third of the devices shakes for a quarter of an hour in each hour. Of a thousand readings ten
    come twice, six out of order and four after their pane was closed.
    """
    rng = random.Random(7)
    number = count()
    for tick in count():
        for device in range(DEVICES):
            shakes = device % 3 == 0 and (tick // 900 + device) % 4 == 0
            value = rng.gauss(6.0 if shakes else 2.0, 0.3)
            odd = rng.random()
            behind = 400_000 if odd < 0.004 else 1500 if odd < 0.01 else 0
            for _ in range(2 if odd > 0.99 else 1):
                yield _reading(site, device, START_MS + tick * 1000 - behind, next(number), value)


def _reading(site: str, device: int, ts: int, number: int, value: float) -> Reading:
    return Reading(
        f"press-{device}", "vibration_rms", site, "READING", "mm/s", "gw", 1, value, ts, ts, None,
        None, "GOOD", number, 0, 0, ts + 50, "SYNCED", False,
    )  # fmt: skip


def test_kills_of_everything_change_no_row_of_any_sink(stack: RunningStack, tmp_path: Path) -> None:
    began = time.monotonic()
    with all_jobs(stack, "still", tmp_path, RULES) as still:
        pour(cluster_of(stack.endpoints, still.prefix), islice(readings(still.name), READINGS))
        undisturbed = await_out(still, RECOVERY_S)
    print(f"\nundisturbed: {time.monotonic() - began:.0f} s")
    began = time.monotonic()
    with all_jobs(stack, "struck", tmp_path, RULES) as struck:
        _strike_while_readings_flow(struck)
        disturbed = await_out(struck, RECOVERY_S)
    print(f"disturbed: {time.monotonic() - began:.0f} s")
    last = ends(still.kafka, still.topic("readings"))
    assert sum(last.values()) == READINGS
    assert ends(struck.kafka, struck.topic("readings")) == last
    check_topics(undisturbed, disturbed)
    check_lake(still, struck)
    check_archive(still, struck)
    check_postgres(still, struck)
    check_opensearch(still, struck)


def _strike_while_readings_flow(run: Run) -> None:
    """Each strike hits jobs that have completed a checkpoint since the one before, and read on."""
    cluster = cluster_of(run.stack.endpoints, run.prefix)
    source, phase = islice(readings(run.name), READINGS), random.Random(11)
    part = READINGS // (len(STRIKES) + 1)
    with ThreadPoolExecutor(1) as pool:
        for what in STRIKES:
            flowing = pool.submit(pour, cluster, paced(islice(source, part), PER_S))
            await_checkpoints(run, RECOVERY_S)
            # Checkpoints come at regular times: the strikes shall not.
            threading.Event().wait(phase.uniform(0, 3))
            came_too_late = flowing.done()
            back_s = _strike(run.stack, what)
            recovered_s = await_checkpoints(run, RECOVERY_S)
            flowing.result(RECOVERY_S)
            print(f"{what}: ready in {back_s:.0f} s, all jobs {recovered_s:.0f} s after that")
            assert not came_too_late, "no reading came while it was struck"
        pour(cluster, source)


def _strike(stack: RunningStack, what: str) -> float:
    """Kill a part and wait until its successor is ready; return how long that took, in seconds."""
    began = time.monotonic()
    if what != "s3":
        stack.await_restart(what, stack.kill(what), 180)
        return time.monotonic() - began
    supervisor = holder(stack.layout)
    assert supervisor is not None
    # It would bring the part back at once.
    os.kill(supervisor, signal.SIGSTOP)
    try:
        old = stack.kill(what)
        threading.Event().wait(S3_AWAY_S)
    finally:
        os.kill(supervisor, signal.SIGCONT)
    stack.await_restart(what, old, 180)
    return time.monotonic() - began


def same(what: str, undisturbed: Sequence[Any], disturbed: Sequence[Any]) -> None:
    """Fail with the first difference, and say how much was compared."""
    for number, (one, other) in enumerate(zip(undisturbed, disturbed, strict=False)):
        assert one == other, f"{what}, number {number}: {one} is {other} disturbed"
    assert len(undisturbed) == len(disturbed), f"{what}: more or fewer, alike up to there"
    print(f"{what}: {len(undisturbed)} equal")


def check_topics(still: Out, struck: Out) -> None:
    """Windows and late readings may be repeated, to the byte; alerts are each there once, in order."""
    for what, kept in (("windows", windows_of), ("late readings", late_of), ("alerts", alerts_of)):
        same(f"topic of {what}", kept(still), kept(struck))
    assert len(still.alerts) == len(struck.alerts) > DEVICES
    print(f"windows written: {len(still.windows)} undisturbed, {len(struck.windows)} disturbed")


def windows_of(out: Out) -> list[str]:
    found = sorted({repr(_nowhere(each)) for each in out.windows})
    keys = {tuple(getattr(each, name) for name in ARCHIVED[0].key) for each in out.windows}
    assert len(keys) == len(found), "a window was written again and is another"
    return found


def late_of(out: Out) -> list[str]:
    return sorted({repr(_nowhere(each)) for each in out.late})


def alerts_of(out: Out) -> list[tuple[str, list[str]]]:
    by_series: dict[str, list[str]] = defaultdict(list)
    for each in out.alerts:
        by_series[each.fingerprint].append(repr(_nowhere(each)))
    return sorted(by_series.items())


def _nowhere(record: WindowFeatures | Alert | Reading) -> object:
    return msgspec.structs.replace(record, site="")


def check_lake(still: Run, struck: Run) -> None:
    """Each record of Kafka is in the lake, at its place on the topic, once."""
    rows = 0
    for partition in range(PARTITIONS):
        one, other = (
            _table(
                run,
                "SELECT * EXCLUDE (site) FROM readings_raw "
                f"WHERE kafka_partition = {partition} ORDER BY kafka_offset",
            )
            for run in (still, struck)
        )
        for at in range(0, max(len(one), len(other)), 10_000):
            left, right = one.slice(at, 10_000), other.slice(at, 10_000)
            if not left.equals(right):
                same(f"lake, partition {partition}", left.to_pylist(), right.to_pylist())
        rows += len(one)
    assert rows == READINGS
    print(f"lake's readings: {rows} equal")


def check_archive(still: Run, struck: Run) -> None:
    for table in ARCHIVED:
        own = "site, kts, kafka_partition, kafka_offset"
        asks = f"SELECT * EXCLUDE ({own}) FROM {table.name} ORDER BY {', '.join(table.key)}"
        one, other = (_table(run, asks).to_pylist() for run in (still, struck))
        same(f"lake's {table.name}", one, other)


def _table(run: Run, asks: str) -> Any:
    with connect(lake_of(run.stack.endpoints), run.name, TABLES) as connection:
        return connection.sql(asks).to_arrow_table()


def check_postgres(still: Run, struck: Run) -> None:
    for table in WAREHOUSE[:2]:
        columns = ", ".join(name for name in table.columns if name != "site")
        found = []
        for run in (still, struck):
            with connected(postgres_of(run.sinks)) as connection:
                asks = f"SELECT {columns} FROM {table.name} ORDER BY {', '.join(table.key)}"
                found.append(connection.execute(asks.encode()).fetchall())
        same(f"PostgreSQL's {table.name}", *found)


def check_opensearch(still: Run, struck: Run) -> None:
    one, other = (sorted(_documents(run)) for run in (still, struck))
    same("OpenSearch's documents", one, other)


def _documents(run: Run) -> Iterator[tuple[str, str, str]]:
    """Yield each document's index, id and fields, but for what is the run's own."""
    page = asked(run.sinks, "POST", f"/{run.name}-*/_search?scroll=1m&size=5000")
    while hits := page["hits"]["hits"]:
        for each in hits:
            fields = each["_source"] | {"site": ""}
            yield each["_index"].removeprefix(run.name), each["_id"], repr(fields)
        again = {"scroll": "1m", "scroll_id": page["_scroll_id"]}
        page = asked(run.sinks, "POST", "/_search/scroll", again)
