"""The whole gateway: opens what it needs, runs three threads, and ends in the right order."""

import fcntl
import logging
import os
import resource
import select
import signal
import sys
import time
from http.server import ThreadingHTTPServer
from pathlib import Path
from socketserver import BaseServer
from typing import IO

from gateway import admin, assembly, door, logs, metrics, sections, threads
from gateway.admin import reasons
from gateway.assembly import Gateway
from gateway.live import Live, read
from gateway.metrics import Running, beats
from gateway.notify import Notifier, Watchdog, supervisor
from gateway.sections import Config
from gateway.spooling import Spooling
from gateway.threads import Crash
from gateway.wake import Wake
from schemas.failure import BadConfig, Failure, RetryLater, Unavailable

_log = logging.getLogger("tidegate.daemon")
_TURN_S = 1.0
_BUSY_TURN_S = 0.05
_STATUS_EVERY_S = 2.0


def run(path: Path) -> None:
    """Run until SIGTERM or SIGINT, then end in order; SIGHUP reads the configuration again.

    Raises:
        RetryLater: another gateway has the data folder.
        BadConfig, Unavailable: it cannot start.
        Failure: a thread failed; what was acknowledged is on disk.
    """
    force = read(path)
    config = force.config
    logs.write_to(sys.stderr, config.log.format, config.log.level)
    _confine()
    folder = Path(config.gateway.data_dir)
    lock = _locked(folder)
    signals = _Signals()
    gateway = assembly.build(config, force.version, folder)
    server = _serve(config, gateway.running)
    way_in = _way_in(folder, gateway.running.spooling)
    for worker in gateway.workers:
        worker.start(signals.crashed)
    told = {"fields": {"gateway": config.gateway.id, "config": force.version}}
    admin_at = config.admin.listen or "-"
    _log.info("gateway %s started, admin at %s", config.gateway.id, admin_at, extra=told)
    _Watch(signals, gateway, Live(path, force, gateway)).keep()
    if not signals.crashes:
        threads.end(gateway.workers)
    if way_in is not None:
        way_in.shutdown()
    if server is not None:
        server.shutdown()
    lock.close()
    if signals.crashes:
        name, error = signals.crashes[0]
        told_error = f"the {name} thread failed: {type(error).__name__}: {error}"
        _log.error("%s", told_error, extra=told)
        _log.debug("it failed here", exc_info=error)
        raise Failure(told_error) from error
    left = gateway.running.spooling.level.messages
    _log.info("gateway %s stopped, %d messages in the spool", config.gateway.id, left, extra=told)


def _way_in(folder: Path, spooling: Spooling) -> BaseServer | None:
    try:
        return door.serve(folder, spooling)
    except OSError as error:
        _log.warning("the commands `gateway spool` cannot ask this gateway: %s", error)
        return None


class _Signals:
    """What asks for the main thread's attention: signals, and threads that failed."""

    def __init__(self) -> None:
        self._wake = Wake()
        self.ending = False
        self.hangup = False
        self.crashes: list[Crash] = []
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        signal.signal(signal.SIGHUP, self._hangup)

    def crashed(self, crash: Crash) -> None:
        """Take in a failed thread; for any thread."""
        self.crashes.append(crash)
        self._wake.set()

    def wait(self, seconds: float) -> bool:
        """Wait for any of it, at most so long; return whether the process goes on."""
        if select.select([self._wake], [], [], seconds)[0]:
            self._wake.clear()
        return not (self.ending or self.crashes)

    # A lock of Python's could be held by the very thread that the handler interrupts, so these
    # set plain values and write to a pipe.

    def _end(self, *_: object) -> None:
        self.ending = True
        self._wake.set()

    def _hangup(self, *_: object) -> None:
        self.hangup = True
        self._wake.set()


class _Watch:
    """The main thread's round: reloading, the clock, certificates, and what systemd is told."""

    def __init__(self, signals: _Signals, gateway: Gateway, live: Live) -> None:
        asked = supervisor(os.environ, os.getpid())
        self._signals = signals
        self._running = gateway.running
        self._live = live
        self._notifier = Notifier(asked.address)
        self._watchdog = Watchdog(asked.watchdog_s)
        self._turn_s = min(_TURN_S, asked.watchdog_s / 8 or _TURN_S)
        self._status_at_s = 0.0
        self._is_ready = False

    def keep(self) -> None:
        """Go round until the process has to end."""
        self._turn(time.monotonic())
        while self._signals.wait(self._turn_s if self._is_ready else _BUSY_TURN_S):
            self._turn(time.monotonic())
        self._notifier.stopping()

    def _turn(self, now_s: float) -> None:
        if self._signals.hangup and not self._live.busy:
            self._signals.hangup = False
            self._notifier.reloading(time.monotonic_ns() // 1000)
            self._is_ready = False
            self._live.hangup()
        self._live.turn(now_s)
        wall_ms = time.time_ns() // 1_000_000
        self._running.upkeep.look(wall_ms, time.monotonic_ns() // 1_000_000)
        if not self._is_ready and self._running.uplink.serving and not self._live.busy:
            self._is_ready = True
            self._notifier.ready()
        if self._watchdog.earned(now_s, beats(self._running)):
            self._notifier.alive()
        if now_s >= self._status_at_s:
            self._status_at_s = now_s + _STATUS_EVERY_S
            self._notifier.status(self._status())

    def _status(self) -> str:
        found = reasons(self._running, self._live.config.spool.high_water)
        waiting = f"{self._running.spooling.level.messages} messages in the spool"
        return "; ".join([*(found or ["ready"]), waiting])


def _confine() -> None:
    """Leave files to this user alone, and no memory, with its secrets, in a core file."""
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _locked(folder: Path) -> IO[str]:
    """Take the data folder for this process, and keep it from others.

    Raises:
        RetryLater, BadConfig
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid == os.geteuid():
            folder.chmod(0o700)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise BadConfig(f"[gateway] data_dir {folder}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise RetryLater(
            f"{folder}: another gateway is using this data folder; "
            "stop it, or give this one a data_dir and an id of its own"
        ) from error
    return lock


def _serve(config: Config, running: Running) -> ThreadingHTTPServer | None:
    if not config.admin.listen:
        return None
    at = sections.address(config.admin.listen)
    try:
        return admin.serve(at, running, metrics.registry(running), config.spool.high_water)
    except OSError as error:
        raise Unavailable(f"[admin] listen {config.admin.listen}: {error.strerror}") from error
