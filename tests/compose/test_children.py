import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from stack_fixture import eventually

from compose.local.children import Child, how_it_ended, pause_s
from compose.local.logs import tail
from compose.local.parts import RUN, Part
from compose.local.sweep import MARK, environment, mark_of

SLEEP = (
    sys.executable,
    "-I",
    "-S",
    "-c",
    "import sys, time; print('hello', *sys.argv[1:], flush=True); time.sleep(60)",
    RUN,
)
FAIL = (sys.executable, "-I", "-S", "-c", "import sys; sys.exit('no such thing')")


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Child]]:
    children = []

    def child(argv=SLEEP, probe=lambda _: None, **options) -> Child:
        part = Part(name="thing", port=1, argv=argv, cwd=tmp_path, probe=probe, **options)
        children.append(Child(part, tmp_path / "thing.log", mark_of(tmp_path, "run")))
        return children[-1]

    yield child
    for one in children:
        one.stop(gently=False)


def until(
    child: Child,
    pool: ThreadPoolExecutor,
    what: str,
    done: Callable[[], bool],
    now: Callable[[], float] = time.monotonic,
) -> None:
    def step() -> bool:
        child.step(now(), pool)
        return done()

    eventually(what, step, 20)


def test_a_part_is_ready_when_its_probe_says_so(make, pool) -> None:
    reasons = iter(["not yet", "nearly", None])
    seen = []
    child = make(probe=lambda run: (seen.append(run), next(reasons))[1])
    until(child, pool, "ready", lambda: child.status == "ready")
    assert seen == ["thing-run-1"] * 3
    assert child.state().ready_s is not None
    assert child.state().why == ""
    assert "hello thing-run-1" in tail(child.log, 9)
    assert environment(child.process.pid)[MARK] == child.mark


def test_a_killed_part_starts_again_and_is_counted(make, pool) -> None:
    child = make()
    until(child, pool, "ready", lambda: child.status == "ready")
    old = child.process.pid
    os.kill(old, 9)
    until(child, pool, "noticed", lambda: child.process is None)
    assert (child.status, child.why) == ("waiting", "was ended by SIGKILL")
    until(child, pool, "ready again", lambda: child.status == "ready")
    assert child.process.pid != old
    assert child.state().restarts == 1


def test_a_part_waits_longer_after_each_failed_start(make, pool) -> None:
    clock = [1000.0]
    child = make(argv=FAIL)
    pauses = []
    for _ in range(4):
        until(child, pool, "started", lambda: child.process is not None, lambda: clock[0])
        until(child, pool, "ended", lambda: child.process is None, lambda: clock[0])
        pauses.append(child.due - clock[0])
        child.step(child.due - 0.01, pool)
        assert child.process is None
        clock[0] = child.due
    assert pauses == [0.5, 1.0, 2.0, 4.0]
    assert child.status == "failed"
    assert child.why == "exited with code 1"
    assert tail(child.log, 1) == ["no such thing"]


def test_pauses_are_bounded() -> None:
    assert pause_s(0) == 0.5
    assert pause_s(10_000) == 30.0


def test_a_part_that_is_not_ready_in_its_bound_has_failed_and_is_tried_again(make, pool) -> None:
    child = make(probe=lambda _: "shut", start_bound_s=5.0)
    until(child, pool, "asked", lambda: child.why == "shut", lambda: 100.0)
    child.step(106.0, pool)
    assert child.status == "failed"
    assert child.why == "is not ready after 5 s: shut"
    assert child.process is None
    until(child, pool, "tried again", lambda: child.process is not None, lambda: 200.0)
    assert child.status == "failed"


def test_a_retry_does_not_wait(make, pool) -> None:
    child = make(argv=FAIL)
    until(child, pool, "failed", lambda: child.status == "failed", lambda: child.due)
    child.retry()
    assert (child.status, child.failures) == ("waiting", 0)
    child.step(0.0, pool)
    assert child.process is not None


def test_a_part_that_ignores_sigterm_is_killed_after_its_bound(make, pool) -> None:
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    child = make(argv=(sys.executable, "-c", stubborn), stop_bound_s=0.3)
    until(child, pool, "deaf", lambda: "deaf" in tail(child.log, 1))
    pid = child.process.pid
    child.stop()
    assert child.status == "stopped"
    assert not Path(f"/proc/{pid}").exists()
    child.step(time.monotonic() + 100, pool)
    assert child.process is None


def test_what_a_part_started_ends_with_it(make, pool) -> None:
    forks = "import subprocess, time; print(subprocess.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"
    child = make(argv=(sys.executable, "-c", forks))
    until(
        child,
        pool,
        "forked",
        lambda: tail(child.log, 1)[-1:] != [] and tail(child.log, 1)[0].isdigit(),
    )
    worker = int(tail(child.log, 1)[0])
    os.kill(child.process.pid, 9)
    until(child, pool, "noticed", lambda: child.process is None)

    def gone() -> bool:
        stat = Path(f"/proc/{worker}/stat")
        return not stat.exists() or stat.read_text().split()[2] == "Z"

    eventually("the worker is gone", gone, 10)


def test_a_large_log_is_put_aside_at_the_next_start(make, pool) -> None:
    child = make()
    with child.log.open("wb") as log:
        log.truncate((32 << 20) + 1)
    until(child, pool, "ready", lambda: child.status == "ready")
    assert child.log.stat().st_size < 1000
    assert (child.log.parent / "thing.log.1").stat().st_size == (32 << 20) + 1


def test_endings_are_said_in_words() -> None:
    assert how_it_ended(3) == "exited with code 3"
    assert how_it_ended(-15) == "was ended by SIGTERM"
