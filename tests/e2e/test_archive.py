"""The job `archive` on real servers: the lake's windows and alerts are the topics', once each."""

import json
from typing import Any

import msgspec
import pytest
from e2e_rig import cancel, prepare, records, submit
from sink_rig import Feed, alert, sound_records, window
from stack_fixture import RunningStack, eventually

from compose.lake_cli import lake_of
from schemas.records import Alert, DeadLetter, WindowFeatures
from stream.archived import ARCHIVED, Archived
from stream.lake import Lake, connect, partitions
from stream.lake_compaction import compact
from stream.lake_tables import TABLES

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(400)]
PREFIX = "kept."
SITE = "kept"
HOUR, DAY = 3_600_000, 86_400_000
NOON = 20_000 * DAY + 12 * HOUR
KINDS: dict[str, Any] = {"windows": WindowFeatures, "alerts": Alert}


def fill(feed: Feed, first: int) -> None:
    """Windows, roll-ups, runs and alerts of a site of this test's own, and what is not committed."""
    own = {"site": SITE}
    feed.windows(window(number, **own) for number in range(first, first + 2000))
    feed.windows(window(number, mean=float("nan"), **own) for number in range(first, first + 50))
    for length, session in ((HOUR, ""), (HOUR, "run"), (DAY, "")):
        start = NOON // length * length
        feed.windows(
            [window(first, window_start=start, window_end=start + length, session=session, **own)]
        )
    feed.alerts(alert(number, **own) for number in range(first, first + 200))
    feed.alerts((alert(number, 1, **own) for number in range(first, first + 50)), commit=False)
    feed.alerts(alert(number, 1, **own) for number in range(first, first + 90))


def in_lake(lake: Lake, table: Archived, view: str) -> list[str]:
    """Return the rows of a view as records, written out in order: there NaN equals itself."""
    with connect(lake, SITE, TABLES) as connection:
        columns = ", ".join(
            f'epoch_ms("{column.name}"::TIMESTAMP)' if column.kind.startswith("TIME")
            else f'"{column.name}"'
            for column in table.columns
        )  # fmt: skip
        rows = connection.execute(f"SELECT {columns} FROM {view}").fetchall()
    names = [column.name for column in table.columns]
    return sorted(
        repr(msgspec.convert(_record(dict(zip(names, row, strict=True))), KINDS[table.name]))
        for row in rows
    )


def _record(row: dict[str, Any]) -> dict[str, Any]:
    maps = {name: json.loads(row[name]) for name in ("labels", "annotations") if name in row}
    return {**row, "site": SITE, **maps}


def on_topic(stack: RunningStack, table: Archived, *, newest: bool) -> list[str]:
    found = sound_records(stack.endpoints, f"{PREFIX}{table.name}", KINDS[table.name])
    if newest:
        by_key = {tuple(getattr(each, name) for name in table.key): each for each in found}
        found = list(by_key.values())
    return sorted(map(repr, found))


def await_equal(stack: RunningStack, lake: Lake, when: str) -> None:
    """Wait until the files hold every committed record once, and the views the newest of each key."""
    for table in ARCHIVED:
        expected = on_topic(stack, table, newest=False)

        def equal(table: Archived = table, expected: list[str] = expected) -> bool:
            there = any(t.name == table.name and partitions(lake, SITE, t) for t in TABLES)
            return there and in_lake(lake, table, f"{table.name}_raw") == expected

        eventually(f"the lake's {table.name} are the topic's {when}", equal, 120)
        assert in_lake(lake, table, table.name) == on_topic(stack, table, newest=True)


def test_the_lakes_windows_and_alerts_are_the_topics_once_each_whatever_is_killed(
    stack: RunningStack,
) -> None:
    prepare(stack.endpoints, PREFIX)
    feed = Feed(stack.endpoints, PREFIX)
    lake = lake_of(stack.endpoints)
    fill(feed, 0)
    feed.raw("windows", "junk", b"no Avro")
    feed.flush()
    submit(stack, "archive", PREFIX, "--checkpoint-interval=2s")
    try:
        await_equal(stack, lake, "at first")
        taskmanager = stack.kill("taskmanager")
        fill(feed, 5000)
        stack.await_restart("taskmanager", taskmanager)
        await_equal(stack, lake, "after a kill")
        fill(feed, 9000)
        stopped = stack.tidegate("jobs", "stop", "archive", f"--prefix={PREFIX}")
        assert stopped.returncode == 0, stopped.stderr
        submit(stack, "archive", PREFIX, "--checkpoint-interval=2s")
        await_equal(stack, lake, "after a savepoint")
        letters = records(stack.endpoints, f"{PREFIX}dead-letters", DeadLetter)
        assert {(each.reason, each.payload) for each in letters} == {("UNDECODABLE", b"no Avro")}
    finally:
        cancel(stack, "archive", PREFIX)
    _asked_for(stack)
    before = in_lake(lake, ARCHIVED[0], "windows")
    compact(lake, site=SITE, min_age_s=0, grace_s=0)
    assert in_lake(lake, ARCHIVED[0], "windows_raw") == before


def _asked_for(stack: RunningStack) -> None:
    """As a person asks: roll-ups and runs by name."""
    asked = "SELECT epoch(size)::INT AS s, count(*) AS n FROM rollups GROUP BY size ORDER BY size"
    done = stack.tidegate("lake", "query", asked, f"--site={SITE}", "--json")
    assert json.loads(done.stdout) == [{"s": 3600, "n": 3}, {"s": 86400, "n": 3}], done.stderr
    done = stack.tidegate("lake", "query", "FROM sessions", f"--site={SITE}", "--json")
    assert [row["session"] for row in json.loads(done.stdout)] == ["run"] * 3, done.stderr
    counts = " UNION ALL ".join(
        f"SELECT '{table.name}' AS lies_in, COUNT(*) AS n FROM lake_{table.name} "
        f"WHERE site = '{SITE}'"
        for table in ARCHIVED
    )
    done = stack.tidegate("jobs", "sql", "-e", counts, "--json", f"--prefix={PREFIX}")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert {row["lies_in"]: row["n"] for row in found} == {
        table.name: len(on_topic(stack, table, newest=True)) for table in ARCHIVED
    }, done.stderr
