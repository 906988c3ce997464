"""A Flink session cluster's REST API, the few calls that the commands need."""

import http.client
import json
import re
import time
import urllib.error
import urllib.request
from typing import Any, NamedTuple

from schemas.failure import Failure, Unavailable

LIVE = frozenset(
    {"INITIALIZING", "CREATED", "RUNNING", "RESTARTING", "RECONCILING", "CANCELLING", "FAILING"}
)
_TIMEOUT_S = 10.0
_POLL_S = 0.2
_REMEMBERED = 20
# A TaskManager that is gone, as the JobManager and as the other TaskManagers see it.
_LOST = re.compile(
    "no longer reachable|RemoteTransportException|PartitionConnectionException|"
    "Heartbeat of TaskManager|TaskManager .* (lost|disconnect)|not found on TaskManager"
)
# The last line of a Python traceback, which the JobManager shows within a Java one.
_PYTHON_ERROR = re.compile(r"(?!org\.|java\.|Caused)[\w.]+(Error|Exception|Warning): ")


class FlinkJob(NamedTuple):
    """A job as the JobManager lists it; ``start_ms`` is epoch milliseconds."""

    job_id: str
    name: str
    state: str
    start_ms: int

    @property
    def live(self) -> bool:
        """Say whether it still runs or tries to."""
        return self.state in LIVE


class Broken(NamedTuple):
    """One failure of a job: when (epoch ms), in which task (None: in the job as a whole), and why.

    ``cause`` is one line, a Python error's own where there is one; ``stack`` is Java's.
    """

    at_ms: int
    task: str | None
    cause: str
    stack: str

    @property
    def slotless(self) -> bool:
        """Say whether there was no room for the job, rather than a fault in it."""
        return "NoResourceAvailableException" in self.stack

    @property
    def own(self) -> bool:
        """Say whether the job itself is at fault, as far as can be told: no process was lost."""
        return not (self.slotless or _LOST.search(self.stack))


def call(flink_url: str, path: str, *, method: str = "GET", body: object = None) -> Any:
    """Return the JSON that the JobManager answers.

    Raises:
        Unavailable: it does not answer.
        Failure: it answers with an error.
    """
    request = urllib.request.Request(
        flink_url.rstrip("/") + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            return json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        raise Failure(
            f"Flink at {flink_url}: {method} {path}: {error.code} {_why(error)}"
        ) from error
    except (OSError, http.client.HTTPException, json.JSONDecodeError) as error:
        raise Unavailable(f"Flink at {flink_url} does not answer: {error}") from error


def _why(error: urllib.error.HTTPError) -> str:
    """Return the first line of what the JobManager says; the rest is a Java stack."""
    try:
        return str(json.load(error)["errors"][-1]).strip().splitlines()[0]
    except (OSError, ValueError, LookupError, TypeError):
        return str(error.reason)


def jobs(flink_url: str) -> list[FlinkJob]:
    """Return the jobs the cluster knows, newest first."""
    found = [
        FlinkJob(job["jid"], job["name"], job["state"], job["start-time"])
        for job in call(flink_url, "/jobs/overview")["jobs"]
    ]
    return sorted(found, key=lambda job: -job.start_ms)


def live_job(flink_url: str, name: str) -> FlinkJob | None:
    """Return the newest live job of that Flink name."""
    return next((job for job in jobs(flink_url) if job.name == name and job.live), None)


def free_slots(flink_url: str) -> int:
    """Return how many slots no job holds; a job needs as many as its parallelism."""
    return int(call(flink_url, "/overview")["slots-available"])


def stop(flink_url: str, job_id: str, savepoints: str, *, timeout_s: float = 120.0) -> str:
    """Drain nothing, take a savepoint, stop; return the savepoint's path.

    Raises:
        Failure: the savepoint failed or took longer than the timeout; the job runs on.
    """
    body = {"targetDirectory": savepoints, "drain": False}
    return _saved(flink_url, job_id, f"/jobs/{job_id}/stop", body, timeout_s)


def savepoint(flink_url: str, job_id: str, savepoints: str, *, timeout_s: float = 120.0) -> str:
    """Take a savepoint of a job that runs on; return the savepoint's path.

    Raises:
        Failure: it failed or took longer than the timeout.
    """
    body = {"target-directory": savepoints, "cancel-job": False}
    return _saved(flink_url, job_id, f"/jobs/{job_id}/savepoints", body, timeout_s)


def _saved(flink_url: str, job_id: str, asked: str, body: object, timeout_s: float) -> str:
    answer = call(flink_url, asked, method="POST", body=body)
    path = f"/jobs/{job_id}/savepoints/{answer['request-id']}"
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        status = call(flink_url, path)
        if status["status"]["id"] == "COMPLETED":
            operation = status["operation"]
            if "location" in operation:
                return str(operation["location"])
            told = operation.get("failure-cause", {})
            why = _first_cause(str(told.get("stack-trace") or told.get("class", "unknown")))
            raise Failure(f"the savepoint of {job_id} failed: {why}; the job runs on")
        time.sleep(_POLL_S)
    raise Failure(
        f"the savepoint of {job_id} takes longer than {timeout_s:g} s; `tidegate jobs status` says "
        "why, and it may still come to its end"
    )


def cancel(flink_url: str, job_id: str) -> None:
    """Cancel a job; its last checkpoint stays."""
    call(flink_url, f"/jobs/{job_id}?mode=cancel", method="PATCH")


def await_ended(flink_url: str, job_id: str, *, timeout_s: float = 60.0) -> None:
    """Wait until a job is over.

    Raises:
        Failure: it was not in time.
    """
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if call(flink_url, f"/jobs/{job_id}")["state"] not in LIVE:
            return
        time.sleep(_POLL_S)
    raise Failure(f"job {job_id} does not end within {timeout_s:g} s")


def await_settled(flink_url: str, job_id: str, *, timeout_s: float, tries: int = 3) -> None:
    """Wait until a job has completed a checkpoint: then it runs, and its sinks do, too.

    Raises:
        Failure: it failed so many times by its own fault, or took longer; with the newest cause.
    """
    end = time.monotonic() + timeout_s
    why = f"no checkpoint within {timeout_s:g} s"
    while time.monotonic() < end:
        if completed_checkpoints(flink_url, job_id) > 0:
            return
        state = call(flink_url, f"/jobs/{job_id}")["state"]
        own = [each for each in failures(flink_url, job_id, at_most=_REMEMBERED) if each.own]
        if state not in LIVE or len(own) >= tries:
            why = f"{state}, failed {len(own)} times"
            break
        time.sleep(_POLL_S)
    raise Failure(f"job {job_id} does not run ({why}): {cause(flink_url, job_id)}")


def await_running(flink_url: str, job_id: str, *, timeout_s: float = 90.0) -> None:
    """Wait until every task of a job runs or has done its work.

    Raises:
        Failure: it failed, or did not run in time; the message holds the first cause.
    """
    end = time.monotonic() + timeout_s
    states: list[str] = []
    while time.monotonic() < end:
        job = call(flink_url, f"/jobs/{job_id}")
        states = [vertex["status"] for vertex in job["vertices"]]
        if states and all(state in ("RUNNING", "FINISHED") for state in states):
            return
        if job["state"] not in LIVE:
            break
        time.sleep(_POLL_S)
    raise Failure(
        f"job {job_id} does not run (tasks: {', '.join(states)}): {cause(flink_url, job_id)}"
    )


def cause(flink_url: str, job_id: str) -> str:
    """Return the newest failure of a job in one line, or say that there is none."""
    failed = newest_failure(flink_url, job_id)
    return "no failure recorded" if failed is None else failed.cause


def newest_failure(flink_url: str, job_id: str) -> Broken | None:
    """Return what a job failed of last; None when it never has.

    When it had no slots to come back in, that followed from what it failed of before.
    """
    found = failures(flink_url, job_id, at_most=_REMEMBERED)
    return next((each for each in found if not each.slotless), found[0] if found else None)


def failures(flink_url: str, job_id: str, *, at_most: int) -> list[Broken]:
    """Return what a job failed of, the newest first, as far back as the JobManager remembers."""
    history = call(flink_url, f"/jobs/{job_id}/exceptions?maxExceptions={at_most}")
    return [_broken(entry) for entry in history.get("exceptionHistory", {}).get("entries", [])]


def _broken(entry: dict[str, Any]) -> Broken:
    stack = str(entry.get("stacktrace") or entry.get("exceptionName"))
    return Broken(entry["timestamp"], entry.get("taskName"), _first_cause(stack), stack)


def _first_cause(stack: str) -> str:
    lines = stack.splitlines() or [stack]
    python = [line for line in lines if _PYTHON_ERROR.match(line)]
    java = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
    return (python[-1] if python else _innermost([lines[0], *java]))[:500]


def _innermost(causes: list[str]) -> str:
    """Return the innermost cause, or one around it that says the same and more."""
    *around, found = causes
    for outer in reversed(around):
        told, known = outer.partition(": ")[2], found.partition(": ")[2]
        # Some only repeat the class and the words of what they wrap.
        if not known or told == found or not told.endswith(known):
            break
        found = outer
    return found


def completed_checkpoints(flink_url: str, job_id: str) -> int:
    """Return how many checkpoints of a job have completed."""
    return int(call(flink_url, f"/jobs/{job_id}/checkpoints")["counts"]["completed"])
