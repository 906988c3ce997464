"""A mosquitto of our own, for the benchmark and the tests."""

import getpass
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from schemas.failure import Unavailable

_CONFIG = """\
listener {port} 127.0.0.1
user {user}
allow_anonymous true
persistence true
persistence_location {folder}/
autosave_interval 1800
max_inflight_messages {inflight}
max_queued_messages {queued}
max_packet_size 16000000
log_type error
log_type warning
"""
_UP_S = 10.0


def free_port() -> int:
    """Return a TCP port of the loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def binary() -> str | None:
    """Return where mosquitto is, None when it is not installed."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


class Mosquitto:
    """One broker process on the loopback, with its state in a folder."""

    def __init__(self, folder: Path, *, inflight: int = 1000, queued: int = 10_000_000) -> None:
        """Start it; beyond ``queued`` messages for one client it drops what it has acknowledged.

        Raises:
            Unavailable: there is no mosquitto, or it does not come up.
        """
        program = binary()
        if program is None:
            raise Unavailable("no mosquitto on PATH or in /usr/sbin; apt-get install mosquitto")
        self._program = program
        self.port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            _CONFIG.format(
                # Started as root it would change to a user who may not write here.
                port=self.port,
                user=getpass.getuser(),
                folder=folder,
                inflight=inflight,
                queued=queued,
            ),
            "utf-8",
        )
        self.start()

    @property
    def url(self) -> str:
        """Return its URL."""
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the process and wait until it listens.

        Raises:
            Unavailable: it does not.
        """
        self._process = subprocess.Popen(
            [self._program, "-c", str(self._config)], stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + _UP_S
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise Unavailable(f"mosquitto does not listen on port {self.port}")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End the process; SIGTERM lets it save its sessions."""
        self._process.send_signal(number)
        self._process.wait(10)
