"""Counting and compacting a lake on a local folder; the same code runs against S3."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.failure import Failure
from stream.lake import Lake, connect, open_lake, partitions, size
from stream.lake_compaction import compact

TIME = pa.timestamp("ms", tz="UTC")
COLUMNS = {
    "device_id": pa.string(),
    "metric": pa.string(),
    "unit": pa.string(),
    "gateway_id": pa.string(),
    "gateway_epoch": pa.int64(),
    "value": pa.float64(),
    "ts": TIME,
    "device_ts": TIME,
    "device_boot": pa.string(),
    "device_seq": pa.int64(),
    "quality": pa.string(),
    "gateway_seq": pa.int64(),
    "part": pa.int32(),
    "repeat": pa.int32(),
    "received_ts": TIME,
    "clock": pa.string(),
    "replayed": pa.bool_(),
    "kafka_partition": pa.int32(),
    "kafka_offset": pa.int64(),
}
FUTURE_S = datetime(2100, 1, 1, tzinfo=UTC).timestamp()


def row(seq: int, **over: Any) -> dict[str, Any]:
    return {
        "device_id": "a.pump",
        "metric": "temperature",
        "unit": "C",
        "gateway_id": "gw",
        "gateway_epoch": 1,
        "value": 20.5,
        "ts": 1_764_000_000_000 + seq,
        "device_ts": 1_764_000_000_000 + seq,
        "device_boot": None,
        "device_seq": seq,
        "quality": "GOOD",
        "gateway_seq": seq,
        "part": 0,
        "repeat": 0,
        "received_ts": 1_764_000_000_000 + seq,
        "clock": "SYNCED",
        "replayed": False,
        "kafka_partition": 0,
        "kafka_offset": seq,
        **over,
    }


def put(
    lake: Lake, name: str, rows: list[dict[str, Any]], partition: str = "dt=2025-11-24/site=a"
) -> None:
    folder = Path(lake.root) / partition
    folder.mkdir(parents=True, exist_ok=True)
    columns = {
        key: pa.array([one[key] for one in rows], pa.int64() if kind == TIME else kind).cast(kind)
        for key, kind in COLUMNS.items()
    }
    pq.write_table(pa.table(columns), folder / name)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(str(tmp_path))


def test_the_view_shows_each_reading_once(lake: Lake) -> None:
    put(lake, "part-1", [row(1), row(2)])
    put(lake, "part-2", [row(2, gateway_seq=99, gateway_epoch=7, kafka_offset=50), row(3)])
    assert size(lake) == (2, 4, 3)


def test_without_a_device_time_only_the_gateways_counters_tell_readings_apart(lake: Lake) -> None:
    bare = {"device_ts": None, "device_seq": None}
    put(lake, "part-1", [row(1, **bare), row(1, **bare, kafka_offset=2), row(2, **bare)])
    assert size(lake).distinct == 2


def test_compaction_drops_repeats_and_keeps_the_view(lake: Lake) -> None:
    put(lake, "part-1", [row(1), row(2)])
    put(lake, "part-2", [row(2, kafka_offset=50), row(3)])
    put(lake, "part-3", [row(1, device_id="b.pump")], "dt=2025-11-25/site=b")
    before = connect(lake).execute("SELECT * FROM readings ORDER BY ALL").fetchall()
    done = compact(lake, now_s=FUTURE_S, grace_s=0)
    assert done == (2, 3, 5, 4, 3)
    assert size(lake) == (2, 4, 4)
    assert connect(lake).execute("SELECT * FROM readings ORDER BY ALL").fetchall() == before


def test_a_second_compaction_changes_nothing(lake: Lake) -> None:
    put(lake, "part-1", [row(1), row(2)])
    compact(lake, now_s=FUTURE_S, grace_s=0)
    files = [info.path for infos in partitions(lake).values() for info in infos]
    assert compact(lake, now_s=FUTURE_S, grace_s=0) == (0, 0, 0, 0, 0)
    assert [info.path for infos in partitions(lake).values() for info in infos] == files


def test_replaced_files_stay_for_the_grace(lake: Lake) -> None:
    put(lake, "part-1", [row(1)])
    now_s = FUTURE_S
    done = compact(lake, now_s=now_s, grace_s=now_s)
    assert done.files_deleted == 0
    assert size(lake) == (2, 2, 1)
    assert compact(lake, now_s=now_s, grace_s=0) == (0, 0, 0, 0, 1)
    assert size(lake) == (1, 1, 1)


def test_a_compaction_cut_short_is_finished_by_the_next(lake: Lake) -> None:
    put(lake, "part-1", [row(1), row(1, kafka_offset=9)])
    compact(lake, now_s=FUTURE_S, grace_s=0)
    # As if the run had died between the new file and its note.
    put(lake, "part-1", [row(1), row(1, kafka_offset=9)])
    assert size(lake).distinct == 1
    compact(lake, now_s=FUTURE_S, grace_s=0)
    assert size(lake) == (1, 1, 1)


def test_young_files_are_left_alone(lake: Lake) -> None:
    put(lake, "part-1", [row(1)])
    assert compact(lake, min_age_s=300).files_read == 0


def test_one_sites_partitions_can_be_chosen(lake: Lake) -> None:
    put(lake, "part-1", [row(1)])
    put(lake, "part-2", [row(2)], "dt=2025-11-24/site=b")
    assert size(lake, "b") == (1, 1, 1)
    assert size(lake, "c") == (0, 0, 0)


def test_an_empty_lake_says_so(lake: Lake) -> None:
    with pytest.raises(Failure, match="holds no file yet"):
        connect(lake)


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(Failure, match="expected s3://"):
        open_lake("gs://bucket")
