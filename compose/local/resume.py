"""Submit again what the JobManager forgot: without high availability its jobs die with it."""

import os
import subprocess
import sys
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any

import msgspec

from compose.intents import Intent, intents
from compose.local.children import ended, pause_s, spawn
from compose.local.layout import Layout
from compose.local.logs import tail
from compose.local.sweep import MARK
from schemas.failure import Failure
from stream.jobs.cluster import jobs

_BOUND_S = 180.0


def forgotten(wanted: list[Intent], live_names: set[str]) -> list[Intent]:
    """Return the wanted jobs that the cluster does not run."""
    return [
        intent for intent in wanted if intent.wanted and f"tidegate-{intent.name}" not in live_names
    ]


def submission(intent: Intent) -> list[str]:
    """Return the command that submits a job from its newest checkpoint."""
    command = [sys.executable, "-m", "compose.cli", "jobs", intent.verb, *intent.argv]
    told = any(word.startswith("--rules-after=") for word in intent.argv)
    if intent.argv[:1] == ["alerts"] and not told:
        command.append("--rules-after=0")  # these are no new rules: pushed ones stay in force
    return [*command, "--from", "latest"]


def _wanted(layout: Layout) -> list[Intent]:
    return [intent for intent in intents(layout.root) if intent.wanted]


def _look(layout: Layout, flink_url: str) -> list[Intent]:
    return forgotten(_wanted(layout), {job.name for job in jobs(flink_url) if job.live})


@dataclass(slots=True)
class Resumption:
    """Goes on until the cluster lists every wanted job, one submission at a time.

    ``names`` are the jobs still to come back; ``why`` is what went wrong last.
    """

    layout: Layout
    flink_url: str
    mark: str
    names: list[str] = field(default_factory=list)
    why: str = ""
    _looking: "Future[list[Intent]] | None" = None
    _process: "subprocess.Popen[bytes] | None" = None
    _started: float = 0.0
    _due: float = 0.0
    _failures: int = 0

    def begin(self) -> None:
        """Take note of every wanted job: the JobManager starts anew and knows none."""
        self.stop()
        self._due, self._failures, self.why = 0.0, 0, ""
        try:
            self.names = [intent.name for intent in _wanted(self.layout)]
        except msgspec.MsgspecError as error:
            self.names, self.why = [], f"a file in {self.layout.root}/jobs is damaged: {error}"

    def stop(self) -> None:
        """End a submission that is under way."""
        if self._process is not None and not ended(self._process):
            self._process.terminate()
            self._process.wait()
        self._process, self._looking = None, None

    def step(self, now: float, asking: Executor) -> None:
        """Look, submit or wait, whichever is due. Call it while the cluster is up."""
        if self._process is not None:
            self._await(now, self._process)
        elif self._looking is not None:
            if self._looking.done():
                self._submit(now, self._looking)
        elif self.names and now >= self._due:
            self._looking = asking.submit(_look, self.layout, self.flink_url)

    def _submit(self, now: float, looking: "Future[list[Intent]]") -> None:
        self._looking = None
        try:
            missing = looking.result()
        except (Failure, msgspec.MsgspecError, OSError) as error:
            self._retry(now, str(error))
            return
        self.names = [intent.name for intent in missing]
        if missing:
            self._started = now
            self._process = spawn(
                submission(missing[0]),
                env=self._environment(),
                cwd=self.layout.root,
                log=self.layout.log("jobs"),
            )

    def _await(self, now: float, process: "subprocess.Popen[bytes]") -> None:
        if not ended(process):
            if now - self._started > _BOUND_S:
                process.terminate()
            return
        self._process = None
        if process.returncode == 0:
            self._due, self._failures, self.why = now, 0, ""
        else:
            last = tail(self.layout.log("jobs"), 1)
            self._retry(now, last[-1] if last else f"exit code {process.returncode}")

    def _retry(self, now: float, why: str) -> None:
        self._failures += 1
        self._due, self.why = now + pause_s(self._failures + 1), why

    def _environment(self) -> dict[str, Any]:
        return os.environ | {"TIDEGATE__LOCAL__STATE": str(self.layout.root), MARK: self.mark}
