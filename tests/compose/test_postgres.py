"""PostgreSQL as a part of the local stack, and the schema that is made in it."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from stack_fixture import RunningStack, running_stack

from compose.local.procs import listening
from compose.local.sweep import marked, of_state
from compose.sinks import postgres_of
from schemas.failure import Failure, RetryLater, Unavailable
from stream.columns import columns
from stream.sinks import postgres
from stream.sinks.config import PostgresSection
from stream.sinks.postgres import Migration, connected, migrate, migrations, waiting
from stream.sinks.warehouse import WAREHOUSE

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with running_stack(tmp_path_factory.mktemp("stack with space"), ["postgres"]) as running:
        yield running


@pytest.fixture
def section(stack: RunningStack, request: pytest.FixtureRequest) -> PostgresSection:
    """A schema of the test's own."""
    whole = postgres_of(stack.layout.sinks_config, {})
    name = request.node.name.removeprefix("test_")[:60]
    return PostgresSection(
        port=whole.port, schema=name, password_file=whole.password_file, tls="disable"
    )


def test_it_keeps_what_was_committed_through_a_kill_and_listens_on_loopback_only(
    stack: RunningStack, section: PostgresSection
) -> None:
    migrate(section, [Migration(1, "one", "CREATE TABLE kept AS SELECT 7 AS number")])
    stack.await_restart("postgres", stack.kill("postgres"))
    with connected(section) as connection:
        assert connection.execute("SELECT number FROM kept").fetchone() == (7,)
    found = listening(set(marked(of_state(stack.layout.root))))
    assert set(found) == {"0100007F"}
    assert stack.part("postgres").port in found["0100007F"]


def test_a_wrong_password_is_refused_and_told_without_it(
    section: PostgresSection, tmp_path: Path
) -> None:
    (tmp_path / "wrong").write_text("hunter2")
    wrong = PostgresSection(port=section.port, password_file=str(tmp_path / "wrong"), tls="disable")
    with pytest.raises(Unavailable) as error:
        waiting(wrong, migrations())
    said = str(error.value)
    assert f"PostgreSQL at 127.0.0.1:{section.port}, database tidegate, user tidegate: " in said
    assert "password authentication failed" in said
    assert "hunter2" not in said


def test_the_tables_have_the_columns_of_the_contracts(section: PostgresSection) -> None:
    assert migrate(section, migrations()) == migrations()
    with connected(section) as connection:
        for table in WAREHOUSE:
            rows = connection.execute(
                "SELECT column_name, data_type FROM information_schema.columns "
                "WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position",
                [section.schema, table.name],
            ).fetchall()
            assert [name for name, _ in rows] == list(columns(table.contract))
            times = {name for name, kind in rows if kind == "timestamp with time zone"}
            kinds = columns(table.contract, "TIMESTAMP(3)")
            assert times == {name for name, kind in kinds.items() if kind == "TIMESTAMP(3)"}
            key = connection.execute(
                "SELECT array_agg(a.attname::text ORDER BY k.place) FROM pg_index i, "
                "unnest(i.indkey) WITH ORDINALITY AS k(number, place), pg_attribute a "
                "WHERE i.indrelid = %s::regclass AND i.indisprimary "
                "AND a.attrelid = i.indrelid AND a.attnum = k.number",
                [table.name],
            ).fetchone()
            assert key == (list(table.key),)


def test_roll_ups_and_runs_have_views_of_their_own(section: PostgresSection) -> None:
    first, *rest = migrations()
    migrate(section, [first])
    rows = [
        ("2026-03-01 10:00+00", "1 hour", 4, None),
        ("2026-03-01 10:15+00", "1 hour", 4, None),
        ("2026-03-01 11:00+00", "1 hour", 0, None),
        ("2026-03-01 00:00+00", "1 day", 4, None),
        ("2026-03-01 10:00+00", "2 hours", 4, None),
        ("2026-03-01 10:00+00", "1 hour", 3, "run"),
    ]
    with connected(section) as connection:
        _insert(connection, [row for row in rows if row[3] is None])
    migrate(section, [first, *rest])  # a table that is in use already
    with connected(section) as connection:
        connection.execute("SET timezone TO 'Asia/Kolkata'")
        _insert(connection, [row for row in rows if row[3] is not None])
        rolled = connection.execute(
            "SELECT size::text, count FROM rollups ORDER BY size"
        ).fetchall()
        assert rolled == [("01:00:00", 4), ("1 day", 4)]
        assert connection.execute("SELECT session, count FROM sessions").fetchall() == [("run", 3)]


def _insert(connection: Any, rows: list[tuple[str, str, int, str | None]]) -> None:
    for start, length, count, session in rows:
        more, values = ("", ()) if session is None else (", session", (session,))
        connection.execute(
            "INSERT INTO windows (device_id, metric, site, window_start, window_end, count, min, "
            f"max, mean, stddev, rms, first, last, slope{more}) VALUES ('d', 'm', 's', "
            f"%s::timestamptz, %s::timestamptz + %s::interval, %s, 0, 0, 0, 0, 0, 0, 0, 0"
            f"{', %s' if more else ''})",
            (start, start, length, count, *values),
        )


def test_of_many_at_once_each_step_is_applied_by_one(section: PostgresSection) -> None:
    steps = [
        Migration(1, "one", "CREATE TABLE a (n int)"),
        Migration(2, "two", "INSERT INTO a VALUES (1); INSERT INTO a SELECT n + 1 FROM a"),
    ]
    done: list[list[Migration]] = []
    threads = [
        threading.Thread(target=lambda: done.append(migrate(section, steps))) for _ in range(6)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert sorted(map(len, done)) == [0, 0, 0, 0, 0, 2]
    with connected(section) as connection:
        assert connection.execute("SELECT array_agg(n) FROM a").fetchone() == ([1, 2],)


def test_a_step_that_fails_leaves_nothing_behind(section: PostgresSection) -> None:
    good = Migration(1, "one", "CREATE TABLE a (n int)")
    with pytest.raises(Failure, match='relation "nowhere" does not exist'):
        migrate(section, [good, Migration(2, "two", "INSERT INTO nowhere VALUES (1)")])
    assert waiting(section, [good]) == [good]
    assert migrate(section, [good]) == [good]


def test_a_migration_that_hangs_makes_the_next_give_up(
    section: PostgresSection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "_LOCK_WAIT", "200ms")
    with connected(section) as other:
        other.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
            [f"tidegate sinks {section.schema}"],
        )
        with pytest.raises(RetryLater, match="another migration runs"):
            migrate(section, migrations())


def test_who_may_not_make_the_schema_is_told_what_to_grant(
    section: PostgresSection, tmp_path: Path
) -> None:
    with connected(section) as connection:
        connection.execute("CREATE ROLE reader LOGIN PASSWORD 'reader'")
    (tmp_path / "secret").write_text("reader")
    reader = PostgresSection(
        port=section.port,
        schema="not_mine",
        username="reader",
        password_file=str(tmp_path / "secret"),
        tls="disable",
    )
    with pytest.raises(Failure, match=r"permission denied.*grant reader CREATE on the database"):
        migrate(reader, migrations())


def test_a_server_that_is_not_there_is_named(stack: RunningStack, tmp_path: Path) -> None:
    path = tmp_path / "sinks.toml"
    path.write_text('[postgres]\nport = 1\ntls = "disable"\n')
    told = stack.tidegate("sinks", "postgres", "migrate", f"--sinks={path}")
    assert told.returncode == 69
    assert "error: PostgreSQL at 127.0.0.1:1, database tidegate, user tidegate: " in told.stderr
    assert "Connection refused; [postgres] in the sinks' configuration says" in told.stderr
    assert "Traceback" not in told.stderr
