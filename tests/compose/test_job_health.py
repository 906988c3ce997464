"""What `jobs status` makes of a JobManager's answers and of Kafka's."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from flink_rest import DECIDE, NOW, SOURCE, Rest, backpressure, failure

from compose import job_health, status_cli
from compose.intents import Intent, write_intent
from compose.job_health import healths, report, troubles
from compose.lags import Lag
from compose.local.endpoints import Endpoints
from compose.status_cli import status, table
from compose.submissions import kind_of, prefix_of
from schemas.failure import Failure, Unavailable
from stream.jobs.cluster import FlinkJob
from stream.jobs.health import observe

ENDPOINTS = Endpoints(
    *["x"] * 6, lake_uri="s3://lake", flink_url="http://flink", console_url="", gateway_config=""
)
LAKE_DOWN = "the lake at lake/readings does not answer: refused"


@pytest.fixture
def rest(monkeypatch) -> Rest:
    fake = Rest().replace_call(monkeypatch)
    job = FlinkJob("j", "tidegate-alerts", "RUNNING", NOW)
    gone = FlinkJob("i", "tidegate-x-alerts", "FAILED", NOW - 1)
    monkeypatch.setattr(job_health, "jobs", lambda url: [job, gone])
    monkeypatch.setattr(job_health, "lake_of", lambda endpoints: None)
    monkeypatch.setattr(job_health, "answers", lambda lake: None)
    monkeypatch.setattr(job_health, "newest_windows", lambda *_: {"plant-1": NOW - 90_000})
    monkeypatch.setattr(
        job_health,
        "lags",
        lambda bootstrap, group, positions, own: [
            Lag(own[0], 0, positions.get("plant_readings", {}).get(0, 7), 50),
            Lag(own[0], 1, 9, 9),
        ],
    )
    monkeypatch.setattr(status_cli, "read", lambda state: ENDPOINTS)
    return fake


def wants(state: Path, name: str, *, wanted: bool = True) -> None:
    argv = [name.rpartition("-")[2], "--prefix=tidegate."]
    write_intent(state, Intent(name=name, argv=argv, wanted=wanted))


def test_a_running_job_in_numbers(rest: Rest, tmp_path: Path) -> None:
    wants(tmp_path, "alerts")
    (one,) = healths(tmp_path, ENDPOINTS)
    told = report(one, NOW)
    assert (told["name"], told["state"], told["wanted"]) == ("alerts", "RUNNING", True)
    assert (told["parallelism"], told["uptime_s"], told["restarts"]) == (2, 60.0, 3)
    assert told["checkpoint"] == {
        "completed": 7, "age_s": 4.0, "bytes": 5000, "duration_ms": 100, "failures_in_a_row": 0,
    }  # fmt: skip
    assert told["lag"]["records"] == 8
    assert told["lag"]["partitions"][0] == {
        "topic": "tidegate.readings", "partition": 0, "position": 42, "end": 50, "behind": 8,
    }  # fmt: skip
    assert told["freshness_s"] == {"plant-1": 90.0, "plant-2": 30.0}
    assert told["problems"] == []


def test_a_wanted_job_that_nobody_runs_is_missing(rest: Rest, tmp_path: Path) -> None:
    wants(tmp_path, "lake")
    wants(tmp_path, "x-lake", wanted=False)
    found = {each.name: report(each, NOW) for each in healths(tmp_path, ENDPOINTS)}
    assert set(found) == {"alerts", "lake"}
    assert found["lake"]["state"] == "MISSING"
    assert found["lake"]["lag"]["records"] == 43
    assert "tidegate jobs submit" in found["lake"]["problems"][0]


def test_one_job_is_told_of_though_it_is_over(rest: Rest, tmp_path: Path) -> None:
    (one,) = healths(tmp_path, ENDPOINTS, "x-alerts")
    assert report(one, NOW)["state"] == "FAILED"
    with pytest.raises(Failure, match="never submitted"):
        healths(tmp_path, ENDPOINTS, "nobody")


def test_a_store_that_is_away_is_named_and_the_rest_still_told(
    rest: Rest, tmp_path: Path, monkeypatch
) -> None:
    def lake_down(lake: object) -> None:
        raise Unavailable(LAKE_DOWN)

    def kafka_down(*_: object) -> None:
        raise Unavailable("Kafka at x does not answer: timed out")

    monkeypatch.setattr(job_health, "answers", lake_down)
    monkeypatch.setattr(job_health, "newest_windows", kafka_down)
    monkeypatch.setattr(job_health, "lags", None)  # would wait for the brokers a second time
    (one,) = healths(tmp_path, ENDPOINTS)
    assert one.problems == ["Kafka at x does not answer: timed out", LAKE_DOWN]
    assert report(one, NOW)["lag"]["records"] is None
    assert report(one, NOW)["in_per_s"] == 12.5


def problems(behind: int | None = 5) -> list[str]:
    return list(troubles(observe("http://flink", FlinkJob("j", "n", "RUNNING", 0)), behind))


def test_a_healthy_job_has_no_problem(rest: Rest) -> None:
    assert problems() == []


def test_alerts_that_could_not_be_committed_are_looked_for(
    rest: Rest, tmp_path: Path, monkeypatch
) -> None:
    asked = []

    def said(endpoints: object, prefix: str, upto_ms: int) -> str:
        asked.append((prefix, NOW - upto_ms))
        return "2 alerts are missing"

    monkeypatch.setattr(job_health, "said", said)
    (one,) = healths(tmp_path, ENDPOINTS)
    assert (one.problems, asked) == ([], [])
    rest.metrics[DECIDE]["alerts[14]__Committer.failedCommittables"] = 1.0
    (one,) = healths(tmp_path, ENDPOINTS)
    assert one.problems == ["2 alerts are missing"]
    # Three checkpoints of 10 s, and 10 s.
    assert asked == [("tidegate.", 40_000)]


def test_a_slow_sink_is_named(rest: Rest) -> None:
    rest.pressure = {SOURCE: backpressure((0.8, 0.1)), DECIDE: backpressure((0.0, 1.0))}
    assert problems() == [
        "backpressure: decide to alerts (busy 100%) holds up Source: readings (80% of its time)"
    ]


def test_a_sink_in_the_sources_own_vertex_is_named_when_records_wait(rest: Rest) -> None:
    rest.pressure[DECIDE] = backpressure((0.0, 1.0))
    (said,) = problems()
    assert "decide to alerts (busy 100%) has no time left" in said
    assert problems(behind=0) == []


def test_a_failing_vertex_is_named_with_its_cause(rest: Rest) -> None:
    rest.answers["/jobs/j"]["vertices"][1]["status"] = "FAILED"
    rest.answers["/jobs/j/exceptions?maxExceptions=20"] = {
        "exceptionHistory": {"entries": [failure("a.B: c\nCaused by: d.Timeout: no broker")]}
    }
    assert problems() == [
        "RUNNING (decide to alerts not running): decide: d.Timeout: no broker",
    ]


def test_checkpoints_that_fail_or_hang_are_named(rest: Rest) -> None:
    points = rest.answers["/jobs/j/checkpoints"]
    points["latest"]["completed"] = Rest.checkpoint(7, "COMPLETED", NOW - 45_000)
    points["history"] = [
        Rest.checkpoint(9, "IN_PROGRESS", NOW - 1000),
        Rest.checkpoint(8, "FAILED", NOW - 2000, failure_message="expired\n\tat x"),
    ]
    rest.answers["/jobs/j/checkpoints/details/9"] = {
        "tasks": {DECIDE: {"num_subtasks": 2, "num_acknowledged_subtasks": 0}}
    }
    assert problems() == [
        "checkpoints failed since the last complete one: 1: expired",
        "no checkpoint for 45 s; the one under way waits for decide to alerts",
    ]


def test_the_table_is_for_people(rest: Rest, tmp_path: Path) -> None:
    wants(tmp_path, "alerts")
    wants(tmp_path, "lake")
    rows = [report(each, NOW) for each in healths(tmp_path, ENDPOINTS)]
    lines = list(table(rows, details=True))
    assert lines[2].split() == (
        [
            "alerts",
            "RUNNING",
            "2",
            "60",
            "s",
            "3",
            "12.5",
            "0.5",
            "8",
            "4",
            "s",
            "ago",
            "5",
            "kB",
            "100",
            "ms",
        ]
    )
    assert lines[3].split() == ["lake", "MISSING", "43"]
    assert "alerts: freshness plant-1 90 s, plant-2 30 s" in lines
    assert "alerts: tidegate.readings-0 at 42 of 50, 8 behind" in lines
    assert lines[-1].startswith("lake: ! wanted, but")


def test_json_is_one_list(rest: Rest, tmp_path: Path) -> None:
    done = CliRunner().invoke(status, ["--json", f"--state={tmp_path}"])
    assert done.exit_code == 0, done.output
    assert [each["name"] for each in json.loads(done.output)] == ["alerts"]


@pytest.mark.parametrize(
    ("name", "kind", "prefix"),
    [
        ("alerts", "alerts", "tidegate."),
        ("plant.one-lake", "lake", "plant.one."),
        ("plant-warehouse", "warehouse", "plant."),
        ("sql-hourly", "sql", "tidegate."),
        ("plant-sql-hourly", "sql", "plant."),
    ],
)
def test_a_name_tells_kind_and_prefix(name: str, kind: str, prefix: str) -> None:
    assert (kind_of(name, None), prefix_of(name, None)) == (kind, prefix)


def test_what_was_submitted_tells_it_better() -> None:
    intent = Intent(name="sql-alerts", verb="sql", argv=["-e=X", "--prefix=a-b."], wanted=True)
    assert (kind_of("sql-alerts", intent), prefix_of("sql-alerts", intent)) == ("sql", "a-b.")
