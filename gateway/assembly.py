"""What a configuration is made into: the running parts, and what takes their place later."""

import json
import logging
import secrets
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from gateway import logs, sections
from gateway.classes import Classes
from gateway.clock import SystemClock
from gateway.decode import Decoder, Limits
from gateway.endpoint import Endpoint
from gateway.metrics import Running
from gateway.mqtt import Connection
from gateway.net import Net
from gateway.parts import Identity, Parts, Tally
from gateway.quiet import Policy, QuietDevices
from gateway.room import Room
from gateway.routes import Route, device_of
from gateway.sections import Config, RegistrySection
from gateway.spool import Spool
from gateway.spooling import Spooling
from gateway.stamps import Stamps, boot_id
from gateway.threads import Worker
from gateway.upkeep import Upkeep
from gateway.uplink import Uplink
from gateway.wire import Binding, Topics
from schemas.config import read_secret, secret_path
from schemas.failure import BadConfig
from schemas.files import replace
from schemas.registry import Registry, SchemaIds

Publish = Callable[[str, bytes], None]

_log = logging.getLogger("tidegate.daemon")
_REGISTRY_TIMEOUT_S = 2.0
# A device silent for longer than this is not followed any more after a restart.
_REMEMBERED_MS = 30 * 86_400_000
# Net, uplink and spool end one after the other; together they stay below the 15 s of a SIGTERM.
_NET_END_S = 4.5
_UPLINK_END_S = 9.0
_SPOOL_END_S = 1.0


class Outfit(NamedTuple):
    """What a configuration means for the two connections, with secrets and certificates read."""

    endpoint: Endpoint
    filters: list[str]
    producer: dict[str, Any]
    registry: Registry


class Gateway(NamedTuple):
    """Everything that runs, and what outlives a change of the configuration."""

    running: Running
    parts: Parts
    outfit: Outfit
    workers: list[Worker]


def build(config: Config, version: str, folder: Path) -> Gateway:
    """Make the parts, without starting anything.

    Raises:
        BadConfig: a secret or a certificate cannot be used.
    """
    epoch = secrets.randbits(63)
    clock = SystemClock()
    stamps = Stamps(folder / "clock.json", epoch, boot_id())
    stamps.begin(synced=clock.synced())
    outfit = equip(config)
    stale = remember_filters(folder, outfit.filters)
    connection = Connection(outfit.endpoint, outfit.filters, stale=stale)
    spooling = Spooling(
        lambda: Spool(folder / "spool.db", config.spool.quota, epoch),
        lambda done: net.on_done(done),  # noqa: PLW0108 - there is no net yet
        classes=Classes(config.spool.classes, sections.rest(config.spool), devices_by(config, [])),
        room=Room(config.spool.quota, config.spool.free_space, clock.synced),
        # By a clock that is not set nothing is long ago.
        devices_heard_after=_now_ms() - _REMEMBERED_MS if clock.synced() else 0,
    )
    net = Net(connection, spooling, clock.synced)
    first = Parts(
        spooling,
        _binding(config, folder, outfit),
        _topics(config),
        Identity(config.gateway.id, epoch, version),
        _decoder(config, folder, [], connection.publish),
        QuietDevices(quiet_policy(config)),
        clock.synced,
        Tally(),
        {},
        config.spool.backlog_rate,
        stamps.right,
    )
    uplink = Uplink(first, outfit.producer, _hold(config, stamps))
    upkeep = Upkeep(clock, stamps, version)
    running = Running(connection, net, spooling, uplink, config.spool.quota, clock.synced, upkeep)
    return Gateway(
        running,
        first,
        outfit,
        [
            Worker("net", net.run, net.stop, _NET_END_S),
            Worker("uplink", uplink.run, uplink.stop, _UPLINK_END_S),
            Worker("spool", spooling.run, spooling.stop, _SPOOL_END_S),
        ],
    )


def equip(config: Config) -> Outfit:
    """Read what the connections need besides the configuration itself.

    Raises:
        BadConfig: a secret or a certificate cannot be used; nothing was changed by trying.
    """
    filters = list(dict.fromkeys(route.mqtt_filter for route in sections.routes(config)))
    producer = sections.producer_settings(config.kafka)
    for key in config.kafka.librdkafka:
        if key.endswith("_file"):
            logs.hide(str(producer[key.removesuffix("_file")]))
    return Outfit(_endpoint(config), filters, producer, registry(config.registry))


def parts(
    config: Config,
    version: str,
    outfit: Outfit,
    folder: Path,
    former: Parts,
    fallback: list[Route],
    publish: Publish,
) -> Parts:
    """Return what sessions share under another configuration.

    Args:
        config: the other configuration.
        version: what to call it in dead letters.
        outfit: what it means for the connections.
        folder: the gateway's data.
        former: what it takes the place of; the spool, devices and counts go on.
        fallback: routes for what no route of the configuration fits.
        publish: sends to the MQTT broker.
    """
    return former._replace(
        binding=_binding(config, folder, outfit),
        topics=_topics(config),
        identity=former.identity._replace(config_version=version),
        decoder=_decoder(config, folder, fallback, publish),
    )


def devices_by(config: Config, fallback: list[Route]) -> Callable[[bytes], str]:
    """Return what tells the device of a topic."""
    routes = [*sections.routes(config), *fallback]
    return lambda topic: device_of(routes, topic)


def quiet_policy(config: Config) -> Policy:
    """Return when markers come."""
    markers = config.markers
    return Policy(markers.min_quiet, markers.limit, markers.max_devices)


def remember_filters(folder: Path, filters: list[str]) -> list[str]:
    """Remember what is subscribed to; return what a former configuration was and this is not.

    The broker keeps subscriptions with the session, so those would go on bringing messages.
    """
    path = folder / "subscriptions.json"
    try:
        former = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        former = []
    keep_filters(folder, [*former, *filters])
    return [topic for topic in former if topic not in filters]


def keep_filters(folder: Path, filters: list[str]) -> None:
    """Remember these alone; a disk that is full or broken is no reason not to go on."""
    try:
        replace(folder / "subscriptions.json", json.dumps(sorted(set(filters))))
    except OSError as error:
        _log.warning("subscriptions.json: cannot be kept: %s", error.strerror)


def _binding(config: Config, folder: Path, outfit: Outfit) -> Binding:
    return Binding(SchemaIds(folder / "schema-ids.json", outfit.registry), _topics(config))


def registry(section: RegistrySection) -> Registry:
    """Return the way to the registry.

    Raises:
        BadConfig: its password or its authority cannot be read.
    """
    login, tls = None, None
    if section.password_file:
        login = (section.username, logs.hide(read_secret(section.password_file)))
    if section.ca_file:
        try:
            tls = ssl.create_default_context(cafile=secret_path(section.ca_file))
        except OSError as error:
            raise BadConfig(f"[registry] ca_file: {error}") from error
    return Registry(section.url, timeout_s=_REGISTRY_TIMEOUT_S, login=login, tls=tls)


def _topics(config: Config) -> Topics:
    prefix = config.kafka.topic_prefix
    return Topics(f"{prefix}readings", f"{prefix}dead-letters")


def _decoder(config: Config, folder: Path, fallback: list[Route], publish: Publish) -> Decoder:
    limits = Limits(config.limits.payload, config.limits.magnitude)
    host = None
    if any(route.payload == "sparkplug" for route in config.routes):
        from gateway.formats.births import Births  # noqa: PLC0415 - only where a route asks for it
        from gateway.formats.sparkplug import Host  # noqa: PLC0415

        host = Host(Births(folder / "sparkplug.db"), publish)
    return Decoder(config.gateway.id, [*sections.routes(config, host), *fallback], limits)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _hold(config: Config, stamps: Stamps) -> Callable[[], bool]:
    until_s = time.monotonic() + config.clock.wait / 1000
    return lambda: not stamps.settled and time.monotonic() < until_s


def _endpoint(config: Config) -> Endpoint:
    mqtt = config.mqtt
    host, port = sections.broker(mqtt)
    return Endpoint(
        host,
        port,
        mqtt.client_id or f"tidegate-{config.gateway.id}",
        mqtt.keepalive // 1000,
        min(mqtt.session_expiry // 1000, 0xFFFFFFFF),
        mqtt.receive_maximum,
        mqtt.username or None,
        logs.hide(read_secret(mqtt.password_file)) if mqtt.password_file else None,
        _tls(config),
    )


def _tls(config: Config) -> Callable[[], ssl.SSLContext] | None:
    """Return the way to the context, made here already so that bad certificates show at once."""
    make = sections.mqtt_tls(config.mqtt)
    if make is None:
        return None
    try:
        made = make()
    except OSError as error:
        raise BadConfig(f"[mqtt] certificates: {error}") from error
    return lambda: made
