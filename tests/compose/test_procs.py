"""What processes use, as /proc tells it."""

import subprocess
import sys

from compose.local.procs import group_cpu_s

WORKER = """
import time
while time.process_time() < 0.3:
    pass
print("done", flush=True)
input()
"""
PARENT = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {WORKER!r}], stdin=subprocess.PIPE)
input()
child.communicate(b"\\n")
print("ended", flush=True)
input()
"""


def test_cpu_time_is_that_of_workers_that_run_and_of_those_that_have_ended() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    try:
        assert parent.stdout.readline() == "done\n"
        running = group_cpu_s(parent.pid)
        print(file=parent.stdin, flush=True)
        assert parent.stdout.readline() == "ended\n"
        ended = group_cpu_s(parent.pid)
    finally:
        parent.communicate("\n", timeout=10)
    assert running >= 0.29
    assert running <= ended < running + 0.2
