"""Windows, roll-ups, runs and alerts of the lake: the views, compaction, and what is not there."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from rule_builders import DAY, HOUR, MINUTE
from sink_rig import alert, window

from compose import lake_cli
from schemas.records import Alert, WindowFeatures
from stream import lake_compaction
from stream.archived import ARCHIVED, Archived
from stream.lake import Lake, connect, open_lake, partitions
from stream.lake_compaction import compact
from stream.lake_tables import TABLES

NOON = 20_000 * DAY + 12 * HOUR
FUTURE_S = 4_102_444_800.0
TABLE = {table.name: table for table in TABLES}
_TYPES = {
    "STRING": pa.string(),
    "INT": pa.int32(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "TIMESTAMP_LTZ(3)": pa.timestamp("ms"),
}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(str(tmp_path))


def put(lake: Lake, name: str, *records: WindowFeatures | Alert, kts: int = 0) -> None:
    """Write records as a file of the job `archive` has them, all at one time of Kafka's."""
    (table,) = {of(record) for record in records}
    rows = [_row(record, table) for record in records]
    columns = {
        column.name: pa.array(
            [row[column.name] for row in rows],
            pa.int64() if column.kind.startswith("TIME") else _TYPES[column.kind],
        ).cast(_TYPES[column.kind])
        for column in table.columns
    }
    columns["kts"] = pa.array([kts] * len(rows), pa.int64()).cast(_TYPES["TIMESTAMP_LTZ(3)"])
    columns["kafka_partition"] = pa.array([0] * len(rows), pa.int32())
    columns["kafka_offset"] = pa.array(range(len(rows)), pa.int64())
    folder = Path(lake.folder(TABLE[table.name])) / "dt=2024-10-04" / "site=plant"
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), folder / name)


def of(record: WindowFeatures | Alert) -> Archived:
    return ARCHIVED[0] if isinstance(record, WindowFeatures) else ARCHIVED[1]


def _row(record: WindowFeatures | Alert, table: Archived) -> dict[str, Any]:
    row: dict[str, Any] = msgspec.to_builtins(record)
    return {
        column.name: msgspec.json.encode(row[column.name]).decode()
        if isinstance(row[column.name], dict)
        else row[column.name]
        for column in table.columns
    }


def spanning(start: int, length: int, **over: Any) -> WindowFeatures:
    return window(0, window_start=start, window_end=start + length, **over)


def asked(lake: Lake, sql: str) -> list[tuple[Any, ...]]:
    with connect(lake, None, TABLES) as connection:
        return connection.execute(sql).fetchall()


def test_the_newest_version_of_a_window_wins_and_one_taken_back_is_gone(lake: Lake) -> None:
    first, second = spanning(NOON, HOUR, mean=1.0), spanning(NOON + HOUR, HOUR, mean=2.0)
    put(lake, "part-2", first, second, kts=1)
    put(lake, "part-1", spanning(NOON, HOUR, mean=9.0), spanning(NOON + HOUR, HOUR, count=0), kts=2)
    assert asked(lake, "SELECT mean, site, dt FROM windows") == [(9.0, "plant", "2024-10-04")]
    assert asked(lake, "SELECT count(*) FROM windows_raw") == [(4,)]


def test_roll_ups_stand_at_whole_multiples_of_their_length(lake: Lake) -> None:
    put(
        lake,
        "part-1",
        spanning(NOON, HOUR, mean=1.0),
        spanning(NOON + 15 * MINUTE, HOUR, mean=2.0),
        spanning(NOON - 12 * HOUR, DAY, mean=3.0),
        spanning(NOON, 2 * HOUR, mean=4.0),
        spanning(NOON, HOUR, mean=5.0, session="run"),
    )
    found = "SELECT epoch(size)::INT, mean FROM rollups ORDER BY size"
    assert asked(lake, found) == [(3600, 1.0), (86400, 3.0)]
    assert asked(lake, "SELECT session, mean FROM sessions") == [("run", 5.0)]
    # A run that stands where a window does is another row.
    assert asked(lake, "SELECT count(*) FROM windows") == [(5,)]


def test_alerts_are_their_transitions_and_the_newest_of_each(lake: Lake) -> None:
    put(lake, "part-1", alert(1), alert(1), alert(2), kts=1)
    put(lake, "part-2", alert(1, 1, value=77.0), kts=2)
    assert asked(lake, "SELECT count(*) FROM alerts") == [(3,)]
    newest = "SELECT event, value, annotations FROM alerts_latest ORDER BY event"
    assert [row[:2] for row in asked(lake, newest)] == [("FIRED", 81.25), ("RESOLVED", 77.0)]


def test_compaction_keeps_the_views_and_what_takes_a_window_back(lake: Lake) -> None:
    put(lake, "part-1", spanning(NOON, HOUR), spanning(NOON, 2 * HOUR), kts=1)
    put(lake, "part-2", spanning(NOON, HOUR, count=0), spanning(NOON, 2 * HOUR, mean=7.5), kts=2)
    put(lake, "part-3", alert(1), alert(1), alert(1, 1))
    before = [asked(lake, f"SELECT * FROM {name} ORDER BY ALL") for name in ("windows", "alerts")]
    done = compact(lake, now_s=FUTURE_S, grace_s=0)
    assert done == (2, 3, 7, 4, 3)
    after = [asked(lake, f"SELECT * FROM {name} ORDER BY ALL") for name in ("windows", "alerts")]
    assert after == before
    put(lake, "part-0", spanning(NOON, HOUR, mean=1.0), kts=1)
    # What comes back from before is older still.
    assert asked(lake, "SELECT mean FROM windows") == [(7.5,)]


def test_compaction_begins_a_new_file_when_one_is_full(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lake_compaction, "_ROW_GROUP_ROWS", 2048)
    put(lake, "part-1", *(window(number) for number in range(5000)))
    done = compact(lake, now_s=FUTURE_S, grace_s=0, file_bytes=50_000)
    assert done == (1, 1, 5000, 5000, 1)
    files = next(iter(partitions(lake, None, TABLE["windows"]).values()))
    assert sorted(info.size > 50_000 for info in files) == [False, True, True]
    assert asked(lake, "SELECT count(DISTINCT (device_id, window_start)) FROM windows_raw") == [
        (5000,)
    ]
    assert compact(lake, now_s=FUTURE_S, grace_s=0) == (0, 0, 0, 0, 0)


def test_one_table_can_be_compacted_alone(lake: Lake) -> None:
    put(lake, "part-1", window(1), window(1))
    put(lake, "part-1", alert(1))
    assert compact(lake, tables=[TABLE["alerts"]], now_s=FUTURE_S, grace_s=0).partitions == 1


def test_a_table_without_files_is_told_with_the_job_that_writes_it(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(lake, "part-1", alert(1))
    monkeypatch.setattr(lake_cli, "read", lambda _: None)
    monkeypatch.setattr(lake_cli, "lake_of", lambda _: lake)
    told = CliRunner().invoke(lake_cli.lake, ["query", "SELECT * FROM rollups"])
    assert "the job archive writes them (tidegate jobs submit archive)" in str(told.exception)
    other = CliRunner().invoke(lake_cli.lake, ["query", "SELECT * FROM wondows"])
    assert "submit" not in str(other.exception)
    good = CliRunner().invoke(lake_cli.lake, ["query", "SELECT rule, severity FROM alerts"])
    assert good.exit_code == 0, good.exception
    assert "WARNING" in good.output
    listed = CliRunner().invoke(lake_cli.lake, ["ls"])
    assert "/alerts/dt=2024-10-04/site=plant  1      " in listed.output
    (heading, _, _) = listed.output.splitlines()
    assert heading.split() == ["PARTITION", "FILES", "BYTES"]
    assert (
        len(CliRunner().invoke(lake_cli.lake, ["ls", "--table=windows"]).output.splitlines()) == 2
    )


@pytest.fixture
def queried(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    put(lake, "part-1", alert(1))
    monkeypatch.setattr(lake_cli, "read", lambda _: None)
    monkeypatch.setattr(lake_cli, "lake_of", lambda _: lake)
    return lambda *words: CliRunner().invoke(lake_cli.lake, ["query", *words])


@pytest.mark.parametrize("sql", ["", "  ", ";", "/* nothing */"])
def test_a_query_without_a_statement_is_a_usage_error(
    queried: Callable[..., Result], sql: str
) -> None:
    done = queried(sql)
    assert done.exit_code == 2, done.exception
    assert "holds no statement" in done.stderr


def test_a_site_of_which_nothing_is_there_is_told_with_those_that_are(
    queried: Callable[..., Result],
) -> None:
    told = str(queried("--site=plnt", "SELECT 1").exception)
    assert "holds nothing of site 'plnt'; it holds plant" in told


def test_two_columns_of_one_name_are_no_json(queried: Callable[..., Result]) -> None:
    sql = "SELECT 1 AS a, 2 AS a"
    assert queried(sql).exit_code == 0
    told = str(queried("--json", sql).exception)
    assert "two columns are called 'a': give one another name, by AS" in told


def test_an_answer_is_json_whatever_its_values_are(queried: Callable[..., Result]) -> None:
    sql = "SELECT 'NaN'::DOUBLE a, '-inf'::DOUBLE b, TIMESTAMP '2026-01-01' c UNION ALL FROM (SELECT 1, 2, NULL)"

    def no_json(name: str) -> None:
        raise ValueError(name)

    first, second = json.loads(queried("--json", sql).stdout, parse_constant=no_json)
    assert first == {"a": None, "b": None, "c": "2026-01-01T00:00:00Z"}
    assert second == {"a": 1, "b": 2, "c": None}
    assert json.loads(queried("--json", "SELECT 1 WHERE false").stdout) == []
