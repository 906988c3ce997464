"""How many parallel instances a job gets: as many as its topic has partitions, if there is room."""

import time
from collections.abc import Callable
from typing import NamedTuple

from compose.topics import partitions_of
from schemas.failure import Failure, RetryLater
from stream.jobs.cluster import free_slots

_POLL_S = 0.5


class Chosen(NamedTuple):
    """A parallelism, and what is to be said of it (None: nothing)."""

    parallelism: int
    warning: str | None


def advice(topic: str, partitions: int, parallelism: int) -> str | None:
    """Return what to do about a parallelism that is not the topic's; None when it is."""
    if parallelism == partitions:
        return None
    said = f"parallelism {parallelism}, but {topic} has {partitions} partitions: "
    if parallelism > partitions:
        return (
            f"{said}{parallelism - partitions} source instances have nothing to read; use "
            f"--parallelism {partitions}, or make the topics anew with `tidegate topics apply "
            f"--partitions {parallelism}`"
        )
    spread = "evenly" if partitions % parallelism == 0 else "unevenly"
    return f"{said}they are spread {spread}; --parallelism {partitions} gives each its own"


def chosen(topic: str, partitions: int, asked: int | None, room: int) -> Chosen:
    """Return the parallelism asked for, or the topic's partitions as far as there is room.

    Args:
        topic: the full name.
        partitions: how many it has.
        asked: what a person said, if anything.
        room: the slots that this job may take.
    """
    if asked is not None:
        return Chosen(asked, advice(topic, partitions, asked))
    if partitions <= room or room < 1:
        return Chosen(partitions, None)
    # A divisor of the partitions gives every instance as many as the others.
    fits = max(each for each in range(1, room + 1) if partitions % each == 0)
    return Chosen(
        fits,
        f"parallelism {fits}, though {topic} has {partitions} partitions: the cluster has "
        f"{room} free slots for it; give it more slots, or say --parallelism",
    )


def partitions_to_read(bootstrap: str, prefix: str) -> int:
    """Return how many partitions the readings topic has.

    Raises:
        Unavailable: the brokers do not answer.
        Failure: there is no such topic.
    """
    topic = f"{prefix}readings"
    found = partitions_of(bootstrap, prefix)[topic]
    if found is None:
        raise Failure(
            f"topic {topic} does not exist; create the topics with: tidegate topics apply "
            f"--bootstrap {bootstrap} --prefix {prefix}"
        )
    return found


def await_room(
    flink_url: str,
    parallelism: int,
    *,
    freed: int = 0,
    within_s: float = 20.0,
    free: Callable[[str], int] = free_slots,
) -> None:
    """Wait for enough free slots: those of a TaskManager that was killed are back in seconds.

    ``freed`` are slots that will be free by then.

    Raises:
        RetryLater: there are too few.
    """
    end = time.monotonic() + within_s
    while (found := free(flink_url) + freed) < parallelism:
        if time.monotonic() > end:
            raise RetryLater(
                f"the cluster has {found} free slots and the job needs {parallelism}: end another "
                "(`tidegate jobs list` shows them), give this one a smaller --parallelism, or the "
                "cluster more slots"
            )
        time.sleep(_POLL_S)
