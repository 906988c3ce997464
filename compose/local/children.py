"""The life of one part: started, probed until ready, started again when it ends."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from compose.local import tether
from compose.local.parts import RUN, Part, environment
from compose.local.state import PartState, PartStatus
from compose.local.sweep import MARK

_PROBE_PAUSE_S = 0.1
_LOG_LIMIT = 32 << 20
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
# A part that ends this soon after it was ready has not really come up.
_STEADY_S = 30.0
_TRIES = 3
LOG_START = "=== tidegate starts "


def pause_s(failures: int) -> float:
    """Return how long to wait before the next start, after so many failed ones in a row."""
    return min(_FIRST_PAUSE_S * 2.0 ** min(failures, 10), _LONGEST_PAUSE_S)


def spawn(
    argv: list[str], *, env: Mapping[str, str], cwd: Path, log: Path
) -> "subprocess.Popen[bytes]":
    """Start a command in its own process group; it dies with this thread. Call from the main one.

    Its output is appended to the log, below a line that marks the start.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > _LOG_LIMIT:
        log.replace(log.with_name(log.name + ".1"))
    with log.open("ab") as output:
        stamp = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        output.write(f"{LOG_START}{Path(argv[0]).name} {stamp} ===\n".encode())
        output.flush()
        return subprocess.Popen(
            [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *argv],
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def ended(process: "subprocess.Popen[bytes]") -> bool:
    """Say whether a process ended; its whole group ends with it before its number is free."""
    if process.returncode is not None:
        return True
    status = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if status is None:
        return False
    kill_group(process)
    return True


def kill_group(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process that was not collected yet, with its group, and collect it."""
    with contextlib.suppress(ProcessLookupError):  # not yet a group of its own, or an empty one
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def how_it_ended(returncode: int) -> str:
    """Return an exit code or signal in words."""
    if returncode >= 0:
        return f"exited with code {returncode}"
    return f"was ended by {signal.Signals(-returncode).name}"


@dataclass(slots=True)
class Child:
    """A part and its process, if it has one. Times are of the monotonic clock, in seconds."""

    part: Part
    log: Path
    mark: str
    status: PartStatus = "waiting"
    process: "subprocess.Popen[bytes] | None" = None
    starts: int = 0
    failures: int = 0
    due: float = 0.0
    started: float = 0.0
    started_ms: int = 0
    ready: float | None = None
    why: str = ""
    _run: str = ""
    _probe: "Future[str | None] | None" = None
    _next_probe: float = 0.0

    def step(self, now: float, probing: Executor) -> None:
        """Start, probe or bury the process, whichever is due."""
        if self.process is None:
            if self.status != "stopped" and now >= self.due:
                self._start(now)
        elif ended(self.process):
            self._bury(now, how_it_ended(self.process.returncode))
        elif self.ready is None:
            self._look(now, probing)

    def retry(self) -> None:
        """Forget failures and start at once, if it does not run."""
        if self.process is None:
            self.status, self.failures, self.due = "waiting", 0, 0.0

    def stop(self, *, gently: bool = True) -> None:
        """End the process, within the part's bound, and keep it ended."""
        process, self.process = self.process, None
        self._probe = None
        if process is not None:
            if gently:
                process.send_signal(self.part.stop_signal)
                end = time.monotonic() + self.part.stop_bound_s
                while not ended(process) and time.monotonic() < end:
                    time.sleep(0.02)
            if not ended(process):
                kill_group(process)
        self.status, self.ready, self.why = "stopped", None, ""

    def state(self) -> PartState:
        """Return what is published about it."""
        running = self.process is not None
        return PartState(
            name=self.part.name,
            state=self.status,
            port=self.part.port,
            pid=self.process.pid if self.process else None,
            started_ms=self.started_ms if running else None,
            ready_s=None if self.ready is None else round(self.ready - self.started, 1),
            restarts=max(0, self.starts - 1),
            why=self.why,
        )

    def _start(self, now: float) -> None:
        self.starts += 1
        self._run = f"{self.part.name}-{self.mark.rpartition('#')[2]}-{self.starts}"
        self.process = spawn(
            [argument.replace(RUN, self._run) for argument in self.part.argv],
            env=environment(self.part) | {MARK: self.mark},
            cwd=self.part.cwd,
            log=self.log,
        )
        self.started, self.started_ms = now, time.time_ns() // 1_000_000
        self.ready, self._probe, self._next_probe = None, None, now
        if self.status != "failed":
            self.status = "starting"

    def _look(self, now: float, probing: Executor) -> None:
        if self._probe is not None and self._probe.done():
            reason, self._probe = self._probe.result(), None
            self._next_probe = now + _PROBE_PAUSE_S
            if reason is None:
                self.status, self.ready, self.why = "ready", now, ""
                return
            if self.status != "failed":
                self.why = reason
        if now - self.started > self.part.start_bound_s:
            assert self.process is not None
            kill_group(self.process)
            self.failures = _TRIES
            self._bury(now, f"is not ready after {self.part.start_bound_s:g} s: {self.why}")
        elif self._probe is None and now >= self._next_probe:
            self._probe = probing.submit(self.part.probe, self._run)

    def _bury(self, now: float, why: str) -> None:
        steady = self.ready is not None and now - self.ready > _STEADY_S
        self.failures = 0 if steady else self.failures + 1
        self.process, self.ready, self._probe = None, None, None
        self.why = why
        self.status = "failed" if self.failures >= _TRIES else "waiting"
        self.due = now + pause_s(0 if steady else self.failures - 1)
