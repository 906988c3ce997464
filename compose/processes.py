"""Commands of ours run as processes beside a command, which end with it."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.config import read as read_gateway_config
from schemas.failure import Unavailable

_TETHER = Path(__file__).parent / "local" / "tether.py"
_POLL_S = 0.1
_TERM_S = 20.0


def command(*words: str) -> list[str]:
    """Return the command line of a tidegate command in this interpreter."""
    return [sys.executable, "-m", "compose.cli", *words]


def start(argv: list[str], log: Path) -> "subprocess.Popen[bytes]":
    """Start a command that is killed if the starting thread ends; its output goes to the log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, str(_TETHER), str(os.getpid()), *argv],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )


def end(process: "subprocess.Popen[bytes]") -> int:
    """Ask a process to end, kill it if it does not within a bound; return its exit code."""
    process.terminate()
    try:
        return process.wait(_TERM_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def ready_url(config: Path) -> str:
    """Return the URL that says whether a gateway with this configuration is ready.

    Raises:
        BadConfig: the configuration is wrong.
    """
    return f"http://{read_gateway_config(config).admin.listen}/readyz"


@contextmanager
def running_gateway(config: Path, log: Path, *, within_s: float = 60.0) -> Iterator[int]:
    """Run a gateway for as long as the context lasts; yield its process id once it is ready.

    Raises:
        Unavailable: it ended or was not ready in time; the message has the end of its log.
    """
    process = start(command("gateway", "run", "-c", str(config)), log)
    try:
        _await_ready(process, ready_url(config), log, time.monotonic() + within_s)
        yield process.pid
    finally:
        end(process)


def _await_ready(process: "subprocess.Popen[bytes]", url: str, log: Path, until: float) -> None:
    why = "it did not answer"
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except urllib.error.HTTPError as error:
            why = error.read().decode(errors="replace")
        except OSError as error:
            why = str(error)
        time.sleep(_POLL_S)
    if process.poll() is not None:
        why = f"it ended with exit code {process.returncode}"
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
    raise Unavailable(f"the gateway is not ready: {why}. The end of {log}:\n{tail}")
