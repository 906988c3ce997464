"""What `tidegate jobs status` says of a job, and what it makes of it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from compose.given_up import said
from compose.intents import Intent, intents
from compose.lags import Lag, lags, newest_windows
from compose.lake_cli import lake_of
from compose.local.endpoints import Endpoints
from compose.parallelism import advice
from compose.submissions import kind_of, prefix_of
from schemas.failure import Failure, Unavailable
from schemas.registry import RegistryDown
from stream.archived import ARCHIVED
from stream.jobs.cluster import FlinkJob, jobs
from stream.jobs.health import Observed, Vertex, held_up, observe, overworked, short
from stream.lake import answers
from stream.sinks.warehouse import WAREHOUSE

_FLINK = "tidegate-"
# What each of our jobs reads; of another its metrics say so.
_READ: Mapping[str, Sequence[str]] = {
    "lake": ("readings",),
    "alerts": ("readings",),
    "warehouse": [table.topic for table in WAREHOUSE],
    "archive": [table.name for table in ARCHIVED],
}
_STALE_INTERVALS = 3
_STALE_MS = 30_000
_WARM_UP_MS = 30_000
_LATELY_INTERVALS = 3
_LATELY_MS = 10_000


class World(NamedTuple):
    """What all jobs share: newest window ends by topic prefix, and what is out of reach.

    ``kafka`` is False once the brokers have not answered.
    """

    newest: Mapping[str, Mapping[str, int]]
    away: Sequence[str]
    kafka: bool


class Health(NamedTuple):
    """One job: what the cluster says (None: it does not run), its lag, its sites, its troubles.

    ``newest`` are the newest pane ends that the job itself tells of, or, for sites that had none
    since it was (re)started, their newest windows' ends on Kafka.
    """

    name: str
    wanted: bool
    job: FlinkJob | None
    seen: Observed | None
    behind: Sequence[Lag]
    newest: Mapping[str, int]
    problems: Sequence[str]


def healths(state: Path, endpoints: Endpoints, only: str | None = None) -> list[Health]:
    """Return how the jobs do that are wanted or live, or the one of that name, run or not.

    Raises:
        Unavailable: the JobManager does not answer.
        Failure: there is no such job.
    """
    asked = {intent.name: intent for intent in intents(state)}
    found: dict[str, FlinkJob] = {}
    for job in jobs(endpoints.flink_url):
        found.setdefault(job.name.removeprefix(_FLINK), job)
    names = {name for name, job in found.items() if job.live}
    names |= {name for name, intent in asked.items() if intent.wanted}
    if only is not None:
        names = {only} & (set(found) | set(asked))
        if not names:
            raise Failure(f"{only} was never submitted; `tidegate jobs list` shows what was")
    subjects = [_Subject(name, asked.get(name), found.get(name)) for name in sorted(names)]
    world = _world(endpoints, {each.prefix for each in subjects if each.kind == "alerts"})
    return [_health(endpoints, each, world) for each in subjects]


class _Subject(NamedTuple):
    name: str
    intent: Intent | None
    job: FlinkJob | None

    @property
    def kind(self) -> str:
        return kind_of(self.name, self.intent)

    @property
    def prefix(self) -> str:
        return prefix_of(self.name, self.intent)

    @property
    def group(self) -> str:
        return f"{self.prefix}{self.kind}"


def _world(endpoints: Endpoints, prefixes: set[str]) -> World:
    newest: dict[str, dict[str, int]] = {}
    away = []
    kafka = True
    for prefix in sorted(prefixes):
        try:
            newest[prefix] = newest_windows(
                endpoints.kafka_bootstrap, endpoints.registry_url, f"{prefix}windows"
            )
        except (Failure, RegistryDown) as error:
            away.append(str(error))
            if isinstance(error, Unavailable):
                kafka = False
                break  # the brokers will not answer for another prefix
    try:
        answers(lake_of(endpoints))
    except Unavailable as error:
        away.append(str(error))
    return World(newest, away, kafka)


def _health(endpoints: Endpoints, of: _Subject, world: World) -> Health:
    seen = observe(endpoints.flink_url, of.job) if of.job is not None and of.job.live else None
    problems = list(world.away)
    behind: list[Lag] = []
    try:
        behind = _lags(endpoints, of, seen) if world.kafka else []
    except Unavailable as error:
        problems.append(str(error))
    wanted = of.intent is not None and of.intent.wanted
    if seen is not None:
        total = sum(each.behind for each in behind) if behind else None
        problems += [*troubles(seen, total), *_unaligned(seen, behind)]
        problems += _given_up(endpoints, of, seen) if world.kafka else []
    elif wanted:
        problems.append(
            "wanted, but the cluster does not run it; `tidegate jobs submit` goes on from where it "
            "was"
        )
    newest = dict(world.newest.get(of.prefix, {})) if of.kind == "alerts" else {}
    for site, end in (seen.newest_panes if seen is not None else {}).items():
        newest[site] = max(end, newest.get(site, end))
    return Health(of.name, wanted, of.job, seen, behind, newest, problems)


def _given_up(endpoints: Endpoints, of: _Subject, seen: Observed) -> Iterator[str]:
    """Yield which alerts are missing, if Flink says that it could not commit some.

    The topic is only read then. What was written a moment ago waits for its checkpoint.
    """
    if of.kind == "alerts" and seen.uncommitted:
        lately_ms = _LATELY_INTERVALS * seen.checkpoints.interval_ms + _LATELY_MS
        if (lost := said(endpoints, of.prefix, seen.now_ms - lately_ms)) is not None:
            yield lost


def _lags(endpoints: Endpoints, of: _Subject, seen: Observed | None) -> list[Lag]:
    own = [of.prefix + topic for topic in _READ.get(of.kind, ())]
    positions = {} if seen is None else seen.positions
    return lags(endpoints.kafka_bootstrap, of.group, positions, own)


def troubles(seen: Observed, behind: int | None) -> Iterator[str]:
    """Yield what is wrong with a job that is on the cluster, each with the vertex at fault.

    ``behind`` are the records it has still to read, None when nobody knows.
    """
    state = seen.job.state
    down = [short(each.name) for each in seen.vertices if each.state != "RUNNING"]
    if state != "RUNNING" or down:
        at = f" ({', '.join(down)} not running)" if down else ""
        why = "" if seen.failure is None else f": {failed(seen)}"
        yield f"{state}{at}{why}"
    yield from _late_checkpoints(seen)
    for waiting, fault in held_up(seen.vertices):
        yield (
            f"backpressure: {_named(fault)} holds up {short(waiting.name)} "
            f"({waiting.held_up or 0:.0%} of its time)"
        )
    if behind == 0 or seen.uptime_ms < _WARM_UP_MS:
        return  # busy, and keeping up; or busy with its own start
    held = {fault.vertex_id for _, fault in held_up(seen.vertices)}
    for each in overworked(seen.vertices):
        if each.vertex_id not in held:
            yield f"{_named(each)} has no time left: it or its sink is the bottleneck"


def _named(vertex: Vertex) -> str:
    busy = "" if vertex.busy is None else f" (busy {vertex.busy:.0%})"
    return f"{short(vertex.name)}{busy}"


def failed(seen: Observed) -> str:
    """Return the newest failure with the vertex that it came from, as one line."""
    assert seen.failure is not None
    at = seen.failure.task
    return seen.failure.cause if at is None else f"{short(at)}: {seen.failure.cause}"


def _late_checkpoints(seen: Observed) -> Iterator[str]:
    points = seen.checkpoints
    if points.failures_in_a_row:
        why = "" if points.why is None else f": {points.why.splitlines()[0]}"
        yield f"checkpoints failed since the last complete one: {points.failures_in_a_row}{why}"
    since = points.at_ms if points.at_ms is not None else seen.now_ms - seen.uptime_ms
    age = seen.now_ms - since
    if points.interval_ms > 0 and age > max(_STALE_MS, _STALE_INTERVALS * points.interval_ms):
        waits = ", ".join(map(short, points.waits_for))
        yield f"no checkpoint for {age // 1000} s" + (
            f"; the one under way waits for {waits}" if waits else ""
        )


def _unaligned(seen: Observed, behind: Sequence[Lag]) -> Iterator[str]:
    readings = [each for each in behind if each.topic.endswith("readings")]
    if readings and (said := advice(readings[0].topic, len(readings), seen.parallelism)):
        yield said


def report(health: Health, now_ms: int) -> dict[str, Any]:
    """Return a job's health as what --json prints; ages are seconds, sizes bytes."""
    seen = health.seen
    about: dict[str, Any] = {
        "name": health.name,
        "job_id": None if health.job is None else health.job.job_id,
        "state": "MISSING" if health.job is None else health.job.state,
        "wanted": health.wanted,
    }
    if health.wanted and seen is None:
        about["state"] = "MISSING"
    if seen is not None:
        about |= _running(seen)
    total = sum(each.behind for each in health.behind)
    return about | {
        "lag": {
            "records": total if health.behind else None,
            "partitions": [{**each._asdict(), "behind": each.behind} for each in health.behind],
        },
        "freshness_s": {site: (now_ms - end) / 1000 for site, end in health.newest.items()},
        "problems": list(health.problems),
    }


def _running(seen: Observed) -> dict[str, Any]:
    points, failure = seen.checkpoints, seen.failure
    return {
        "parallelism": seen.parallelism,
        "uptime_s": seen.uptime_ms / 1000,
        "restarts": seen.restarts,
        "in_per_s": round(seen.in_per_s, 1),
        "out_per_s": round(seen.out_per_s, 1),
        "watermark": seen.watermark_ms,
        "checkpoint": {
            "completed": points.completed,
            "age_s": None if points.at_ms is None else max(0, seen.now_ms - points.at_ms) / 1000,
            "bytes": points.size_bytes,
            "duration_ms": points.duration_ms,
            "failures_in_a_row": points.failures_in_a_row,
        },
        "backpressure": [
            {"waits": short(one.name), "ratio": one.held_up, "for": short(fault.name)}
            for one, fault in held_up(seen.vertices)
        ],
        "failure": None
        if failure is None
        else {
            "at": failure.at_ms,
            "vertex": None if failure.task is None else short(failure.task),
            "cause": failure.cause,
        },
    }
