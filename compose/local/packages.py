"""Get mosquitto from Debian when it is missing: installed by root, else unpacked."""

import os
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from compose.local.layout import Layout
from compose.local.tools import find_mosquitto, unpacked_mosquitto
from schemas.failure import Unavailable

_BOUND_S = 300
_BY_HAND = "install it yourself with: sudo apt-get install mosquitto"


def fetch_mosquitto(layout: Layout, say: Callable[[str], None]) -> None:
    """Make the broker available; does nothing when it is.

    Raises:
        Unavailable: apt-get is not there or fails; the message holds its last words.
    """
    if find_mosquitto(layout) is not None:
        return
    # Where systemd runs, installing would also start a second broker on the usual port.
    if os.geteuid() == 0 and not Path("/run/systemd/system").exists():
        say("mosquitto: installing the Debian package (once)")
        _apt(["apt-get", "install", "-y", "--no-install-recommends", "mosquitto"])
    else:
        say("mosquitto: unpacking the Debian package beside the stack (once)")
        _unpack(unpacked_mosquitto(layout))
    if find_mosquitto(layout) is None:
        raise Unavailable(f"apt-get left no mosquitto behind; {_BY_HAND}")


def _unpack(folder: Path) -> None:
    downloads, partial = folder.with_name("downloads"), folder.with_name("unpacking")
    downloads.mkdir(parents=True, exist_ok=True)
    plan = _apt(["apt-get", "--simulate", "--no-install-recommends", "install", "mosquitto"])
    _apt(["apt-get", "download", *to_install(plan)], cwd=downloads)
    for package in sorted(downloads.glob("*.deb")):
        _apt(["dpkg-deb", "-x", str(package), str(partial)])
        package.unlink()
    if partial.exists():
        partial.replace(folder)


def to_install(plan: str) -> list[str]:
    """Return the packages that a simulated installation would add: its lines ``Inst NAME ...``."""
    return re.findall(r"^Inst (\S+)", plan, re.MULTILINE)


def _apt(command: Sequence[str], cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"},
            capture_output=True,
            text=True,
            timeout=_BOUND_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"mosquitto is missing, and {error}; {_BY_HAND}") from error
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise Unavailable(
            f"mosquitto is missing, and `{' '.join(command[:2])}` failed: "
            f"{''.join(last)}; {_BY_HAND}"
        )
    return done.stdout
