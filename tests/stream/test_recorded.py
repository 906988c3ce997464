"""Recorded series: the lake's Parquet as the job would have read it, and CSV of several files."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from rule_builders import MINUTE, limit, reading

from compose.rules_cli import rules as command
from schemas.failure import Failure
from schemas.records import Reading
from stream.backtest import run
from stream.device_state import DeviceState
from stream.engine import Engine
from stream.lake import open_lake
from stream.pane_sizes import pane_ms
from stream.panes import panes_of
from stream.recorded import Series, Wanted, read_labels, read_series
from stream.recorded_parquet import read_lake
from stream.times import time_ms

TIME = pa.timestamp("ms", tz="UTC")
KINDS: dict[str, pa.DataType] = {
    "device_id": pa.string(), "metric": pa.string(), "unit": pa.string(), "gateway_id": pa.string(),
    "gateway_epoch": pa.int64(), "value": pa.float64(), "ts": TIME, "device_ts": TIME,
    "device_boot": pa.string(), "device_seq": pa.int64(), "quality": pa.string(),
    "gateway_seq": pa.int64(), "part": pa.int32(), "repeat": pa.int32(), "received_ts": TIME,
    "clock": pa.string(), "replayed": pa.bool_(), "kafka_partition": pa.int32(),
    "kafka_offset": pa.int64(),
}  # fmt: skip


def at(ms: int | None, zone: str | None = "UTC") -> datetime | None:
    time = None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)
    return time if zone or time is None else time.replace(tzinfo=None)


def write_lake(root: Path, readings: list[Reading], times: pa.DataType = TIME) -> Path:
    """Write readings as the job does: by day and site, in files without a suffix."""
    folders: dict[Path, list[dict[str, Any]]] = {}
    for offset, each in enumerate(readings):
        row = {name: getattr(each, name, 0) for name in KINDS}
        row |= {name: at(row[name], times.tz) for name in ("ts", "device_ts", "received_ts")}
        row |= {"kafka_offset": offset}
        day = datetime.fromtimestamp(each.ts / 1000, UTC).strftime("%Y-%m-%d")
        folders.setdefault(root / f"dt={day}" / f"site={each.site}", []).append(row)
    schema = pa.schema([(name, times if kind == TIME else kind) for name, kind in KINDS.items()])
    for folder, rows in folders.items():
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows, schema), folder / "part-0-0")
    return root


def some() -> list[Reading]:
    """Two days of two devices: out of order, some twice, some bad, some at one time."""
    found = []
    for i in range(600):
        ts = (i ^ 1) * 5 * MINUTE
        value = 20.0 if i % 90 > 70 else float(i % 7)
        quality: Any = "BAD" if i % 50 == 0 else "GOOD"
        own = reading(ts=ts, value=value, quality=quality, device_seq=i)
        found.append(own)
        if i % 40 == 0:
            found.append(own)
        if i % 30 == 0:
            found.append(reading(ts=ts, value=value + 1, device_seq=10_000 - i))
            found.append(reading(ts=ts, value=value - 1, device_seq=None))
        found.append(reading(ts=ts, value=1.0, device_id="plant.fan", site="hall", device_seq=i))
    return found


@pytest.mark.parametrize("times", [TIME, pa.timestamp("ns")])
def test_the_alerts_of_a_lake_are_those_of_the_job(tmp_path, times):
    rules = limit("[{level: WARNING, enter: 9, keep_firing_for: 30m}]")
    engine, states = Engine(rules), {}
    online = [
        alert
        for row in panes_of(some(), pane_ms(rules))
        for alert in engine.on_pane(
            states.setdefault(row.device_id, DeviceState()),
            row.device_id, row.metric, row.site, row.unit, row.pane,
        ).alerts
    ]  # fmt: skip
    assert len(online) > 8
    root = write_lake(tmp_path / "readings", some(), times)
    assert run(rules, read_series(root)) == online
    assert run(rules, read_lake(open_lake(str(tmp_path)), Wanted())) == online


def test_a_part_of_a_lake_keeps_its_site_and_bad_readings_are_no_values(tmp_path):
    root = write_lake(tmp_path, some())
    day = root / "dt=1970-01-02"
    (fan,) = read_series(day / "site=hall")
    assert (fan.device_id, fan.site, fan.unit, fan.points[0]) == (
        "plant.fan", "hall", "degC", (86_400_000, 1.0),
    )  # fmt: skip
    assert read_series(day / "site=hall" / "part-0-0") == [fan]
    both = read_series(day)
    assert [each.site for each in both] == ["hall", "plant"]
    bad = [value for _, value in both[1].points if value != value]  # noqa: PLR0124
    assert len(bad) == sum(i % 50 == 0 and 288 <= i ^ 1 < 576 for i in range(600))


def test_what_is_wanted_of_a_lake_is_what_the_same_cut_of_csv_is(tmp_path):
    lake = write_lake(tmp_path / "lake", some())
    text = "timestamp,device,metric,value\n"
    fan = [each for each in some() if each.device_id == "plant.fan"]
    (tmp_path / "fan.csv").write_text(
        text + "".join(f"{r.ts},plant.fan,temperature,{r.value}\n" for r in fan)
    )
    wanted = Wanted(30 * MINUTE, 90 * MINUTE, device="plant.fan")
    (cut,) = read_series(lake, wanted)
    assert [ts for ts, _ in cut.points] == list(range(30 * MINUTE, 90 * MINUTE, 5 * MINUTE))
    (same,) = read_series(tmp_path / "fan.csv", wanted)
    assert same.points == cut.points
    with pytest.raises(Failure, match="holds no reading that is wanted"):
        read_series(lake, Wanted(site="nowhere"))
    with pytest.raises(Failure, match=r'did you mean "plant.fan"'):
        read_series(tmp_path / "fan.csv", Wanted(device="plant.fun"))
    with pytest.raises(Failure, match="between --from and --to"):
        read_series(tmp_path / "fan.csv", Wanted(from_ms=10**12))


def test_parquet_of_four_columns_will_do_and_what_is_missing_is_named(tmp_path):
    table = pa.table({
        "device_id": ["a", "a"], "metric": ["heat", "heat"], "value": [2, 1], "site": ["s", "s"],
        "ts": pa.array([at(2000), at(1000)], TIME),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "x.parquet")
    assert read_series(tmp_path / "x.parquet") == [
        Series("a", "heat", [(1000, 1.0), (2000, 2.0)], "s")
    ]
    pq.write_table(table.drop_columns(["value"]), tmp_path / "x.parquet")
    with pytest.raises(Failure, match=r"lacks the column value; .* device_id, metric, site, ts"):
        read_series(tmp_path / "x.parquet")
    pq.write_table(table.set_column(4, "ts", pa.array(["soon", "now"])), tmp_path / "x.parquet")
    with pytest.raises(Failure, match="the column ts holds string; expected a timestamp"):
        read_series(tmp_path / "x.parquet")


def test_a_broken_parquet_file_is_named_and_two_kinds_in_a_folder_refused(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(Failure, match=r"x.parquet: cannot be read as Parquet"):
        read_series(tmp_path / "x.parquet")
    (tmp_path / "z.parquet").write_bytes(b"timestamp,value\n")
    with pytest.raises(Failure, match=r"z.parquet: is no Parquet, which begins with PAR1"):
        read_series(tmp_path / "z.parquet")
    (tmp_path / "y.csv").write_text("timestamp,value\n")
    with pytest.raises(Failure, match="holds both CSV and Parquet"):
        read_series(tmp_path)


def test_files_that_hold_parts_of_one_series_are_joined(tmp_path):
    head = "timestamp,device,metric,value\n"
    (tmp_path / "a.csv").write_text(f"{head}3000,d,heat,3\n")
    (tmp_path / "b.csv").write_text(f"{head}1000,d,heat,1\n2000,e,heat,2\n")
    assert read_series(tmp_path) == [
        Series("d", "heat", [(1000, 1.0), (3000, 3.0)]), Series("e", "heat", [(2000, 2.0)]),
    ]  # fmt: skip


def test_a_column_that_is_there_twice_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("timestamp,heat,heat\n")
    with pytest.raises(Failure, match=r"a.csv:1: the column 'heat' is there twice"):
        read_series(tmp_path)


def test_a_label_may_name_a_device_that_has_a_dot(tmp_path):
    (tmp_path / "l.json").write_text('{"plant.pump": [["1000", "2000"]], "x/fan.csv": []}')
    assert read_labels(tmp_path / "l.json") == {"plant.pump": [(1000, 2000)], "fan": []}


def test_the_command_takes_a_lake_s_folder_and_warns_of_labels_of_no_device(tmp_path):
    root = write_lake(tmp_path / "lake", some())
    labels = tmp_path / "l.json"
    labels.write_text('{"plant.pump": [["1970-01-01", "1970-01-01T12:00Z"]], "plant.pmup": []}')
    words = [
        "test",
        "generic",
        "--data",
        str(root),
        "--labels",
        str(labels),
        "--device",
        "plant.pump",
    ]
    done = CliRunner().invoke(command, [*words, "--json"])
    assert done.exit_code == 0, done.output
    assert set(json.loads(done.stdout)) == {"alerts", "scores"}
    assert "1 of 2 names are of no device of the data: plant.pmup" in done.stderr


def test_readings_without_an_alert_are_counted_for_the_person_who_waits(tmp_path):
    (tmp_path / "a.csv").write_text("timestamp,heat\n1000,1\n2000,2\n")
    done = CliRunner().invoke(command, ["test", "generic", "--data", str(tmp_path)])
    assert (done.stdout, done.stderr) == ("", "no alert in 2 readings of 1 series\n")


@pytest.mark.parametrize(
    "words", [[], ["--lake", "--data", "."], ["--data", ".", "--from", "2", "--to", "1"]]
)
def test_readings_come_from_one_place_and_a_span_has_a_length(words):
    assert CliRunner().invoke(command, ["test", "generic", *words]).exit_code == 2


TIMES = ["2014-07-01 00:00:00", "2014-07-01T00:05", "20140701T0010", "1404173700000"]
ODD = ["2014-07-01T00:20:00.0005", "2014-07-01T02:25:00+02:00", " 2014-07-01 00:30:00 "]


@pytest.mark.parametrize("stamps", [TIMES[:3], TIMES, TIMES + ODD, *([each] for each in ODD)])
def test_a_column_of_times_is_read_as_each_of_them_is(tmp_path, stamps):
    rows = "".join(f"{stamp},1.5\n" for stamp in stamps)
    (tmp_path / "pump.csv").write_text(f"timestamp,m\n{rows}", encoding="utf-8")
    (read,) = read_series(tmp_path)
    assert read.points == [(time_ms(stamp), 1.5) for stamp in stamps]


@pytest.mark.parametrize(
    "text",
    [
        "2014-07-01 00:00:00", "1969-12-31T23:59:59.999", "2026-01-31T06:00:00.250",
        "2026-01-31T06:00:00.0005", "2026-01-31T06:00:00.123999", "2026-01-31T06:00:00+05:30",
        " 2026-01-31 ", "20260131T060000Z",
    ],
)  # fmt: skip
def test_a_time_is_the_nearest_millisecond_and_utc_unless_it_says_otherwise(text: str) -> None:
    said = datetime.fromisoformat(text.strip())
    zoned = said if said.tzinfo else said.replace(tzinfo=UTC)
    assert time_ms(text) == round(zoned.timestamp() * 1000)
