"""What a snapshot holds and what a planned job has room for, as Flink's own classes tell it."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pyflink.java_gateway import get_gateway

from stream.jobs.fit import Kept, Place
from stream.jobs.submit import Prepared


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
