"""What the commands do to a stack: bring it up, stop it, remove what it keeps."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from compose.local import sweep
from compose.local.children import LOG_START
from compose.local.layout import Layout
from compose.local.logs import tail
from compose.local.packages import fetch_mosquitto
from compose.local.settings import START_ORDER
from compose.local.state import (
    PartState,
    StackState,
    Wanted,
    asking,
    holder,
    published,
    read_wanted,
    write_wanted,
)
from compose.local.tools import find_tools
from schemas.failure import BadConfig, Failure, Unavailable

_POLL_S = 0.05
_TAIL = 15
_NUDGE_S = 1.0
_FOLDERS = ("data", "conf", "logs", "tmp", "jobs")
_SEPARATORS = frozenset(":,|\n")
_START_BOUND_S = 30.0
_UP_BOUND_S = 240.0
_RESUME_BOUND_S = 180.0
_DOWN_BOUND_S = 90.0
_KILL_BOUND_S = 15.0


def up(layout: Layout, parts: Sequence[str], say: Callable[[str], None]) -> StackState:
    """Bring these parts up and return when they are ready; ``say`` gets lines of progress.

    Parts that run already stay as they are. If this call started the supervisor and a part does
    not come up, everything is stopped again.

    Raises:
        Unavailable: a program is missing or a part does not come up; the message says why and
            holds the last lines of its log.
    """
    _make_root(layout)
    with asking(layout):
        request = _ask(layout, parts, say)
    try:
        state = _await_ready(layout, request, say)
        return _await_jobs(layout, state, say)
    except Unavailable:
        if request.started is not None:
            down(layout, lambda _: None)
        raise


def down(layout: Layout, say: Callable[[str], None]) -> bool:
    """Stop the stack, and what an earlier one left; return whether there was anything to stop.

    Raises:
        Failure: something cannot be ended.
    """
    supervisor = holder(layout)
    if supervisor is not None:
        _signal(supervisor, signal.SIGTERM)
        if not _await_end(layout, supervisor, say):
            say(f"the supervisor does not stop in {_DOWN_BOUND_S:g} s: killing everything")
            _signal(supervisor, signal.SIGKILL)
    found = bool(sweep.marked(sweep.of_state(layout.root)))
    left = sweep.end_marked(sweep.of_state(layout.root), bound_s=_KILL_BOUND_S)
    if left:
        raise Failure(f"processes that cannot be ended: {', '.join(map(str, left))}")
    layout.status.unlink(missing_ok=True)
    return supervisor is not None or found


def reset(layout: Layout) -> None:
    """Remove what a stopped stack keeps, but for the programs fetched for it.

    Raises:
        Failure: the stack is up, or the folder is none of a stack.
    """
    _check_ours(layout)
    if holder(layout) is not None or sweep.marked(sweep.of_state(layout.root)):
        raise Failure(f"the stack in {layout.root} is up; stop it first: tidegate local down")
    for folder in _FOLDERS:
        shutil.rmtree(layout.root / folder, ignore_errors=True)
    for file in (
        layout.status,
        layout.wanted,
        layout.ports,
        layout.gateway_config,
        layout.sinks_config,
    ):
        file.unlink(missing_ok=True)


def _make_root(layout: Layout) -> None:
    another = "choose another with --state DIR or TIDEGATE__LOCAL__STATE"
    if wrong := sorted(_SEPARATORS & set(str(layout.root))):
        raise BadConfig(
            f"the state folder {layout.root} has {' and '.join(map(repr, wrong))} in its path, "
            f"which class paths and lists of folders cannot hold; {another}"
        )
    try:
        _check_ours(layout)
        layout.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        layout.logs.mkdir(exist_ok=True)
        layout.lock.touch()
    except OSError as error:
        raise Failure(
            f"the state folder {layout.root} cannot be used: {error.strerror}; {another}"
        ) from error


def _check_ours(layout: Layout) -> None:
    """Refuse a folder with `data` or `logs` of somebody else's: `reset` would remove them."""
    theirs = [name for name in _FOLDERS if (layout.root / name).exists()]
    if theirs and not layout.lock.exists():
        raise BadConfig(
            f"{layout.root} has {', '.join(theirs)} in it but is no state folder of a local stack; "
            "name a new or empty folder"
        )


class _Request(NamedTuple):
    parts: Sequence[str]
    number: int
    started: int | None
    ready_before: set[str]


def _ask(layout: Layout, parts: Sequence[str], say: Callable[[str], None]) -> _Request:
    """Leave the request, and start a supervisor where there is none; one caller at a time.

    A second caller finds the first one's supervisor, or its lock on the way: else either would
    overwrite what the other asked for and wait for an answer that never comes.
    """
    if "mosquitto" in parts:
        fetch_mosquitto(layout, say)
    find_tools(layout, parts)  # before anything is started
    _await_stopping(layout)
    supervisor = holder(layout)
    last, state = read_wanted(layout), published(layout)
    others = () if supervisor is None else last.parts
    number = max(last.number, state.asked if state else 0) + 1
    wanted = Wanted(
        number=number, parts=[part for part in START_ORDER if part in {*others, *parts}]
    )
    write_wanted(layout, wanted)
    ready = _ready(state)
    if supervisor is not None:
        return _Request(parts, wanted.number, None, ready)
    started = _start_supervisor(layout)
    _await_lock(layout, started)
    return _Request(parts, wanted.number, started, ready)


def _await_lock(layout: Layout, started: int) -> None:
    """Let a new supervisor take its lock or end: until then the next caller would start another."""
    end = time.monotonic() + _START_BOUND_S
    while holder(layout) is None and sweep.alive(started) and time.monotonic() < end:
        time.sleep(_POLL_S)


def _start_supervisor(layout: Layout) -> int:
    """Start the supervisor and return its process id.

    A shell that ends at once puts it in the background, so that it is nobody's child: whoever
    calls this may live on without ever collecting it.
    """
    environment = {name: value for name, value in os.environ.items() if name != sweep.MARK}
    with layout.log("supervisor").open("ab") as output:
        output.write(f"{LOG_START}supervisor ===\n".encode())
        output.flush()
        command = [sys.executable, "-m", "compose.local.supervisor", str(layout.root)]
        shell = subprocess.run(
            ["/bin/sh", "-c", 'exec 3>&1 >&2; "$@" 3>&- & echo $! >&3', "sh", *command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
            start_new_session=True,
            check=True,
        )
    return int(shell.stdout)


def _await_stopping(layout: Layout) -> None:
    """Let a supervisor that is stopping come to its end: it answers no more."""
    end = time.monotonic() + _DOWN_BOUND_S
    while (state := published(layout)) is not None and state.stopping and time.monotonic() < end:
        time.sleep(_POLL_S)


def _await_ready(layout: Layout, request: _Request, say: Callable[[str], None]) -> StackState:
    told = set(request.ready_before)
    end = time.monotonic() + _UP_BOUND_S
    nudge = 0.0
    while time.monotonic() < end:
        state = published(layout)
        if state is None:
            _check_supervisor(layout, request.started)
        elif state.asked < request.number:
            if time.monotonic() >= nudge:
                nudge = time.monotonic() + _NUDGE_S
                _signal(state.pid, signal.SIGHUP)
        else:
            if state.refused:
                raise Unavailable(state.refused)
            for part in (part for part in state.parts if part.name in request.parts):
                _tell(layout, part, told, say)
            if _ready(state) >= set(request.parts):
                return state
        time.sleep(_POLL_S)
    missing = ", ".join(part for part in request.parts if part not in _ready(published(layout)))
    raise Unavailable(f"{missing}: not ready after {_UP_BOUND_S:g} s; see: tidegate local status")


def _ready(state: StackState | None) -> set[str]:
    return {part.name for part in state.parts if part.state == "ready"} if state else set()


def _tell(layout: Layout, part: PartState, told: set[str], say: Callable[[str], None]) -> None:
    if part.state == "failed":
        raise Unavailable(_why_not(layout, part))
    if part.state == "ready" and part.name not in told:
        told.add(part.name)
        say(f"{part.name}: ready on port {part.port} after {part.ready_s:g} s")


def _check_supervisor(layout: Layout, started: int | None) -> None:
    """Raise when nobody is left who could bring the parts up."""
    if (started is None or not sweep.alive(started)) and holder(layout) is None:
        raise Unavailable(_with_tail(layout, "supervisor", "the supervisor ended"))


def _await_jobs(layout: Layout, state: StackState, say: Callable[[str], None]) -> StackState:
    """Wait until jobs of before are back: a job submitted meanwhile would run twice."""
    if state.resuming:
        say(f"jobs: bringing back {', '.join(state.resuming)}")
    end = time.monotonic() + _RESUME_BOUND_S
    current: StackState | None = state
    while current is not None and current.resuming and time.monotonic() < end:
        time.sleep(_POLL_S)
        state, current = current, published(layout)
    if state.resuming and current is not None and current.resuming:
        say(f"jobs: {', '.join(current.resuming)} not back yet: {current.resuming_why}")
    return current or state


def _await_end(layout: Layout, supervisor: int, say: Callable[[str], None]) -> bool:
    told: set[str] = set()
    end = time.monotonic() + _DOWN_BOUND_S
    while time.monotonic() < end:
        state = published(layout)
        for part in state.parts if state else ():
            if part.state == "stopped" and part.name not in told:
                told.add(part.name)
                say(f"{part.name}: stopped")
        if holder(layout) != supervisor:
            return True
        time.sleep(_POLL_S)
    return False


def _signal(pid: int, what: signal.Signals) -> None:
    try:
        os.kill(pid, what)
    except ProcessLookupError:
        return  # it ended by itself
    except PermissionError as error:
        raise Failure(f"the stack belongs to another user (process {pid})") from error


def _why_not(layout: Layout, part: PartState) -> str:
    return _with_tail(layout, part.name, f"{part.name} does not come up: it {part.why}")


def _with_tail(layout: Layout, part: str, what: str) -> str:
    path: Path = layout.log(part)
    lines = tail(path, _TAIL)
    shown = "".join(f"\n    {line}" for line in lines if not line.startswith(LOG_START))
    return f"{what}\nlast lines of {path}:{shown or ' (empty)'}"
