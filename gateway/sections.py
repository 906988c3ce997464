"""The gateway's settings, every key with its default, and what is made of them."""

import ipaddress
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import msgspec

from gateway import kafka
from gateway.classes import REST, ClassSection, WhenFull
from gateway.formats.binary import Column
from gateway.formats.choice import Name, Words, payload
from gateway.formats.mapped import Fields
from gateway.formats.values import TsUnit
from gateway.logs import LogFormat, LogLevel
from gateway.routes import Route, compile_route
from gateway.shape import Shape, ShapeSection
from schemas.config import ByteSize, DurationMs, read_secret, secret_path
from schemas.topics import DEFAULT_PREFIX

if TYPE_CHECKING:
    from gateway.formats.sparkplug import Host

Scalar = str | int | float | bool
# How the settings begin that are not a producer's alone.
_SHARED = ("security.", "sasl.", "ssl.", "socket.", "client.")
# What librdkafka reads by itself, once, when a producer is made.
_LOCATIONS = (
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.key.location",
    "ssl.keystore.location",
    "ssl.crl.location",
)


class GatewaySection(msgspec.Struct, frozen=True):
    """Who this gateway is and where it keeps its files."""

    id: str
    data_dir: str


class MqttSection(msgspec.Struct, frozen=True):
    """The broker; ``mqtt://`` is plain, ``mqtts://`` is TLS."""

    url: str = "mqtt://127.0.0.1:1883"
    client_id: str = ""
    username: str = ""
    password_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    allow_insecure: bool = False
    keepalive: DurationMs = DurationMs(30_000)
    session_expiry: DurationMs = DurationMs(7 * 86_400_000)
    receive_maximum: int = 1000


class KafkaSection(msgspec.Struct, frozen=True):
    """The brokers; the ``librdkafka`` table goes to the client as it is."""

    bootstrap_servers: str
    topic_prefix: str = DEFAULT_PREFIX
    allow_insecure: bool = False
    librdkafka: dict[str, Scalar] = {}


class RegistrySection(msgspec.Struct, frozen=True):
    """The schema registry's Confluent API; ``username`` may be an API key."""

    url: str
    username: str = ""
    password_file: str = ""
    ca_file: str = ""


class SpoolSection(msgspec.Struct, frozen=True):
    """How much disk the spool may take, who goes ahead, and what happens when there is no room."""

    quota: ByteSize = ByteSize(1 << 30)
    high_water: float = 0.8
    free_space: ByteSize = ByteSize(64 << 20)
    when_full: WhenFull = "stop"
    max_age: DurationMs = DurationMs(0)
    backlog_rate: int = 0
    classes: tuple[ClassSection, ...] = ()


class LimitsSection(msgspec.Struct, frozen=True):
    """What a message may at most be."""

    payload: ByteSize = ByteSize(256 << 10)
    magnitude: float = 1.7976931348623157e308


class MarkersSection(msgspec.Struct, frozen=True):
    """When a device counts as quiet, and for how long markers follow."""

    min_quiet: DurationMs = DurationMs(120_000)
    limit: DurationMs = DurationMs(2 * 86_400_000)
    max_devices: int = 50_000


class AdminSection(msgspec.Struct, frozen=True):
    """Where /healthz /readyz /metrics /version are served; empty serves nothing."""

    listen: str = "127.0.0.1:9464"


class LogSection(msgspec.Struct, frozen=True):
    """How the log is written, and how much of it."""

    format: LogFormat = "console"
    level: LogLevel = "warning"


class ClockSection(msgspec.Struct, frozen=True):
    """How long messages may wait at the start for the clock to be set."""

    wait: DurationMs = DurationMs(0)


class RouteSection(msgspec.Struct, frozen=True):
    """One line of the routing table; see :class:`gateway.formats.choice.Words` for the payload."""

    topic: str
    payload: Name
    site: str | None = None
    metric: str | None = None
    unit: str | None = None
    each: str | None = None
    fields: Fields | None = None
    metrics: dict[str, str] = {}
    ts_unit: TsUnit = "ms"
    layout: str = ""
    columns: tuple[Column, ...] = ()
    decoder: str = ""
    shape: ShapeSection | None = None


class Config(msgspec.Struct, frozen=True):
    """A whole gateway.toml."""

    gateway: GatewaySection
    kafka: KafkaSection
    registry: RegistrySection
    mqtt: MqttSection = MqttSection()
    spool: SpoolSection = SpoolSection()
    limits: LimitsSection = LimitsSection()
    markers: MarkersSection = MarkersSection()
    admin: AdminSection = AdminSection()
    log: LogSection = LogSection()
    clock: ClockSection = ClockSection()
    routes: tuple[RouteSection, ...] = ()


class Address(NamedTuple):
    """A host and a port."""

    host: str
    port: int


def routes(config: Config, host: "Host | None" = None) -> list[Route]:
    """Return the routing table, compiled; ``host`` reads Sparkplug messages."""
    return [compiled(route, host) for route in config.routes]


def address(text: str) -> Address:
    """Return the host and port of ``host:port``.

    Raises:
        ValueError: it is none.
    """
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"expected host:port, got {text!r}")
    return Address(host.strip("[]"), int(port))


def loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def broker(mqtt: MqttSection) -> Address:
    """Return the MQTT broker's address; the ports are the registered ones where none is given."""
    url = urlsplit(mqtt.url)
    return Address(url.hostname or "", url.port or (8883 if url.scheme == "mqtts" else 1883))


def mqtt_tls(mqtt: MqttSection) -> Callable[[], ssl.SSLContext] | None:
    """Return how to make the TLS context, None for a plain connection."""
    if urlsplit(mqtt.url).scheme != "mqtts":
        return None

    def context() -> ssl.SSLContext:
        ca, cert, key = (_located(f) for f in (mqtt.ca_file, mqtt.cert_file, mqtt.key_file))
        made = ssl.create_default_context(cafile=ca)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        if cert is not None:
            # Without a password of its own OpenSSL would ask for one, on a terminal.
            made.load_cert_chain(cert, key, password="")
        return made

    return context


def mqtt_files(mqtt: MqttSection) -> list[Path]:
    """Return the files whose contents a connection uses."""
    named = (mqtt.password_file, mqtt.ca_file, mqtt.cert_file, mqtt.key_file)
    return [secret_path(name) for name in named if name]


def kafka_files(config: Config) -> list[Path]:
    """Return the files whose contents the uplink uses, as far as their keys tell."""
    table, registry = config.kafka.librdkafka, config.registry
    secrets = [secret_path(str(value)) for key, value in table.items() if key.endswith("_file")]
    secrets += [secret_path(name) for name in (registry.password_file, registry.ca_file) if name]
    return [*secrets, *(Path(str(table[key])) for key in _LOCATIONS if key in table)]


def own_certificates(config: Config) -> tuple[Path | None, Path | None]:
    """Return the files of our own certificates towards MQTT and towards Kafka."""
    table = config.kafka.librdkafka
    kafkas = table.get("ssl.certificate.location")
    in_file = table.get("ssl.certificate.pem_file")
    return (
        _located(config.mqtt.cert_file),
        Path(str(kafkas)) if kafkas else _located(str(in_file or "")),
    )


def producer_settings(section: KafkaSection) -> dict[str, Scalar]:
    """Return librdkafka's configuration; ``x_file`` in the operator's table is the secret ``x``.

    Raises:
        ConfigError: a secret cannot be read.
    """
    table = {
        key.removesuffix("_file"): read_secret(str(value)) if key.endswith("_file") else value
        for key, value in section.librdkafka.items()
    }
    return kafka.settings(section.bootstrap_servers, table)


def security_settings(section: KafkaSection) -> dict[str, Scalar]:
    """Return the settings that every client of Kafka shares with the producer: TLS and the login.

    Raises:
        ConfigError: a secret cannot be read.
    """
    return {k: v for k, v in producer_settings(section).items() if k.startswith(_SHARED)}


def _located(name: str) -> Path | None:
    return secret_path(name) if name else None


def rest(spool: SpoolSection) -> ClassSection:
    """Return the class of the devices that no other class has."""
    return ClassSection(REST, ("*",), spool.when_full, spool.max_age)


def compiled(route: RouteSection, host: "Host | None" = None) -> Route:
    """Return one route, compiled; ``host`` reads Sparkplug messages.

    Raises:
        ValueError: it is wrong.
    """
    words = {field: getattr(route, field) for field in Words.__struct_fields__}
    form = payload(Words(**words), host)
    made = compile_route(route.topic, form, site=route.site, metric=route.metric, unit=route.unit)
    return made if route.shape is None else made._replace(shape=Shape(route.shape, route.topic))
