"""The whole gateway: opens what it needs, runs three threads, and ends in the right order."""

import fcntl
import json
import logging
import secrets
import signal
import threading
import time
from collections.abc import Callable
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import IO, NamedTuple

from gateway import admin, metrics, sections
from gateway.clock import SystemClock
from gateway.decode import Decoder, Limits
from gateway.endpoint import Endpoint
from gateway.message import Done
from gateway.metrics import Running
from gateway.mqtt import Connection
from gateway.net import Net
from gateway.parts import Identity, Parts, Tally
from gateway.quiet import Policy, QuietDevices
from gateway.sections import Config
from gateway.spool import Spool
from gateway.spooling import Spooling
from gateway.uplink import Uplink
from gateway.wire import Binding, Topics
from schemas.config import read_secret
from schemas.failure import BadConfig, Failure, RetryLater, Unavailable
from schemas.registry import Registry, SchemaIds

_log = logging.getLogger("tidegate.daemon")
_REGISTRY_TIMEOUT_S = 2.0
# A device silent for longer than this is not followed any more after a restart.
_REMEMBERED_MS = 30 * 86_400_000
# Net, uplink and spool end one after the other; together they stay below the 15 s of a SIGTERM.
_NET_END_S = 4.5
_UPLINK_END_S = 9.0
_SPOOL_END_S = 1.0


class Crash(NamedTuple):
    """An error that no part expected; the process must end and start again."""

    thread: str
    error: BaseException


def run(config: Config, config_version: str) -> None:
    """Run until SIGTERM or SIGINT, then end in order.

    Raises:
        RetryLater: another gateway has the data folder.
        BadConfig, Unavailable: it cannot start.
        Failure: a thread failed; what was acknowledged is on disk.
    """
    folder = Path(config.gateway.data_dir)
    lock = _locked(folder)
    wake = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: wake.set())
    crashes: list[Crash] = []
    running, threads = _build(config, config_version, folder)
    server = _serve(config, running)
    for thread in threads:
        thread.start(crashes, wake)
    _log.info("gateway %s started, admin at %s", config.gateway.id, config.admin.listen or "-")
    wake.wait()
    if not crashes:
        _end(threads)
    if server is not None:
        server.shutdown()
    lock.close()
    if crashes:
        name, error = crashes[0]
        raise Failure(f"the {name} thread failed: {type(error).__name__}: {error}") from error
    level = running.spooling.level
    _log.info("gateway %s stopped, %d messages in the spool", config.gateway.id, level.messages)


class _Thread:
    """A thread whose failure ends the process: paho would go on with a dead network thread."""

    def __init__(
        self, name: str, work: Callable[[], None], stop: Callable[[], None], end_s: float
    ) -> None:
        self._name = name
        self._work = work
        self.stop = stop
        self.end_s = end_s
        self.thread: threading.Thread | None = None

    def start(self, crashes: list[Crash], wake: threading.Event) -> None:
        def guarded() -> None:
            try:
                self._work()
            except Exception as error:  # noqa: BLE001 - the thread's top: nothing above would tell
                crashes.append(Crash(self._name, error))
                wake.set()

        self.thread = threading.Thread(target=guarded, name=self._name, daemon=True)
        self.thread.start()

    def end(self) -> None:
        self.stop()
        if self.thread is not None:
            self.thread.join(self.end_s)


def _end(threads: list[_Thread]) -> None:
    """Stop reading, then sending, then the spool, so that each leaves the next nothing undone."""
    begun = time.monotonic()
    for thread in threads:
        thread.end()
    _log.debug("stopped in %.1f s", time.monotonic() - begun)


def _build(config: Config, version: str, folder: Path) -> tuple[Running, list[_Thread]]:
    epoch = secrets.randbits(63)
    clock = SystemClock()
    connection = _connection(config, folder)

    def on_done(done: Done) -> None:
        net.on_done(done)

    spooling = Spooling(
        lambda: Spool(folder / "spool.db", config.spool.quota, epoch),
        on_done,
        devices_heard_after=time.time_ns() // 1_000_000 - _REMEMBERED_MS,
    )
    net = Net(connection, spooling, clock.synced)
    parts = _parts(config, folder, spooling, Identity(config.gateway.id, epoch, version), clock)
    uplink = Uplink(parts, sections.producer_settings(config.kafka))
    running = Running(connection, net, spooling, uplink, config.spool.quota, clock.synced)
    return running, [
        _Thread("net", net.run, net.stop, _NET_END_S),
        _Thread("uplink", uplink.run, uplink.stop, _UPLINK_END_S),
        _Thread("spool", spooling.run, spooling.stop, _SPOOL_END_S),
    ]


def _parts(
    config: Config, folder: Path, spooling: Spooling, identity: Identity, clock: SystemClock
) -> Parts:
    prefix = config.kafka.topic_prefix
    topics = Topics(f"{prefix}readings", f"{prefix}dead-letters")
    registry = Registry(config.registry.url, timeout_s=_REGISTRY_TIMEOUT_S)
    markers = config.markers
    return Parts(
        spooling,
        Binding(SchemaIds(folder / "schema-ids.json", registry), topics),
        topics,
        identity,
        Decoder(
            config.gateway.id,
            sections.routes(config),
            Limits(config.limits.payload, config.limits.magnitude),
        ),
        QuietDevices(Policy(markers.min_quiet, markers.limit, markers.max_devices)),
        clock.synced,
        Tally(),
    )


def _connection(config: Config, folder: Path) -> Connection:
    mqtt = config.mqtt
    host, port = sections.broker(mqtt)
    endpoint = Endpoint(
        host,
        port,
        mqtt.client_id or f"tidegate-{config.gateway.id}",
        mqtt.keepalive // 1000,
        min(mqtt.session_expiry // 1000, 0xFFFFFFFF),
        mqtt.receive_maximum,
        mqtt.username or None,
        read_secret(mqtt.password_file) if mqtt.password_file else None,
        sections.mqtt_tls(mqtt),
    )
    filters = list(dict.fromkeys(route.mqtt_filter for route in sections.routes(config)))
    stale = _swap_filters(folder / "subscriptions.json", filters)
    try:
        return Connection(endpoint, filters, stale=stale)
    except OSError as error:
        raise BadConfig(f"[mqtt] certificates: {error}") from error


def _swap_filters(path: Path, filters: list[str]) -> list[str]:
    """Remember what is subscribed to; return what a former configuration was and this is not.

    The broker keeps subscriptions with the session, so those would go on bringing messages.
    """
    try:
        former = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        former = []
    path.write_text(json.dumps(sorted({*former, *filters})), "utf-8")
    return [topic for topic in former if topic not in filters]


def _locked(folder: Path) -> IO[str]:
    """Take the data folder for this process.

    Raises:
        RetryLater, BadConfig
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
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
