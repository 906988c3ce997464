"""`jobs sql` over real topics and a real lake: what the shipped examples find, and what they do not."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from cli_runs import Ran, run_all
from confluent_kafka import Producer
from e2e_rig import prepare
from pyarrow import Table, fs
from pyarrow import parquet as pq
from stack_fixture import RunningStack, eventually

from compose.lake_cli import lake_of
from schemas.codec import encode
from schemas.contracts import contract_text
from schemas.records import Alert, Device, Maintenance, Reading, WindowFeatures
from schemas.registry import Registry
from schemas.topics import TOPICS, subject
from stream.jobs.cluster import live_job
from stream.sql_files import read_sql

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(300)]
PREFIX = "asked."
MINUTE = 60_000
DAY = 1440  # minutes
T0 = 1_699_999_200_000  # 2023-11-14 22:00 UTC
Row = dict[str, object]
Record = Alert | Device | Maintenance | Reading | WindowFeatures
CONTRACTS = {topic.name: topic.contract for topic in TOPICS}


@dataclass(frozen=True)
class Topics:
    """Writes records onto the test's topics."""

    stack: RunningStack

    def put(self, topic: str, records: Sequence[Record], *, commit: bool = True) -> None:
        """Produce in one transaction, which is given up unless it is to be committed."""
        name, contract = PREFIX + topic, CONTRACTS[topic]
        assert contract is not None
        registry = Registry(self.stack.endpoints.registry_url)
        schema_id = registry.register(subject(name), contract_text(contract))
        producer = Producer(
            {
                "bootstrap.servers": self.stack.endpoints.kafka_bootstrap,
                "transactional.id": f"{PREFIX}{topic}",
            }
        )
        producer.init_transactions(30)
        producer.begin_transaction()
        for record in records:
            key = record.order_id if isinstance(record, Maintenance) else record.device_id
            producer.produce(name, encode(record, schema_id), key.encode())
        assert producer.flush(30) == 0
        producer.commit_transaction(30) if commit else producer.abort_transaction(30)


def reading(device: str, minute: float, value: float = 1.0) -> Reading:
    ts = T0 + round(minute * MINUTE)
    return Reading(
        device, "temperature", "asked", "READING", "C", "gw", 1, value, ts, ts, None, 1, "GOOD", 1,
        0, 0, ts, "SYNCED", False,
    )  # fmt: skip


def window(device: str, minute: int, rms: float, metric: str = "vibration") -> WindowFeatures:
    end = T0 + minute * MINUTE
    return WindowFeatures(
        device, metric, "asked", end - 5 * MINUTE, end, 30, 0, 9, rms, 1, rms, 1, 2, 0.0
    )


def alert(
    device: str, minute: float, event: str, severity: str, alert_id: str | None = None
) -> Alert:
    at = T0 + round(minute * MINUTE)
    return Alert(
        alert_id=alert_id or f"{device}@{minute}", fingerprint=device, seq=0, rule="hot", rule_version=1,
        category="PROCESS", event=event, state="FIRING", severity=severity, asset_id="a",
        device_id=device, site="asked", metric="temperature", value=9.0, threshold_enter=1.0,
        threshold_exit=1.0, comparator=">=", sample_count=3, peak_value=9.0, window_start=at - 1,
        window_end=at, condition_since=at, starts_at=at, last_true_at=at, emitted_at=at,
    )  # type: ignore[arg-type]  # fmt: skip


ALERTS = [
    alert("match", 0, "FIRED", "WARNING"),
    alert("match", 10, "RENOTIFY", "WARNING"),
    alert("match", 30, "ESCALATED", "CRITICAL"),
    # A near miss: it was over before it came back worse.
    alert("miss", 0, "FIRED", "WARNING"),
    alert("miss", 10, "RESOLVED", "WARNING"),
    alert("miss", 30, "FIRED", "CRITICAL"),
    # Too late, by a minute.
    alert("timeout", 0, "FIRED", "WARNING"),
    alert("timeout", 61, "ESCALATED", "CRITICAL"),
    # The day before.
    alert("flaps", -DAY, "FIRED", "WARNING", "flaps"),
    alert("flaps", -DAY + 0.5, "RESOLVED", "WARNING", "flaps"),
    alert("flaps", -DAY + 1, "FIRED", "CRITICAL", "flaps again"),
    # A minute more than a day on, and a minute less.
    alert("stood", -DAY - 11, "FIRED", "WARNING", "stood"),
    alert("stood", -10, "RESOLVED", "WARNING", "stood"),
    alert("ended", -DAY - 10, "FIRED", "WARNING", "ended"),
    alert("ended", -11, "RESOLVED", "WARNING", "ended"),
]
WINDOWS = [
    *(window("rises", 5 * i, float(i)) for i in range(1, 5)),
    # Falls at the last; and rises as often as it must, but not within two hours.
    *(window("falls", 5 * i, rms) for i, rms in enumerate([1.0, 2.0, 3.0, 2.5], 1)),
    *(window("creeps", 50 * i, float(i)) for i in range(4)),
    window("match", -10, 7.0),
    window("match", -20, 8.0),
]
DEVICES = [
    Device(device_id="rises", asset_id="pump", site="asked", iso_group="2"),
    Device(device_id="rises", asset_id="mixer", site="asked", iso_group="3",
           valid_from=T0 + 15 * MINUTE),
]  # fmt: skip
ORDERS = [
    Maintenance(order_id="1", asset_id="a", started_at=T0 + 20 * MINUTE, kind="REPAIR"),
    Maintenance(order_id="1", asset_id="a", started_at=T0 + 20 * MINUTE, kind="REPAIR",
                finding="FAULT_FOUND"),
    Maintenance(order_id="2", asset_id="other", started_at=T0 + 40 * MINUTE, kind="REPAIR",
                finding="NO_FAULT"),
]  # fmt: skip
READINGS = [reading("d", 1, 1.0), reading("d", 2, 3.0), reading("d", 61, 9.0)]


def lake_file(stack: RunningStack) -> None:
    """Put a reading into the lake, twice, as a repeat on Kafka would leave it."""
    row = {
        "device_id": "d", "metric": "temperature", "unit": "C", "gateway_id": "gw",
        "gateway_epoch": 1, "value": 1.0, "device_boot": "b", "device_seq": 1, "quality": "GOOD",
        "gateway_seq": 1, "part": 0, "repeat": 0, "clock": "SYNCED", "replayed": False,
        "kafka_partition": 0, "kafka_offset": 0,
    }  # fmt: skip
    lake = lake_of(stack.endpoints)
    assert isinstance(lake.files, fs.FileSystem)
    table = Table.from_pylist([row, row | {"kafka_offset": 1}])
    narrow = {"part": pa.int32(), "repeat": pa.int32(), "kafka_partition": pa.int32()}
    kinds = [(name, narrow.get(name, table.schema.field(name).type)) for name in row]
    pq.write_table(
        table.cast(pa.schema(kinds)),
        f"{lake.root}/dt=2023-11-14/site=asked/part-0.parquet",
        filesystem=lake.files,
    )


def asked(stack: RunningStack, *commands: list[str]) -> list[Ran]:
    env = os.environ | {"TIDEGATE__LOCAL__STATE": str(stack.layout.root)}
    words = [["jobs", "sql", f"--prefix={PREFIX}", "--json", *each] for each in commands]
    return run_all(words, env)


@pytest.fixture(scope="module")
def filled(stack: RunningStack) -> RunningStack:
    """Return the stack with the test's topics and lake on it."""
    prepare(stack.endpoints, PREFIX)
    topics = Topics(stack)
    topics.put("alerts", [alert("given-up", 0, "FIRED", "WARNING")], commit=False)
    topics.put("alerts", ALERTS)
    topics.put("windows", WINDOWS)
    topics.put("devices", DEVICES)
    topics.put("maintenance", ORDERS)
    topics.put("readings", READINGS)
    plain = Producer({"bootstrap.servers": stack.endpoints.kafka_bootstrap})
    plain.produce(f"{PREFIX}readings", b"rubbish", b"d")
    assert plain.flush(30) == 0
    lake_file(stack)
    return stack


def one_after_the_other(stack: RunningStack, *queries: str) -> list[list[Row]]:
    """Run queries as one script, which plans and starts once; return the rows of each."""
    marks = ";".join(
        f"SELECT {i} AS query; {query.rstrip('; ')}" for i, query in enumerate(queries)
    )
    (ran,) = asked(stack, ["-e", marks])
    found: list[list[Row]] = []
    for row in ran.rows():
        if row.keys() == {"query"}:
            found.append([])
        else:
            found[-1].append(row)
    return found


def example(name: str) -> str:
    return read_sql(name).text.rstrip().rstrip(";")


def test_patterns_joins_and_windows_find_what_they_say_and_nothing_else(
    filled: RunningStack,
) -> None:
    names = ("escalation", "rising", "before_alerts", "worst_devices", "hourly")
    (
        escalated,
        rising,
        before,
        worst,
        hourly,
        action,
        alerts,
        undecodable,
        lake,
    ) = one_after_the_other(
        filled,
        *map(example, (*names, "time_to_action")),
        "SELECT COUNT(*) AS n FROM alerts",
        "SELECT undecodable_reason FROM readings_raw WHERE undecodable IS NOT NULL",
        "SELECT 'each' AS kind, COUNT(*) AS n FROM lake_readings WHERE site = 'asked'",
    )
    assert [(row["device_id"], row["rule"], row["warned_at"]) for row in escalated] == [
        ("match", "hot", "2023-11-14T22:00:00Z")
    ]
    assert escalated[0]["critical_at"] == "2023-11-14T22:30:00Z"
    assert [(row["device_id"], row["first_rms"], row["last_rms"]) for row in rising] == [
        ("rises", 1.0, 4.0)
    ]
    assert [(row["alert_id"], row["mean"]) for row in before] == [("match@0", 7.0)]
    action = [
        row for row in action if row["alert_id"] not in ("flaps", "flaps again", "stood", "ended")
    ]
    assert sorted((row["alert_id"], row["minutes_to_action"], row["useful"]) for row in action) == [
        ("match@0", 20, True), ("miss@0", 20, True), ("miss@30", None, None), ("timeout@0", 20, True),
    ]  # fmt: skip
    assert [(row["place"], row["device_id"], row["raised"]) for row in worst] == [
        (1, "flaps", 2), (2, "miss", 2), (3, "ended", 1), (4, "match", 1), (5, "stood", 1),
        (6, "timeout", 1),
    ]  # fmt: skip
    assert sorted((row["hour_start"], row["n"], row["mean"]) for row in hourly) == [
        ("2023-11-14T22:00:00Z", 2, 2.0),
        ("2023-11-14T23:00:00Z", 1, 9.0),
    ]
    assert alerts == [{"n": len(ALERTS)}]
    assert [str(row["undecodable_reason"])[:14] for row in undecodable] == ["the first byte"]
    assert lake == [{"kind": "each", "n": 1}]


def test_how_people_can_live_with_the_alerts_is_told_as_a_stream(filled: RunningStack) -> None:
    load, days, chattering, standing = one_after_the_other(
        filled, *map(example, ("alarm_load", "alarm_day", "chattering", "standing"))
    )
    told = ("window_start", "raised", "too_many", "critical", "warning")
    assert sorted(tuple(row[each] for each in told) for row in load) == [
        ("2023-11-13T21:40:00Z", 1, False, 0, 1),
        ("2023-11-13T21:50:00Z", 1, False, 0, 1),
        ("2023-11-13T22:00:00Z", 2, False, 1, 1),
        ("2023-11-14T22:00:00Z", 3, False, 0, 3),
        ("2023-11-14T22:30:00Z", 1, False, 1, 0),
    ]
    told = ("day_start", "raised", "most_in_10_min", "flood_min", "critical_share")
    assert sorted(tuple(row[each] for each in told) for row in days) == [
        ("2023-11-13T00:00:00Z", 4, 2, 0, 0.25),
        ("2023-11-14T00:00:00Z", 4, 3, 0, 0.25),
    ]
    assert [(row["fingerprint"], row["first_at"], row["last_at"]) for row in chattering] == [
        ("flaps", "2023-11-13T22:00:00Z", "2023-11-13T22:01:00Z")
    ]
    found = {row["alert_id"] for row in standing}
    assert {"stood", "flaps again"} <= found
    assert not {"ended", "flaps"} & found


def test_versions_watermarks_and_patterns_are_there(filled: RunningStack) -> None:
    watermarks = "SELECT site, COUNT(*) AS n, MAX(CURRENT_WATERMARK(rt)) AS w FROM alerts"
    counts = "SELECT site, COUNT(*) AS n FROM alerts GROUP BY site"
    escalated, joined, at, following = asked(
        filled,
        ["escalation"],
        ["enriched"],
        ["-e", f"{watermarks} GROUP BY site"],
        ["--follow", "--limit=3", "-e", counts],
    )
    assert [(row["device_id"], row["rule"]) for row in escalated.rows()] == [("match", "hot")]
    enriched = {(row["device_id"], row["window_end"]): row for row in joined.rows()}
    assert len(enriched) == len(WINDOWS)
    assets = [enriched["rises", f"2023-11-14T22:{5 * i:02}:00Z"]["asset_id"] for i in range(1, 5)]
    assert assets == ["pump", "pump", "mixer", "mixer"]
    assert enriched["falls", "2023-11-14T22:05:00Z"]["known"] is False
    assert [row["n"] for row in at.rows()] == [len(ALERTS)]
    assert [(row["op"], row["n"]) for row in following.rows()] == [("+I", 1), ("-U", 1), ("+U", 2)]


def test_an_insert_becomes_a_job_that_can_be_stopped_and_goes_on(filled: RunningStack) -> None:
    stack = filled
    words = ["hourly_to_lake", f"--prefix={PREFIX}", "--parallelism=1", "--checkpoint-interval=1s"]
    done = stack.tidegate("jobs", "sql", *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("asked-sql-hourly_to_lake: runs as ")
    lake = lake_of(stack.endpoints)
    folder = fs.FileSelector("lake/hourly", recursive=True, allow_not_found=True)
    eventually("the closed hour", lambda: parquet(lake.files, folder))
    (path,) = parquet(lake.files, folder)
    (row,) = pq.read_table(path, filesystem=lake.files).to_pylist()
    assert (row["device_id"], row["n"], row["mean"]) == ("d", 2, 2.0)
    stopped = stack.tidegate("jobs", "cancel", "sql-hourly_to_lake", f"--prefix={PREFIX}")
    assert stopped.returncode == 0, stopped.stderr
    eventually(
        "it has ended",
        lambda: live_job(stack.endpoints.flink_url, "tidegate-asked-sql-hourly_to_lake") is None,
    )


def parquet(files: fs.FileSystem, folder: fs.FileSelector) -> list[str]:
    infos = files.get_file_info(folder)
    return [
        info.path for info in infos if info.is_file and not info.base_name.startswith((".", "_"))
    ]


def test_work_is_registered_and_held_against_alerts(filled: RunningStack, tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text(
        "order_id,asset_id,started_at,kind,finding\n3,a,2023-11-14T23:30Z,REPAIR,NO_FAULT\n"
    )
    done = filled.tidegate("maintenance", "add", str(file), f"--prefix={PREFIX}")
    assert done.stdout == "1 records of 1 orders\n", done.stderr
    listed = filled.tidegate("maintenance", "list", "--asset=a", f"--prefix={PREFIX}").stdout
    assert [line.split()[0] for line in listed.splitlines()[2:]] == ["1", "3"]
    told = filled.tidegate("maintenance", "report", "--json", f"--prefix={PREFIX}")
    assert json.loads(told.stdout) == {
        "rules": [
            {"rule": "hot", "alerts": 8, "answered": 8, "useful": 7, "false": 1,
             "median_action_ms": 759.5 * MINUTE}
        ],
        "missed": [],
    }  # fmt: skip
