"""The job `warehouse` against a real PostgreSQL: its rows are the topics', whatever is killed."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from e2e_rig import cancel, prepare, records, submit
from sink_rig import START_MS, Feed, alert, beside, device, sound_records, window
from stack_fixture import RunningStack, eventually

from compose.sinks import postgres_of
from schemas.records import Alert, DeadLetter, Device, WindowFeatures
from stream.jobs.cluster import call, live_job
from stream.sinks.postgres import connected, migrations
from stream.sinks.warehouse import WAREHOUSE

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(600)]
PREFIX = "store."
KINDS = {"windows": WindowFeatures, "alerts": Alert, "devices": Device}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A key of this length fits no index.
LONG = 700
Rows = dict[str, dict[tuple[object, ...], str]]
"""Records by table and key, written out: there NaN equals itself."""


@pytest.fixture
def sinks(stack: RunningStack, tmp_path: Path) -> Path:
    """PostgreSQL beside the stack, and a configuration with a schema of the test's own."""
    text = beside(stack, "postgres")
    path = tmp_path / "sinks.toml"
    path.write_text(text.replace("[postgres]", '[postgres]\nschema = "store"'))
    return path


def in_database(sinks: Path) -> Rows:
    """Return the rows of all tables."""
    found: Rows = {}
    with connected(postgres_of(sinks)) as connection:
        connection.execute("SET timezone TO 'Asia/Kolkata'")
        for table in WAREHOUSE:
            columns = list(table.columns)
            answer = connection.execute(f"SELECT {', '.join(columns)} FROM {table.name}").fetchall()
            rows = [dict(zip(columns, map(_plain, row), strict=True)) for row in answer]
            kind: Any = KINDS[table.name]
            found[table.name] = {
                tuple(row[name] for name in table.key): repr(kind(**row)) for row in rows
            }
            assert len(found[table.name]) == len(rows)
    return found


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return (value - EPOCH) // timedelta(milliseconds=1)
    return value


def on_topics(stack: RunningStack) -> Rows:
    """Return the newest record of each key, of what is committed and can be a row."""
    found: Rows = {}
    for table in WAREHOUSE:
        kind: Any = KINDS[table.name]
        topic = f"{PREFIX}{table.topic}"
        rows = found.setdefault(table.name, {})
        for each in sound_records(stack.endpoints, topic, kind):
            if len(each.device_id) < LONG:
                key = tuple(getattr(each, name) for name in table.key)
                rows[key] = repr(each).replace("\\x00", "\ufffd")  # no NUL in PostgreSQL's text
    return found


def await_equal(stack: RunningStack, sinks: Path, when: str, seconds: float = 120.0) -> Rows:
    """Wait until the tables hold what the topics hold by now; return it."""
    expected = on_topics(stack)
    sizes = {name: len(rows) for name, rows in expected.items()}

    def equal() -> bool:
        # Every row is looked at only once there are as many: this shares the machine with the job.
        return row_counts(sinks) == sizes and in_database(sinks) == expected

    eventually(f"rows equal the topics {when}", equal, seconds)
    return expected


def row_counts(sinks: Path) -> dict[str, int]:
    with connected(postgres_of(sinks)) as connection:
        counts = {}
        for table in WAREHOUSE:
            row = connection.execute(f"SELECT count(*) FROM {table.name}").fetchone()
            counts[table.name] = int(str(row[0])) if row else 0
    return counts


def test_rows_are_the_topics_whatever_is_killed_and_replayed(
    stack: RunningStack, sinks: Path
) -> None:
    prepare(stack.endpoints, PREFIX)
    feed = Feed(stack.endpoints, PREFIX)
    early = stack.tidegate("jobs", "submit", "warehouse", f"--prefix={PREFIX}", f"--sinks={sinks}")
    assert early.returncode == 78
    names = ", ".join(each.name for each in migrations())
    assert f"lacks {names}; make it with: tidegate sinks" in early.stderr
    made = stack.tidegate("sinks", "postgres", "migrate", f"--sinks={sinks}")
    assert made.returncode == 0, made.stderr
    fill(feed)
    submit(stack, "warehouse", PREFIX, f"--sinks={sinks}", "--checkpoint-interval=1s")
    try:
        check_graph(stack)
        assert len(await_equal(stack, sinks, "at first")["windows"]) == 3001
        check_set_aside(stack)
        taskmanager = stack.kill("taskmanager")
        feed.windows(window(number) for number in range(2500, 4000))
        stack.await_restart("taskmanager", taskmanager)
        stack.await_restart("postgres", stack.kill("postgres"))
        feed.alerts(alert(number) for number in range(300, 600))
        assert len(await_equal(stack, sinks, "after the kills")["windows"]) == 4001
    finally:
        cancel(stack, "warehouse", PREFIX)
    replay(stack, sinks)


def fill(feed: Feed) -> None:
    """Repeats, corrections, what is not committed, and what cannot be a row."""
    feed.windows(window(number) for number in range(3000))
    feed.windows(window(number, mean=float("nan"), max=float("inf")) for number in range(50))
    feed.windows([window(1, device_id="plant.nul", site="a\0b")])
    feed.windows([window(1, device_id="p" * LONG)])
    feed.alerts(alert(number) for number in range(300))
    feed.alerts((alert(number, 1) for number in range(100)), commit=False)
    feed.alerts((alert(number, 1, value=77.0) for number in range(100)), commit=True)
    feed.devices([device(1), device(2), device(2, valid_from=START_MS), device(1)])
    feed.raw("windows", "junk", b"no Avro")
    feed.raw("devices", "plant.pump-1", None)
    feed.flush()


def check_graph(stack: RunningStack) -> None:
    """Each topic is read once, and nothing keeps rows in state."""
    job = live_job(stack.endpoints.flink_url, "tidegate-store-warehouse")
    assert job is not None
    plan = call(stack.endpoints.flink_url, f"/jobs/{job.job_id}/plan")["plan"]
    whole = " ".join(node["description"] for node in plan["nodes"])
    assert whole.count("Source: ") == len(WAREHOUSE)
    assert "Materializer" not in whole


def check_set_aside(stack: RunningStack) -> None:
    topic = f"{PREFIX}dead-letters"

    def letters() -> list[DeadLetter]:
        found = records(stack.endpoints, topic, DeadLetter)
        return found if len({each.reason + str(each.kafka_topic) for each in found}) > 2 else []

    found = eventually("dead letters of what is no row", letters)
    assert {(each.reason, each.kafka_topic, each.payload) for each in found} == {
        ("UNDECODABLE", f"{PREFIX}windows", b"no Avro"),
        ("UNDECODABLE", f"{PREFIX}devices", b""),
        ("UNSTORABLE", f"{PREFIX}windows", b""),
    }
    assert all(each.kafka_offset is not None and each.detail for each in found)


def replay(stack: RunningStack, sinks: Path) -> None:
    """Everything is read again, into rows that were changed and lost meanwhile."""
    with connected(postgres_of(sinks)) as connection:
        connection.execute("UPDATE windows SET mean = -1 WHERE device_id = 'plant.pump-3'")
        connection.execute("DELETE FROM alerts WHERE seq = 0")
    again = ("--from=none", "--checkpoint-interval=1s", f"--sinks={sinks}")
    submit(stack, "warehouse", PREFIX, *again)
    try:
        await_equal(stack, sinks, "after a replay")
    finally:
        cancel(stack, "warehouse", PREFIX)
