"""Find and end every process of a stack by the mark that all its processes inherit.

Run by path with the mark as its argument it is the reaper: it waits until its standard input
closes, which is when the supervisor is gone for whatever reason, and ends what is left. It
imports nothing of the project, so that it is small and cannot fail with it.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

MARK = "TIDEGATE__LOCAL__RUN"
"""Environment variable ``<state folder>#<run>``; children and grandchildren inherit it."""

_POLL_S = 0.05


def mark_of(root: Path | str, run: str) -> str:
    """Return the mark of one run of a supervisor."""
    return f"{root}#{run}"


def environment(pid: int) -> dict[str, str]:
    """Return what a process was started with; empty when it is gone or somebody else's."""
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return {}
    entries = (entry.partition(b"=") for entry in raw.split(b"\0") if entry)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in entries}


def alive(pid: int) -> bool:
    """Say whether a process still runs; one that only waits to be collected does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


def _processes() -> Iterator[int]:
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            yield int(entry.name)


def marked(matches: Callable[[str], bool]) -> list[int]:
    """Return the live processes whose mark matches, this one left out."""
    return [
        pid
        for pid in _processes()
        if (mark := environment(pid).get(MARK)) is not None and matches(mark) and alive(pid)
    ]


def of_run(mark: str) -> Callable[[str], bool]:
    """Match the processes of one run."""
    return lambda found: found == mark


def of_state(root: Path | str) -> Callable[[str], bool]:
    """Match the processes of every run on a state folder."""
    return lambda found: found.rpartition("#")[0] == str(root)


def end_marked(matches: Callable[[str], bool], *, bound_s: float) -> list[int]:
    """Kill what matches until nothing does, also what is being forked meanwhile.

    Returns:
        what still lived at the end of the bound: empty when all is well.
    """
    end = time.monotonic() + bound_s
    while left := marked(matches):
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue  # gone between the two looks
        if time.monotonic() > end:
            return left
        time.sleep(_POLL_S)
    return []


def main(mark: str) -> None:
    """Wait for the supervisor's end, then clean up behind it."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    while os.read(0, 1024):
        pass
    sys.exit(1 if end_marked(of_run(mark), bound_s=30) else 0)


if __name__ == "__main__":
    main(sys.argv[1])
