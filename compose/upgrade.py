"""Exchange a running job for another version of itself, without losing or doubling anything.

    plan the new one ─▶ does the state fit? ─▶ stop with savepoint ─▶ start the new one from it
         └──────── refused: the old one runs on ────┘                      │ no checkpoint in time
                                                        the old one, from the savepoint ◀──┘

Whoever is killed in between leaves an intent that is true: the job that is wanted can be submitted
again and goes on from the newest snapshot. The lock keeps the supervisor out for as long.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from compose.backends import Backend
from compose.intents import Intent, Named, alone, read_intent
from compose.lake_cli import lake_of
from compose.local.endpoints import Endpoints
from compose.parallelism import advice, await_room, partitions_to_read
from compose.starting import Choice, check_fit, choice_of, pane_bounds, prepare, start
from schemas.failure import BadConfig, Failure, RetryLater, Unavailable
from stream.jobs.checkpoints import metadata, newest, savepoints_of
from stream.jobs.cluster import (
    FlinkJob,
    await_ended,
    await_settled,
    call,
    cancel,
    jobs,
    live_job,
    stop,
)

if TYPE_CHECKING:  # it starts PyFlink
    from stream.jobs.submit import Prepared

_LOOKS = 20


class Asked(NamedTuple):
    """What is to be different from now on; None leaves it as it is."""

    rules: str | None = None
    parallelism: int | None = None
    checkpoint_interval_ms: int | None = None
    lateness_ms: int | None = None
    transaction_timeout_ms: int | None = None
    rules_after: int | None = None
    backend: Backend | None = None


class Where(NamedTuple):
    """The stack, the job on it, how long the new one may take, and who is told of each step."""

    state: Path
    endpoints: Endpoints
    who: Named
    within_s: float
    say: Callable[[str], None]


class _Planned(NamedTuple):
    """Both versions: what runs, and what is to run."""

    running: FlinkJob
    before: Choice
    after: Choice
    prepared: "Prepared"


def upgrade(at: Where, asked: Asked) -> str:
    """Exchange the job; return the new one's id.

    Raises:
        BadConfig: the new version cannot run, or not from this state; the old one runs on.
        RetryLater: there is no room for it, or no checkpoint to compare it with; as before.
        Failure: the job does not run; or the new version did not, and the old one runs again.
    """
    with alone(at.state):
        planned = _plan(at, asked)
        flink, old = at.endpoints.flink_url, planned.running.job_id
        at.say(f"{at.who.name}: the new version plans and the state fits; stopping {old}")
        savepoint = stop(flink, old, savepoints_of(at.endpoints.lake_uri, old))
        await_ended(flink, old)
        at.say(f"{at.who.name}: stopped, savepoint {savepoint}")
        return _begin(at, planned, savepoint)


def _begin(at: Where, planned: _Planned, savepoint: str) -> str:
    job_id = None
    try:
        # The savepoint has to outlive the new version's first checkpoints: see _back.
        job_id = start(at.state, at.who, planned.after, planned.prepared, savepoint, keeps=True)
        await_settled(at.endpoints.flink_url, job_id, timeout_s=_bound(at, planned.after))
    except Unavailable:
        raise  # the new version is wanted; the supervisor submits it once the JobManager is back
    except Failure as error:
        raise _back(at, planned, job_id, error) from error
    return job_id


def _bound(at: Where, choice: Choice) -> float:
    return at.within_s + choice.checkpoint_interval_ms / 1000


def _plan(at: Where, asked: Asked) -> _Planned:
    running = live_job(at.endpoints.flink_url, at.who.flink)
    intent = read_intent(at.state, at.who.name)
    if running is None:
        raise Failure(f"{at.who.name} does not run; `tidegate jobs submit` starts it")
    if running.state != "RUNNING":
        raise RetryLater(
            f"{at.who.name} is {running.state}: no savepoint can be taken of it now, and "
            f"`tidegate jobs status` says why. To exchange it as it is: tidegate jobs cancel, then "
            f"submit, which goes on from its last checkpoint"
        )
    before = _chosen(at.who, intent)
    after = _changed(before, asked)
    prepared = prepare(at.state, at.endpoints, at.who, after)
    _check_state(at, running, prepared)
    _check_room(at, before, after)
    return _Planned(running, before, after, prepared)


def _chosen(who: Named, intent: Intent | None) -> Choice:
    if intent is None:
        raise Failure(
            f"{who.name} was not submitted from this state folder, so nothing is known of how; "
            "use --state, or stop it and submit it anew"
        )
    if intent.verb != "submit":
        raise BadConfig(
            f"{who.name} is a job of statements: stop it and give the new ones to `tidegate jobs "
            "sql`, which goes on from its savepoint"
        )
    return choice_of(intent.argv)


def _changed(before: Choice, asked: Asked) -> Choice:
    changes = {name: value for name, value in asked._asdict().items() if value is not None}
    after = before._replace(**changes)
    return after._replace(panes=pane_bounds(before, after))


def _check_state(at: Where, running: FlinkJob, prepared: "Prepared") -> None:
    check_fit(at.who, _newest_state(at, running), prepared)


def _newest_state(at: Where, running: FlinkJob) -> bytes:
    files = lake_of(at.endpoints).files
    for _ in range(_LOOKS):
        told = call(at.endpoints.flink_url, f"/jobs/{running.job_id}/checkpoints")
        last = told["latest"]["completed"]
        # It may have made place for a newer one meanwhile.
        if last is not None and (found := metadata(files, last["external_path"])) is not None:
            return found
    raise RetryLater(
        f"{at.who.name} has no completed checkpoint that the new version could be held against; "
        f"`tidegate jobs status {at.who.name}` shows its checkpoints"
    )


def _check_room(at: Where, before: Choice, after: Choice) -> None:
    partitions = partitions_to_read(at.endpoints.kafka_bootstrap, after.prefix)
    if said := advice(f"{after.prefix}readings", partitions, after.parallelism):
        at.say(f"warning: {said}")
    await_room(at.endpoints.flink_url, after.parallelism, freed=before.parallelism)


def _back(at: Where, planned: _Planned, failed: str | None, why: Failure) -> Failure:
    """End the new version, start the old one again; return what is to be said of it.

    Nothing that the new version wrote has been committed before its first checkpoint, so the old
    one goes on from the savepoint as if it had never been. Should a checkpoint have been completed
    in the last moment, the old one goes on from that.
    """
    flink = at.endpoints.flink_url
    at.say(f"{at.who.name}: the new version does not run; the former one comes back")
    if any(job.job_id == failed and job.live for job in jobs(flink)):
        cancel(flink, str(failed))
        await_ended(flink, str(failed))
    intent = read_intent(at.state, at.who.name)
    assert intent is not None
    files = lake_of(at.endpoints).files
    snapshot = newest(files, at.endpoints.lake_uri, intent.job_ids, intent.savepoints)
    prepared = prepare(at.state, at.endpoints, at.who, planned.before)
    job_id = start(at.state, at.who, planned.before, prepared, snapshot, keeps=True)
    try:
        await_settled(flink, job_id, timeout_s=_bound(at, planned.before))
    except Failure as error:
        raise Failure(
            f"{at.who.name}: the new version did not run ({why}), and the former one does not "
            f"either, from {snapshot}: {error}"
        ) from error
    return Failure(
        f"{at.who.name}: the new version did not run, the former one runs again as {job_id}, from "
        f"{snapshot}: {why}"
    )
