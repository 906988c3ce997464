import pytest
from flink_rest import DECIDE, NONE, NOW, SOURCE, Rest, backpressure, failure

from schemas.failure import Failure, Unavailable
from stream.jobs import health
from stream.jobs.cluster import FlinkJob, await_settled, cause, newest_failure
from stream.jobs.health import Observed, held_up, observe, overworked, short

JOB = FlinkJob("j", "tidegate-alerts", "RUNNING", NOW - 60_000)
GONE = "org.x.JobMasterException: TaskManager with id t is no longer reachable.\n\tat x"
NO_SLOTS = "java.X: y\nCaused by: org.x.NoResourceAvailableException: Could not acquire"


@pytest.fixture
def rest(monkeypatch) -> Rest:
    return Rest().replace_call(monkeypatch)


def seen() -> Observed:
    return observe("http://flink", JOB)


def fail(rest: Rest, *stacks: str) -> None:
    entries = [failure(stack) for stack in stacks]
    rest.answers["/jobs/j/exceptions?maxExceptions=20"] = {"exceptionHistory": {"entries": entries}}


def test_what_a_running_job_is_said_to_do(rest: Rest) -> None:
    found = seen()
    assert (found.parallelism, found.max_parallelism, found.restarts) == (2, 720, 3)
    assert (found.in_per_s, found.out_per_s, found.uptime_ms) == (12.5, 0.5, 60_000)
    assert found.watermark_ms is None
    assert found.newest_panes == {"plant-2": NOW - 30_000}
    assert found.failure is None


def test_a_position_is_the_next_offset_and_partitions_not_read_are_left_out(rest: Rest) -> None:
    assert seen().positions == {"plant_readings": {0: 42}}


def test_a_watermark_is_the_lowest_and_there_is_none_before_all_have_one(rest: Rest) -> None:
    rest.watermarks = {SOURCE: [], DECIDE: ["2000", "1000"]}
    assert seen().watermark_ms == 1000
    rest.watermarks = {SOURCE: [], DECIDE: ["2000", NONE]}
    assert seen().watermark_ms is None


def test_the_newest_checkpoint_and_what_failed_since(rest: Rest) -> None:
    points = seen().checkpoints
    assert (points.completed, points.at_ms, points.size_bytes) == (7, NOW - 4000, 5000)
    assert (points.failures_in_a_row, points.why, points.waits_for) == (0, None, [])
    rest.answers["/jobs/j/checkpoints"]["history"] = [
        Rest.checkpoint(10, "IN_PROGRESS", NOW - 1000),
        Rest.checkpoint(9, "FAILED", NOW - 2000, failure_message="expired\nat x"),
        Rest.checkpoint(8, "FAILED", NOW - 3000, failure_message="older"),
        Rest.checkpoint(7, "COMPLETED", NOW - 4000),
        Rest.checkpoint(6, "FAILED", NOW - 5000, failure_message="before the complete one"),
    ]
    rest.answers["/jobs/j/checkpoints/details/10"] = {
        "tasks": {
            SOURCE: {"num_subtasks": 2, "num_acknowledged_subtasks": 2},
            DECIDE: {"num_subtasks": 2, "num_acknowledged_subtasks": 1},
        }
    }
    points = seen().checkpoints
    assert (points.failures_in_a_row, points.why) == (2, "expired\nat x")
    assert points.under_way_since_ms == NOW - 1100
    assert [short(each) for each in points.waits_for] == ["decide to alerts"]


def test_a_job_without_a_checkpoint(rest: Rest) -> None:
    rest.answers["/jobs/j/checkpoints"] = {
        "counts": {"completed": 0}, "latest": {"completed": None}, "history": [],
    }  # fmt: skip
    points = seen().checkpoints
    assert (points.completed, points.at_ms, points.duration_ms) == (0, None, None)


def test_a_job_that_is_only_being_set_up_has_no_checkpoints(rest: Rest, monkeypatch) -> None:
    def refuse(url: str, path: str) -> object:
        if path.startswith("/jobs/j/checkpoints"):
            raise (Unavailable if rest.away else Failure)("404")
        return rest.call(url, path)

    monkeypatch.setattr(health, "call", refuse)
    assert seen().checkpoints.completed == 0
    rest.away = True
    with pytest.raises(Unavailable):
        seen()


def test_who_holds_up_whom(rest: Rest) -> None:
    assert held_up(seen().vertices) == []
    rest.pressure = {SOURCE: backpressure((0.0, 0.0), (0.8, 0.1)), DECIDE: backpressure((0.0, 1.0))}
    found = seen().vertices
    assert [(one.vertex_id, fault.vertex_id) for one, fault in held_up(found)] == [(SOURCE, DECIDE)]
    assert [each.vertex_id for each in overworked(found)] == [DECIDE]


def test_of_busy_vertices_in_a_row_the_last_is_at_fault(rest: Rest) -> None:
    rest.pressure = {SOURCE: backpressure((0.0, 1.0)), DECIDE: backpressure((0.0, 1.0))}
    assert [each.vertex_id for each in overworked(seen().vertices)] == [DECIDE]


def test_an_unknown_ratio_is_no_backpressure(rest: Rest) -> None:
    rest.pressure[DECIDE] = {"subtasks": [{"ratio": "NaN", "busyRatio": "NaN"}]}
    rest.pressure[SOURCE] = {"status": "deprecated"}
    assert [(each.held_up, each.busy) for each in seen().vertices] == [(None, None)] * 2


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Source: KafkaSource-default_catalog.default_database.readings -> (Calc[5], Calc[9])", "Source: readings"),
        ("Source: KafkaSource-default_catalog.default_database.readings -> Calc[2] -> StreamingFileWriter", "Source: readings to files"),
        ("SinkConversion[8] (1/2) - execution #0", "SinkConversion"),
        ("decide -> (C[1] -> alerts[2]: Writer -> alerts[2]: Committer, C[3] -> late[4]: Writer)", "decide to alerts, late"),
    ],
)  # fmt: skip
def test_a_vertex_is_called_by_what_people_know(name: str, expected: str) -> None:
    assert short(name) == expected


def test_the_cause_is_pythons_own_error(rest: Rest) -> None:
    fail(
        rest,
        "java.RuntimeException: Error received\nTraceback (most recent call last):\nKeyError: 'x'\nCaused by: a.B: c",
    )
    assert cause("http://flink", "j") == "KeyError: 'x'"


def test_a_cause_without_causes_is_the_first_line_and_no_frame(rest: Rest) -> None:
    fail(rest, GONE)
    assert cause("http://flink", "j").endswith("TaskManager with id t is no longer reachable.")


def test_a_cause_is_told_with_what_its_wrapper_adds(rest: Rest) -> None:
    fail(
        rest,
        'java.io.IOException: Cannot run program "p": error=2\n\tat x\nCaused by: java.io.IOException: error=2',
    )
    assert cause("http://flink", "j") == 'java.io.IOException: Cannot run program "p": error=2'
    fail(
        rest,
        "java.CompletionException: org.y.TimeoutException: late\nCaused by: org.y.TimeoutException: late",
    )
    assert cause("http://flink", "j") == "org.y.TimeoutException: late"


def test_no_slots_follow_from_what_came_before(rest: Rest) -> None:
    fail(rest, NO_SLOTS, NO_SLOTS, GONE)
    found = newest_failure("http://flink", "j")
    assert found is not None
    assert found.stack == GONE
    fail(rest, NO_SLOTS)
    found = newest_failure("http://flink", "j")
    assert found is not None
    assert found.slotless


def test_a_job_is_given_up_after_failures_of_its_own_only(rest: Rest) -> None:
    rest.answers["/jobs/j/checkpoints"]["counts"]["completed"] = 0
    fail(rest, *["java.io.IOException: no such program"] * 3)
    with pytest.raises(Failure, match=r"RUNNING, failed 3 times.*no such program"):
        await_settled("http://flink", "j", timeout_s=30)
    fail(rest, NO_SLOTS, NO_SLOTS, GONE, GONE, "java.io.IOException: once")
    with pytest.raises(Failure, match=r"no checkpoint within 0.1 s"):
        await_settled("http://flink", "j", timeout_s=0.1)
    rest.answers["/jobs/j/checkpoints"]["counts"]["completed"] = 1
    await_settled("http://flink", "j", timeout_s=30)
