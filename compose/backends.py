"""Where a job's state lives: in the heap while the fleet fits, in RocksDB beyond."""

from collections.abc import Callable
from typing import Literal, NamedTuple

from gateway.follow import follow
from schemas.failure import BadConfig, Failure, Unavailable
from stream.jobs.checkpoints import SAVEPOINTS
from stream.jobs.cluster import call
from stream.rules import load_rules
from stream.state_size import sensor_bytes

Backend = Literal["hashmap", "rocksdb"]
BACKENDS: tuple[Backend, ...] = ("hashmap", "rocksdb")
DEFAULT: Backend = "hashmap"
"""That of the cluster's settings, and of a submission that says none."""
# A byte of state takes this many in the heap, with objects and maps around it: measured.
_HEAP_FACTOR = 4.0
# The rest is for what the job works with, and for a checkpoint beside it.
_SHARE_OF_HEAP = 0.4
_METRICS_EACH = 5
_UNKNOWN_SENSORS = 1000


class Sensors(NamedTuple):
    """How many sensors, metrics of devices, there are, and how that is known."""

    number: int
    known_by: str


class Chosen(NamedTuple):
    """A backend, and the sentence that says why."""

    backend: Backend
    why: str


def choose(sensors: Sensors, rules: str, heap_bytes: int) -> Chosen:
    """Return the backend of the alerts job; the state of no other grows with the fleet.

    Args:
        sensors: how many there are.
        rules: its rule file, or a pack's name.
        heap_bytes: of all TaskManagers together.
    """
    each_bytes = sensor_bytes(load_rules(rules))
    fits = int(heap_bytes * _SHARE_OF_HEAP / (each_bytes * _HEAP_FACTOR))
    told = (
        f"{sensors.number} sensors ({sensors.known_by}) of {each_bytes} bytes of state; "
        f"{fits} fit into the heap of {heap_bytes >> 20} MiB"
    )
    if sensors.number <= fits:
        return Chosen("hashmap", f"state in the heap (--backend hashmap): {told}")
    return Chosen("rocksdb", f"state in RocksDB (--backend rocksdb): {told}")


def sensors_of(asked: int | None, bootstrap: str, prefix: str) -> Sensors:
    """Return how many sensors there are: as said, by the devices topic, or a guess."""
    if asked is not None:
        return Sensors(asked, "as said by --sensors")
    devices = _devices(bootstrap, f"{prefix}devices")
    if devices:
        return Sensors(
            devices * _METRICS_EACH,
            f"{devices} on {prefix}devices, {_METRICS_EACH} metrics each taken for granted; "
            "--sensors says it better",
        )
    return Sensors(
        _UNKNOWN_SENSORS, f"a guess, {prefix}devices names none; --sensors says it better"
    )


def _devices(bootstrap: str, topic: str) -> int:
    known: set[bytes] = set()
    try:
        for batch in follow(bootstrap, topic, until_end=True):
            for message in batch:
                key = message.key() or b""
                (known.add if message.value() is not None else known.discard)(bytes(key))
    except Failure:
        return 0  # a guess will do: what has to be there is asked for elsewhere
    return len(known)


def task_heap(flink_url: str, ask: Callable[[str, str], dict[str, object]] = call) -> int:
    """Return the bytes of heap that all TaskManagers have for tasks.

    Raises:
        Unavailable: the JobManager does not answer, or has no TaskManager.
    """
    listed = ask(flink_url, "/taskmanagers")["taskmanagers"]
    assert isinstance(listed, list)
    found = 0
    for each in listed:
        memory = ask(flink_url, f"/taskmanagers/{each['id']}")["memoryConfiguration"]
        assert isinstance(memory, dict)
        found += int(memory["taskHeap"])
    if not found:
        raise Unavailable(f"Flink at {flink_url} has no TaskManager yet")
    return found


def check_move(name: str, before: Backend, after: Backend, snapshot: str | None) -> None:
    """Refuse to go on in another backend from what only the one that wrote it can read.

    A savepoint is in Flink's canonical format, which every backend reads; a checkpoint is not.

    Raises:
        BadConfig: the snapshot is a checkpoint of the other backend.
    """
    if before == after or snapshot is None or f"/{SAVEPOINTS}/" in snapshot:
        return
    raise BadConfig(
        f"{name}: {snapshot} is a checkpoint of {before} and cannot be read by {after}; only a "
        f"savepoint moves between them. Submit it with --backend {before}, then: tidegate jobs "
        f"upgrade {name} --backend {after}"
    )
