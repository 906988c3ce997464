"""Whether a planned job can go on from a snapshot: what the JobManager would ask, asked before."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from pyflink.java_gateway import get_gateway

from stream.jobs.submit import Prepared


class Kept(NamedTuple):
    """One operator's state in a snapshot; ids are hexadecimal, names may be missing."""

    operator_id: str
    name: str | None
    max_parallelism: int
    parallelism: int
    size_bytes: int


class Place(NamedTuple):
    """Where an operator of a planned job is: the name and limits of its vertex."""

    vertex: str
    max_parallelism: int
    parallelism: int


def kept(metadata: bytes) -> list[Kept]:
    """Return the state in a snapshot by operator, without the operators that have none.

    Args:
        metadata: what the snapshot's file `_metadata` holds.
    """
    # It names state beside it, which nobody reads here, but the folder has to be one that the
    # client can look into; it has no credentials for the lake's.
    with TemporaryDirectory(prefix="tidegate-fit-") as folder:
        (Path(folder) / "_metadata").write_bytes(metadata)
        return _kept(folder)


def _kept(folder: str) -> list[Kept]:
    jvm = get_gateway().jvm
    stream = jvm.java.io.DataInputStream(jvm.java.io.FileInputStream(f"{folder}/_metadata"))
    loader = jvm.Thread.currentThread().getContextClassLoader()
    checkpoints = jvm.org.apache.flink.runtime.checkpoint.Checkpoints
    loaded = checkpoints.loadCheckpointMetadata(stream, loader, folder)
    stream.close()
    return [
        Kept(
            state.getOperatorID().toHexString(),
            state.getOperatorName().orElse(None),
            state.getMaxParallelism(),
            state.getParallelism(),
            state.getStateSize(),
        )
        for state in loaded.getOperatorStates().toArray()
        if _has_state(state)
    ]


def _has_state(state: Any) -> bool:
    if state.getCoordinatorState() is not None:
        return True
    return any(subtask.hasState() for subtask in state.getStates().toArray())


def places(prepared: Prepared) -> dict[str, Place]:
    """Return the operators of a planned job by id; both ids of one that was given a uid."""
    graph = prepared.streams._generate_stream_graph(False).getJobGraph()  # noqa: SLF001
    found: dict[str, Place] = {}
    for vertex in graph.getVerticesAsArray():
        place = Place(vertex.getName(), vertex.getMaxParallelism(), vertex.getParallelism())
        for pair in vertex.getOperatorIDs():
            found[pair.getGeneratedOperatorID().toHexString()] = place
            given = pair.getUserDefinedOperatorID()
            if given.isPresent():
                found[given.get().toHexString()] = place
    return found


def misfits(states: list[Kept], planned: dict[str, Place]) -> list[str]:
    """Return why a planned job cannot take the states, one line each; empty when it can."""
    found = []
    for state in states:
        place = planned.get(state.operator_id)
        if place is None:
            found.append(
                f"{state.name or 'an operator'} ({state.operator_id}) has {state.size_bytes} bytes "
                "of state, and is not in the new plan"
            )
        elif place.max_parallelism != state.max_parallelism:
            found.append(
                f"{place.vertex}: its keys were spread over {state.max_parallelism} groups (the "
                f"maximum parallelism), the new plan spreads them over {place.max_parallelism}"
            )
        elif place.parallelism > state.max_parallelism:
            found.append(
                f"{place.vertex}: parallelism {place.parallelism} is more than the "
                f"{state.max_parallelism} groups its keys are spread over"
            )
    return found
