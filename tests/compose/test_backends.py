"""Where state lives: chosen by the number of sensors, kept, and moved by savepoints only."""

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sink_rig import device

from compose import backends, choosing
from compose.backends import Sensors, check_move, choose, sensors_of, task_heap
from compose.choosing import Wanted, elsewhere, here
from compose.starting import JOBS, Choice, choice_of
from schemas.codec import decode, encode
from schemas.failure import BadConfig, Failure, Unavailable
from stream.rules import load_rules
from stream.state_size import sensor_bytes

MIB = 1 << 20
AT: Any = SimpleNamespace(
    kafka_bootstrap="k:9092", flink_url="http://flink", registry_url="http://registry"
)
NOBODY = Wanted(None, None, None, None, None)
OPTIONS: dict[str, Any] = {"rules": "generic", "prefix": "tidegate.", "lateness_ms": 5000}
OLD = Choice("alerts", "generic", "tidegate.", 2, 10_000, 5000)
CHECKPOINT = "s3://lake/_flink/checkpoints/a1/chk-7"
SAVEPOINT = "s3://lake/_flink/savepoints/a1/savepoint-b2"


def sensors(number: int) -> Sensors:
    return Sensors(number, 60_000, "as said")


@given(st.integers(1, 10**7), st.integers(1, 10**7), st.integers(64, 1 << 16))
def test_more_sensors_never_go_back_into_the_heap(one, other, heap):
    few, many = (choose(sensors(n), "generic", heap * MIB) for n in sorted((one, other)))
    assert (few.backend, many.backend) != ("rocksdb", "hashmap")


def test_the_choice_says_how_many_would_fit():
    small = choose(sensors(1000), "generic", 896 * MIB)
    assert small.backend == "hashmap"
    fits = int(small.why.split("; ")[1].split()[0])
    assert choose(sensors(fits), "generic", 896 * MIB).backend == "hashmap"
    large = choose(sensors(fits + 1), "generic", 896 * MIB)
    assert large.backend == "rocksdb"
    each = sensor_bytes(load_rules("generic"), 60_000)
    assert large.why == (
        f"state in RocksDB (--backend rocksdb): {fits + 1} sensors, a reading every 1m (as said), "
        f"{each} bytes of state each; {fits} fit into the heap of 896 MiB"
    )
    fast = Sensors(fits, 100, "as said")
    assert choose(fast, "generic", 896 * MIB).backend == "rocksdb"


def test_the_devices_topic_tells_how_many_sensors_there_are(monkeypatch: pytest.MonkeyPatch):
    def message(number: int, interval_ms: int | None) -> Any:
        each = msgspec.structs.replace(device(number), interval_ms=interval_ms)
        return SimpleNamespace(value=lambda: encode(each, 1))

    told = [message(1, 9000), message(2, None)], [message(1, 4000), message(3, 2000)]
    monkeypatch.setattr(backends, "decoder", lambda kind, _: lambda value: decode(kind, value))
    monkeypatch.setattr(backends, "follow", lambda *_, **__: iter(told))
    found = sensors_of(None, None, AT, "plant.")
    assert (found.number, found.interval_ms) == (15, 3000)
    assert "3 devices on plant.devices" in found.known_by
    assert sensors_of(7, None, AT, "plant.")[:2] == (7, 3000)
    assert sensors_of(None, 10, AT, "plant.")[:2] == (15, 10)
    assert sensors_of(7, 10, AT, "plant.") == (7, 10, "as said")
    monkeypatch.setattr(backends, "follow", gone)
    guess = sensors_of(None, None, AT, "plant.")
    assert guess[:2] == (1000, 60_000)
    assert "a guess" in guess.known_by


def gone(*_: object, **__: object) -> Any:
    raise Failure("topic plant.devices does not exist")


def test_the_heap_is_that_of_all_task_managers():
    answers = {
        "/taskmanagers": {"taskmanagers": [{"id": "a"}, {"id": "b"}]},
        "/taskmanagers/a": {"memoryConfiguration": {"taskHeap": 100}},
        "/taskmanagers/b": {"memoryConfiguration": {"taskHeap": 28}},
    }
    assert task_heap("http://flink", lambda _, path: answers[path]) == 128
    with pytest.raises(Unavailable, match="no TaskManager yet"):
        task_heap("http://flink", lambda *_: {"taskmanagers": []})


def test_only_a_savepoint_moves_state_to_another_backend():
    check_move("alerts", "hashmap", "rocksdb", SAVEPOINT)
    check_move("alerts", "rocksdb", "rocksdb", CHECKPOINT)
    check_move("alerts", "hashmap", "rocksdb", None)
    with pytest.raises(BadConfig) as refused:
        check_move("alerts", "hashmap", "rocksdb", CHECKPOINT)
    assert "tidegate jobs upgrade alerts --backend rocksdb" in str(refused.value)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "partitions_to_read", lambda *_: 4)
    monkeypatch.setattr(choosing, "free_slots", lambda _: 7)
    monkeypatch.setattr(choosing, "flink_jobs", lambda _: [])
    monkeypatch.setattr(choosing, "task_heap", lambda _: 896 * MIB)
    monkeypatch.setattr(choosing, "sensors_of", lambda said, *_: sensors(said or 1000))


@pytest.mark.usefixtures("cluster")
def test_a_job_keeps_its_backend_unless_another_is_asked_for(capsys: pytest.CaptureFixture[str]):
    many = NOBODY._replace(sensors=10**6)
    assert here(AT, "alerts", NOBODY, None, OPTIONS).backend == "hashmap"
    assert "state in the heap" in capsys.readouterr().err
    assert here(AT, "alerts", many, None, OPTIONS).backend == "rocksdb"
    assert here(AT, "lake", many, None, OPTIONS).backend == "hashmap"
    assert here(AT, "alerts", many, OLD, OPTIONS).backend == "hashmap"
    asked = many._replace(backend="rocksdb")
    assert here(AT, "alerts", asked, OLD, OPTIONS).backend == "rocksdb"


@pytest.mark.usefixtures("cluster")
def test_the_archive_takes_one_slot_and_long_checkpoints_and_leaves_the_rest_to_the_others():
    archive = here(AT, "archive", NOBODY, None, OPTIONS)
    assert (archive.parallelism, archive.checkpoint_interval_ms) == (1, 60_000)
    lake = here(AT, "lake", NOBODY, None, OPTIONS)
    # Seven slots: one for the archive, two for each of the three.
    assert (lake.parallelism, lake.checkpoint_interval_ms) == (2, 10_000)
    asked = NOBODY._replace(parallelism=3, checkpoint_interval_ms=2000)
    archive = here(AT, "archive", asked, None, OPTIONS)
    assert (archive.parallelism, archive.checkpoint_interval_ms) == (3, 2000)


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("job", JOBS)
def test_every_job_is_given_an_interval(job: str):
    assert here(AT, job, NOBODY, None, OPTIONS).checkpoint_interval_ms >= 1_500


@pytest.mark.usefixtures("cluster")
def test_alerts_have_short_checkpoints_while_their_state_is_light():
    """Who waits for an alert waits for a checkpoint; one that writes 150 MB takes its time."""

    def interval_ms(number: int, **said: Any) -> int:
        wanted = NOBODY._replace(sensors=number, **said)
        return here(AT, "alerts", wanted, None, OPTIONS).checkpoint_interval_ms

    assert interval_ms(1000) == 1_500
    assert 1_500 < interval_ms(20_000) <= 10_000
    assert interval_ms(10**6) == 1_500, "RocksDB writes what has changed"
    assert interval_ms(20_000, checkpoint_interval_ms=1_000) == 1_000


def test_what_brings_a_job_back_names_its_backend_and_its_timeout():
    chosen = OLD._replace(backend="rocksdb", transaction_timeout_ms=60_000)
    assert choice_of(chosen.argv()) == chosen
    newer = ("--backend", "--transaction-timeout")
    without = [word for word in OLD.argv() if not word.startswith(newer)]
    assert choice_of(without) == OLD  # a submission of an older version


def test_for_kubernetes_the_pods_heap_decides(capsys: pytest.CaptureFixture[str]):
    few = NOBODY._replace(parallelism=4, sensors=10)
    assert elsewhere("alerts", few, OPTIONS).backend == "hashmap"
    assert "1433 MiB" in capsys.readouterr().err
    assert elsewhere("alerts", few._replace(sensors=10**7), OPTIONS).backend == "rocksdb"
    assert elsewhere("lake", few._replace(sensors=10**7), OPTIONS).backend == "hashmap"
    assert elsewhere("alerts", few._replace(sensors=None), OPTIONS).backend == "hashmap"
