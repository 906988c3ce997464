"""A real local stack for tests: `with running_stack(folder) as stack: ...`."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from compose.local import control, sweep
from compose.local.endpoints import Endpoints, read
from compose.local.layout import Layout
from compose.local.settings import PARTS, expand
from compose.local.state import PartState, StackState, holder, published
from compose.local.tools import find_tools
from schemas.failure import Unavailable


def eventually(what: str, done: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Poll until `done` returns something true; fail with `what` after a bound."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if value := done():
            return value
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds:g} s: {what}")


def one_part(supervisor: int) -> StackState:
    """Return what a supervisor of Kafka alone would publish."""
    part = PartState(name="kafka", state="ready", port=1, pid=2)
    return StackState(pid=supervisor, run="r", started_ms=0, endpoints={}, parts=[part])


def tidegate(
    *words: str, state: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user would."""
    return subprocess.run(
        [sys.executable, "-m", "compose.cli", *words],
        env=os.environ | {"TIDEGATE__LOCAL__STATE": str(state)} | (env or {}),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@dataclass(frozen=True)
class RunningStack:
    """A stack that is up; `endpoints` say where."""

    layout: Layout
    endpoints: Endpoints

    def part(self, name: str) -> PartState:
        """Return the part as the supervisor sees it now."""
        state = published(self.layout)
        assert state is not None, "the supervisor is gone"
        part = state.part(name)
        assert part is not None, f"{name} is not part of this stack"
        return part

    def kill(self, name: str) -> int:
        """Kill a part with -9 and return the process number it had."""
        pid = self.part(name).pid
        assert pid is not None, f"{name} does not run"
        os.kill(pid, signal.SIGKILL)
        return pid

    def await_restart(self, name: str, old: int, seconds: float = 90.0) -> PartState:
        """Wait until a killed part is ready again as another process."""

        def again() -> PartState | None:
            part = self.part(name)
            return part if part.state == "ready" and part.pid != old else None

        found = eventually(f"{name} is ready again", again, seconds)
        assert isinstance(found, PartState)
        return found

    def tidegate(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command against this stack."""
        return tidegate(*words, state=self.layout.root)


@contextmanager
def running_stack(state_dir: Path, parts: Sequence[str] | None = None) -> Iterator[RunningStack]:
    """Bring a stack up in the folder, all parts or these, and take it down at the end.

    Ports are free ones when the usual ones are taken. Skips the test, and says why, where a
    program or the jars are missing.
    """
    layout = Layout.of(state_dir)
    wanted = expand(list(parts)) if parts else list(PARTS)
    try:
        find_tools(layout, wanted)
    except Unavailable as missing:
        pytest.skip(f"no local stack here: {missing}")
    try:
        control.up(layout, wanted, lambda _: None)
        yield RunningStack(layout, read(state_dir))
    finally:
        control.down(layout, lambda _: None)


def nothing_left(layout: Layout) -> bool:
    """Say whether no supervisor and no process of this state folder is alive."""
    return holder(layout) is None and not sweep.marked(sweep.of_state(layout.root))
