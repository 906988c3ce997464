"""How a job is doing, put together from what the JobManager answers."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from schemas.failure import Failure, Unavailable
from stream.jobs.cluster import Broken, FlinkJob, call, newest_failure

_SOURCE = re.compile(r"Source__.*\.numRecordsInPerSecond")
# Behind a file sink Flink puts a writer called "end", which writes nothing.
_SINK = re.compile(r"(?!end__)(.*__Writer|StreamingFileWriter)\.numRecordsInPerSecond")
_POSITION = re.compile(
    r".*\.KafkaSourceReader\.topic\.(?P<topic>.+)\.partition\.(?P<partition>\d+)\.currentOffset"
)
_UNCOMMITTED = re.compile(r".*__Committer\.failedCommittables")
_PANE = re.compile(r"decide\.site\.(?P<site>.+)\.newest_pane_end")
_SUMMED = (_SOURCE, _SINK, _UNCOMMITTED)
_NO_WATERMARK = -(2**63)
_HELD_UP = 0.1
"""Share of time waiting for the next operator from which Flink speaks of backpressure."""
_BUSY = 0.95


class Vertex(NamedTuple):
    """One vertex of the running graph; ratios are shares of time, None while unknown.

    ``inputs`` are the ids of the vertices before it.
    """

    vertex_id: str
    name: str
    parallelism: int
    state: str
    inputs: Sequence[str]
    held_up: float | None
    busy: float | None


class Checkpoints(NamedTuple):
    """The newest completed checkpoint, and what has come since. Times are epoch milliseconds.

    ``failures_in_a_row`` counts those that were begun, of the ten that the JobManager remembers.
    ``under_way_since_ms`` and ``waits_for`` tell of the one that is not complete yet.
    """

    interval_ms: int
    completed: int
    at_ms: int | None
    duration_ms: int | None
    size_bytes: int | None
    failures_in_a_row: int
    why: str | None
    under_way_since_ms: int | None
    waits_for: Sequence[str]


class Observed(NamedTuple):
    """A job as of ``now_ms``; rates are records a second, ``restarts`` are since its submission.

    ``positions`` are the next offsets by topic, as metrics spell it, and partition. Partitions
    that the job has read nothing of since it was (re)started are not among them. ``newest_panes``
    are the newest pane ends (epoch ms) by site, of the sites that had one since then.
    ``uncommitted`` are the transactions that it could not commit any more since then.
    """

    job: FlinkJob
    now_ms: int
    parallelism: int
    max_parallelism: int
    uptime_ms: int
    restarts: int
    in_per_s: float
    out_per_s: float
    watermark_ms: int | None
    checkpoints: Checkpoints
    vertices: Sequence[Vertex]
    positions: Mapping[str, Mapping[int, int]]
    newest_panes: Mapping[str, int]
    failure: Broken | None
    uncommitted: int


def observe(flink_url: str, job: FlinkJob) -> Observed:
    """Ask for everything that is known of a job. Flink's own figures are up to 10 s old.

    Raises:
        Unavailable: the JobManager does not answer.
        Failure: it does not know the job any more.
    """
    root = f"/jobs/{job.job_id}"
    told = call(flink_url, root)
    inputs = {
        node["id"]: [each["id"] for each in node.get("inputs", ())]
        for node in told["plan"]["nodes"]
    }
    vertices = [
        _vertex(flink_url, root, each, inputs.get(each["id"], [])) for each in told["vertices"]
    ]
    figures = _figures(flink_url, root, [each.vertex_id for each in vertices])
    whole = _values(call(flink_url, f"{root}/metrics?get=numRestarts,uptime"), "value")
    return Observed(
        job=job,
        now_ms=told["now"],
        parallelism=max((each.parallelism for each in vertices), default=0),
        max_parallelism=told["maxParallelism"],
        uptime_ms=max(0, int(whole.get("uptime", 0))),
        restarts=int(whole.get("numRestarts", 0)),
        in_per_s=figures.in_per_s,
        out_per_s=figures.out_per_s,
        watermark_ms=figures.watermark_ms,
        checkpoints=_checkpoints_if_any(flink_url, root, vertices),
        vertices=vertices,
        positions=figures.positions,
        newest_panes=figures.newest_panes,
        failure=newest_failure(flink_url, job.job_id),
        uncommitted=figures.uncommitted,
    )


def held_up(vertices: Sequence[Vertex]) -> list[tuple[Vertex, Vertex]]:
    """Return who holds up whom: pairs of a vertex that waits and the one at fault behind it.

    The one at fault does not wait itself; those further up wait because of it, and go unsaid.
    """
    waiting = {each.vertex_id: each for each in vertices if (each.held_up or 0) >= _HELD_UP}
    return [
        (waiting[before], each)
        for each in vertices
        if each.vertex_id not in waiting
        for before in each.inputs
        if before in waiting
    ]


def overworked(vertices: Sequence[Vertex]) -> list[Vertex]:
    """Return the vertices that have no time left, be it for work or for a sink that is slow.

    Of several in a row only the last: it is what the others wait for.
    """
    busy = {each.vertex_id: each for each in vertices if (each.busy or 0) >= _BUSY}
    before = {one for each in busy.values() for one in each.inputs}
    return [each for each in busy.values() if each.vertex_id not in before]


def short(name: str) -> str:
    """Return a vertex's name without the planner's numbers: its head and the sinks behind it."""
    head = name.split(" -> ", 1)[0].replace("KafkaSource-default_catalog.default_database.", "")
    sinks = re.findall(r"([\w$]+)\[\d+\]: Writer", name)
    if "StreamingFileWriter" in name:
        sinks.append("files")
    # Numbers of the plan, of the instance and of its attempt.
    head = re.sub(r"\[\d+\]| \(\d+/\d+\)( - execution #\d+)?", "", head)
    return f"{head} to {', '.join(sinks)}" if sinks else head


class _Figures(NamedTuple):
    in_per_s: float
    out_per_s: float
    watermark_ms: int | None
    positions: Mapping[str, Mapping[int, int]]
    newest_panes: Mapping[str, int]
    uncommitted: int


def _figures(flink_url: str, root: str, vertices: Sequence[str]) -> _Figures:
    metrics: dict[str, float] = {}
    watermarks = []
    for vertex in vertices:
        path = f"{root}/vertices/{vertex}"
        metrics |= _metrics(flink_url, f"{path}/subtasks/metrics")
        watermarks += [int(each["value"]) for each in call(flink_url, f"{path}/watermarks")]
    known = [each for each in watermarks if each != _NO_WATERMARK]
    positions: dict[str, dict[int, int]] = {}
    for name, value in metrics.items():
        if (place := _POSITION.fullmatch(name)) and value >= 0:
            positions.setdefault(place["topic"], {})[int(place["partition"])] = int(value) + 1
    return _Figures(
        sum(value for name, value in metrics.items() if _SOURCE.fullmatch(name)),
        sum(value for name, value in metrics.items() if _SINK.fullmatch(name)),
        # A job whose operators have no watermark yet, or never get one, has none as a whole.
        min(known) if known and len(known) == len(watermarks) else None,
        positions,
        {
            at["site"]: int(value)
            for name, value in metrics.items()
            if (at := _PANE.fullmatch(name))
        },
        round(sum(value for name, value in metrics.items() if _UNCOMMITTED.fullmatch(name))),
    )


def _metrics(flink_url: str, path: str) -> dict[str, float]:
    """Return what is wanted of a vertex: rates and counts as sums, the rest as the largest.

    A partition has one reader, so its offset is no sum.
    """
    wanted = [
        each["id"]
        for each in call(flink_url, path)
        if any(kind.fullmatch(each["id"]) for kind in (*_SUMMED, _POSITION, _PANE))
    ]
    if not wanted:
        return {}
    names = ",".join(quote(name, safe="") for name in wanted)
    answer = call(flink_url, f"{path}?get={names}&agg=max,sum")
    largest, sums = _values(answer, "max"), _values(answer, "sum")
    return largest | {
        name: value for name, value in sums.items() if any(kind.fullmatch(name) for kind in _SUMMED)
    }


def _values(answer: Sequence[Mapping[str, Any]], key: str) -> dict[str, float]:
    found = {each["id"]: float(each[key]) for each in answer if each.get(key) is not None}
    return {name: value for name, value in found.items() if value == value}  # noqa: PLR0124 - NaN


def _vertex(flink_url: str, root: str, told: Mapping[str, Any], inputs: Sequence[str]) -> Vertex:
    pressure = call(flink_url, f"{root}/vertices/{told['id']}/backpressure")
    subtasks = pressure.get("subtasks", ())
    return Vertex(
        vertex_id=told["id"],
        name=told["name"],
        parallelism=told["parallelism"],
        state=told["status"],
        inputs=inputs,
        held_up=_largest(each.get("ratio") for each in subtasks),
        busy=_largest(each.get("busyRatio") for each in subtasks),
    )


def _largest(ratios: Any) -> float | None:
    known = [float(each) for each in ratios if each not in (None, "NaN")]
    return max(known, default=None)


def _checkpoints_if_any(flink_url: str, root: str, vertices: Sequence[Vertex]) -> Checkpoints:
    """Return what is known; a job that is only being set up has none, and says so by an error."""
    try:
        return _checkpoints(flink_url, root, {each.vertex_id: each.name for each in vertices})
    except Unavailable:
        raise
    except Failure:
        return Checkpoints(0, 0, None, None, None, 0, None, None, [])


def _checkpoints(flink_url: str, root: str, names: Mapping[str, str]) -> Checkpoints:
    told = call(flink_url, f"{root}/checkpoints")
    last = told["latest"]["completed"] or {}
    history = told["history"]
    since = [each for each in history if each["id"] > last.get("id", 0)]
    failed = [each for each in since if each["status"] == "FAILED"]
    under_way = next((each for each in since if each["status"] == "IN_PROGRESS"), None)
    return Checkpoints(
        interval_ms=call(flink_url, f"{root}/checkpoints/config")["interval"],
        completed=told["counts"]["completed"],
        at_ms=last.get("latest_ack_timestamp"),
        duration_ms=last.get("end_to_end_duration"),
        size_bytes=last.get("state_size"),
        failures_in_a_row=len(failed),
        why=failed[0].get("failure_message") if failed else None,
        under_way_since_ms=under_way["trigger_timestamp"] if under_way else None,
        waits_for=_not_done(flink_url, root, under_way["id"], names) if under_way else [],
    )


def _not_done(flink_url: str, root: str, checkpoint: int, names: Mapping[str, str]) -> list[str]:
    details = call(flink_url, f"{root}/checkpoints/details/{checkpoint}")
    return [
        names[vertex]
        for vertex, task in details["tasks"].items()
        if vertex in names and task["num_acknowledged_subtasks"] < task["num_subtasks"]
    ]
