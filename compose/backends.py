"""Where a job's state lives: in the heap while the fleet fits, in RocksDB beyond."""

from collections.abc import Callable
from statistics import median
from typing import Literal, NamedTuple

from compose.local.endpoints import Endpoints
from gateway.follow import decoder, follow
from schemas.amounts import told_ms
from schemas.failure import BadConfig, Failure, Unavailable
from schemas.records import Device
from stream.jobs.checkpoints import SAVEPOINTS
from stream.jobs.cluster import call
from stream.rules import load_rules
from stream.state_size import MINUTE_MS, sensor_bytes

Backend = Literal["hashmap", "rocksdb"]
BACKENDS: tuple[Backend, ...] = ("hashmap", "rocksdb")
DEFAULT: Backend = "hashmap"
"""That of the cluster's settings, and of a submission that says none."""
# A byte of stored state takes this many in the heap: 71 MB for 37 MB of 20 000 sensors, measured.
_HEAP_FACTOR = 2.0
# The rest is for what the job works with, and for a checkpoint beside it.
_SHARE_OF_HEAP = 0.4
_METRICS_EACH = 5
_UNKNOWN_SENSORS = 1000


class Sensors(NamedTuple):
    """How many sensors, metrics of devices, there are and how often one reports, ms.

    ``known_by`` says how that is known.
    """

    number: int
    interval_ms: int
    known_by: str


class Chosen(NamedTuple):
    """A backend, the sentence that says why, and what it writes with each checkpoint.

    That is the whole state in the heap, as far as it is known, and no more than what has changed
    in RocksDB, counted as nothing here.
    """

    backend: Backend
    why: str = ""
    written_bytes: int = 0


def choose(sensors: Sensors, rules: str, heap_bytes: int) -> Chosen:
    """Return the backend of the alerts job; the state of no other grows with the fleet.

    Args:
        sensors: how many there are.
        rules: its rule file, or a pack's name.
        heap_bytes: of all TaskManagers together.
    """
    return fitting(sensors, sensor_bytes(load_rules(rules), sensors.interval_ms), heap_bytes)


def fitting(sensors: Sensors, each_bytes: int, heap_bytes: int) -> Chosen:
    """Return the backend of sensors whose state takes so many bytes each; see :func:`choose`."""
    fits = int(heap_bytes * _SHARE_OF_HEAP / (each_bytes * _HEAP_FACTOR))
    told = (
        f"{sensors.number} sensors, a reading every {told_ms(sensors.interval_ms)} "
        f"({sensors.known_by}), {each_bytes} bytes of state each; {fits} fit into the heap of "
        f"{heap_bytes >> 20} MiB"
    )
    if sensors.number <= fits:
        why = f"state in the heap (--backend hashmap): {told}"
        return Chosen("hashmap", why, each_bytes * sensors.number)
    return Chosen("rocksdb", f"state in RocksDB (--backend rocksdb): {told}")


def sensors_of(
    number: int | None, interval_ms: int | None, endpoints: Endpoints, prefix: str
) -> Sensors:
    """Return how many sensors there are: as said, by the devices topic, or a guess."""
    if number is not None and interval_ms is not None:
        return Sensors(number, interval_ms, "as said")
    devices = _devices(endpoints, f"{prefix}devices")
    told = [each.interval_ms for each in devices if each.interval_ms]
    usual = round(median(told)) if told else MINUTE_MS
    return Sensors(
        number or len(devices) * _METRICS_EACH or _UNKNOWN_SENSORS,
        interval_ms or usual,
        f"{len(devices)} devices on {prefix}devices, else a guess; --sensors and --every say it "
        "better",
    )


def _devices(endpoints: Endpoints, topic: str) -> list[Device]:
    """Return the newest record of each device, as far as there are any."""
    known: dict[str, Device] = {}
    decoded = decoder(Device, endpoints.registry_url)
    try:
        for batch in follow(endpoints.kafka_bootstrap, topic, until_end=True):
            for message in batch:
                if value := message.value():
                    device = decoded(value)
                    known[device.device_id] = device
    except (Failure, ValueError):
        return []  # a guess will do: what has to be there is asked for elsewhere
    return list(known.values())


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
