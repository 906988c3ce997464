import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from stack_fixture import eventually

from compose.local import sweep, tether

SLEEP = [sys.executable, "-I", "-S", "-c", "import time; print(flush=True); time.sleep(60)"]
# Starts the same again in a session of its own, as a worker of a worker would be.
PARENT = f"import subprocess; print(subprocess.Popen({SLEEP!r}, start_new_session=True, stdout=subprocess.DEVNULL).pid, flush=True); import time; time.sleep(60)"


@pytest.fixture
def started() -> Iterator:
    with ExitStack() as stack:

        def start(mark: str | None, argv: list[str] = SLEEP) -> subprocess.Popen:
            env = {"PATH": os.defpath} | ({} if mark is None else {sweep.MARK: mark})
            process = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True)
            stack.callback(lambda: (process.kill(), process.wait(), process.stdout.close()))
            return process

        yield start


@pytest.fixture
def root(tmp_path: Path) -> str:
    return f"{tmp_path}/state with space {uuid.uuid4().hex}"


def gone(pid: int) -> bool:
    return (
        not Path(f"/proc/{pid}").exists()
        or "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    )


def test_a_sweep_ends_all_runs_of_a_state_folder_and_nothing_else(started, root) -> None:
    ours = [started(sweep.mark_of(root, run)) for run in ("a", "b")]
    others = [started(None), started(sweep.mark_of(root + "/inner", "a"))]
    for process in (*ours, *others):
        process.stdout.readline()
    assert sorted(sweep.marked(sweep.of_state(root))) == sorted(process.pid for process in ours)
    assert sweep.end_marked(sweep.of_state(root), bound_s=10) == []
    assert [process.wait(10) for process in ours] == [-signal.SIGKILL] * 2
    assert [process.poll() for process in others] == [None, None]


def test_a_reaper_leaves_the_next_run_alone(started, root) -> None:
    old, new = started(sweep.mark_of(root, "old")), started(sweep.mark_of(root, "new"))
    old.stdout.readline(), new.stdout.readline()
    sweep.end_marked(sweep.of_run(sweep.mark_of(root, "old")), bound_s=10)
    assert old.wait(10) == -signal.SIGKILL
    assert new.poll() is None


def test_the_reaper_ends_grandchildren_when_its_pipe_closes(started, root) -> None:
    mark = sweep.mark_of(root, "a")
    grandchild = int(started(mark, [sys.executable, "-c", PARENT]).stdout.readline())
    reaper = subprocess.Popen(
        [sys.executable, "-I", "-S", sweep.__file__, mark], stdin=subprocess.PIPE
    )
    assert reaper.poll() is None
    assert not gone(grandchild)
    reaper.stdin.close()
    assert reaper.wait(20) == 0
    eventually("the grandchild is gone", lambda: gone(grandchild), 10)


def test_a_tethered_command_dies_with_its_parent(started) -> None:
    parent = (
        "import os, subprocess, sys, time; "
        f"print(subprocess.Popen([sys.executable, {tether.__file__!r}, str(os.getpid()), *{SLEEP!r}], "
        "stdout=subprocess.DEVNULL).pid, flush=True); time.sleep(60)"
    )
    process = started(None, [sys.executable, "-c", parent])
    child = int(process.stdout.readline())
    eventually(
        "the command runs",
        lambda: b"time.sleep(60)" in Path(f"/proc/{child}/cmdline").read_bytes().split(b"-c\0")[-1],
        10,
    )
    eventually(
        "it is past its own start",
        lambda: b"tether" not in Path(f"/proc/{child}/cmdline").read_bytes(),
        10,
    )
    process.kill()
    process.wait()
    eventually("the child is gone", lambda: gone(child), 10)


def test_a_tethered_command_does_not_start_for_a_dead_parent() -> None:
    argv = [sys.executable, tether.__file__, "1", *SLEEP]  # process 1 is not its parent
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "supervisor is gone" in done.stderr


def test_a_command_that_does_not_exist_is_named() -> None:
    argv = [sys.executable, tether.__file__, str(os.getpid()), "/no/such/program"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "cannot run /no/such/program: No such file" in done.stderr


def test_the_environment_of_a_process_that_is_gone_is_empty() -> None:
    assert sweep.environment(2**22 + 1) == {}
