"""What was asked of the cluster, on disk: a JobManager without HA forgets its jobs when it dies."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from schemas.topics import DEFAULT_PREFIX


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """One job as it was submitted; ``wanted`` says whether it is to be submitted again.

    The command for that is `tidegate jobs VERB ARGV…`.
    """

    name: str
    verb: str = "submit"
    argv: list[str]
    wanted: bool
    job_ids: list[str] = []
    savepoints: list[str] = []


class Named(NamedTuple):
    """A job's name in intents and, with ``tidegate-`` before it, in Flink."""

    name: str

    @property
    def flink(self) -> str:
        """Return the name that Flink shows."""
        return f"tidegate-{self.name}"


def named(job: str, prefix: str) -> Named:
    """Return the name of a job on topics of this prefix; the default prefix goes unsaid."""
    return Named(job if prefix == DEFAULT_PREFIX else f"{prefix.rstrip('.')}-{job}")


@contextmanager
def alone(state: Path) -> Iterator[None]:
    """Wait for whoever else is submitting to this stack, and keep others out meanwhile.

    The supervisor brings jobs back on its own; without this a person's submit beside it could
    start the same job twice.
    """
    folder = state / "jobs"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "submit.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def read_intent(state: Path, name: str) -> Intent | None:
    """Return what was asked last of the job of that name."""
    try:
        return msgspec.json.decode((state / "jobs" / f"{name}.json").read_bytes(), type=Intent)
    except FileNotFoundError:
        return None


def intents(state: Path) -> list[Intent]:
    """Return what was asked of all jobs."""
    return [
        msgspec.json.decode(path.read_bytes(), type=Intent)
        for path in sorted((state / "jobs").glob("*.json"))
    ]


def write_intent(state: Path, intent: Intent) -> None:
    """Replace the intent as a whole, so that a reader never sees half of one."""
    folder = state / "jobs"
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{intent.name}.new"
    temporary.write_text(json.dumps(msgspec.to_builtins(intent), indent=1))
    temporary.replace(folder / f"{intent.name}.json")
