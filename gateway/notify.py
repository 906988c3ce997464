"""Telling systemd how the gateway is, and feeding its watchdog by progress alone.

The protocol is sd_notify(3): lines of ``KEY=VALUE`` in one datagram to the socket that
``$NOTIFY_SOCKET`` names, where a leading ``@`` stands for an abstract address.

The watchdog is fed once every thread has made a turn since it was last fed: the network loop, the
spool and the uplink. Each turns at least twice a second while idle, waits for an absent broker or
an absent Kafka included, so an outage does not end the process, which a restart would not mend.
A thread that hangs, in a system call, a lock or a library, starves it, whatever the others do.
"""

import logging
import socket
from collections.abc import Mapping
from typing import NamedTuple

_log = logging.getLogger("tidegate.daemon")
_FED_PER_PERIOD = 4


class Supervisor(NamedTuple):
    """What systemd asked for; ``watchdog_s`` is the time after which it gives up, 0 for never."""

    address: str
    watchdog_s: float


def supervisor(env: Mapping[str, str], pid: int) -> Supervisor:
    """Return what the environment says of a supervisor; an empty address when there is none.

    ``$WATCHDOG_USEC`` counts only for the process that ``$WATCHDOG_PID`` names, if it names one.
    """
    micros = env.get("WATCHDOG_USEC", "")
    ours = env.get("WATCHDOG_PID", str(pid)) == str(pid)
    watchdog_s = int(micros) / 1e6 if ours and micros.isdigit() else 0.0
    return Supervisor(env.get("NOTIFY_SOCKET", ""), watchdog_s)


class Notifier:
    """The way to the supervisor; without one every call does nothing."""

    def __init__(self, address: str) -> None:
        """Take ``$NOTIFY_SOCKET``, or an empty text."""
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._told = ""

    def ready(self) -> None:
        """Say that it serves."""
        self._send("READY=1")

    def reloading(self, mono_us: int) -> None:
        """Say that it reads its configuration again; ``ready`` must follow.

        Args:
            mono_us: the monotonic clock now, as systemd wants it with ``Type=notify-reload``.
        """
        self._send(f"RELOADING=1\nMONOTONIC_USEC={mono_us}")

    def stopping(self) -> None:
        """Say that it ends."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """Show a line in ``systemctl status``; sent when it is another than before."""
        line = " ".join(text.split())
        if line != self._told:
            self._told = line
            self._send(f"STATUS={line}")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as way:
                # A supervisor too busy to read must not hold up the gateway.
                way.setblocking(False)
                way.sendto(text.encode(), self._address)
        except OSError as error:
            _log.debug("notify: %s", error)


class Watchdog:
    """Says when the supervisor's watchdog has earned its food."""

    def __init__(self, watchdog_s: float) -> None:
        """Take the supervisor's patience; 0 never feeds."""
        self._every_s = watchdog_s / _FED_PER_PERIOD
        self._fed_s = float("-inf")

    def earned(self, now_s: float, beats_s: Mapping[str, float]) -> bool:
        """Return whether to feed it now.

        Args:
            now_s: the monotonic clock.
            beats_s: when each thread began its last turn, on the same clock.
        """
        if not self._every_s or now_s - self._fed_s < self._every_s:
            return False
        if any(beat_s <= self._fed_s for beat_s in beats_s.values()):
            return False
        self._fed_s = now_s
        return True
