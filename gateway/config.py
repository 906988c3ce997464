"""Reading gateway.toml, and everything about it that can be checked offline."""

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from gateway import secure
from gateway.classes import problems
from gateway.sections import (
    Config,
    KafkaSection,
    MqttSection,
    Scalar,
    address,
    compiled,
    loopback,
    rest,
)
from schemas.config import Complaint, load

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PREFIX = re.compile(r"[A-Za-z0-9._-]{0,100}")
_PREFIX_IS = "letters, digits, dots, dashes and underscores"
_MIN_QUOTA = 16 << 20
# A reading of this payload, or its dead letter, still fits a Kafka message of 1 MB.
_MOST_PAYLOAD = 512 << 10
# Each of these would break the promise that what was acknowledged reaches Kafka.
_FIXED: dict[str, tuple[Scalar, ...]] = {
    "acks": ("all", -1, "-1"),
    "request.required.acks": ("all", -1, "-1"),
    "enable.idempotence": (True, "true"),
    "message.timeout.ms": (0, "0"),
    "delivery.timeout.ms": (0, "0"),
}


def read(path: Path, env: Mapping[str, str] = os.environ) -> Config:
    """Read and check a configuration, offline.

    Raises:
        ConfigError: with everything that is wrong.
    """
    return load(path, Config, env=env, check=complaints)


def version(path: Path) -> str:
    """Return a short name of the file's text, for dead letters."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def complaints(config: Config) -> list[Complaint]:
    """Return what is wrong with a configuration beyond single values."""
    found = [*_check_mqtt(config.mqtt), *_check_kafka(config.kafka), *_check_values(config)]
    found += secure.complaints(config)
    for index, key, wrong in problems(config.spool.classes, rest(config.spool)):
        found.append(Complaint(("spool", "classes", index, key), wrong))
    if not config.routes:
        found.append(Complaint(("routes",), "at least one [[routes]] table is needed"))
    for index, route in enumerate(config.routes):
        try:
            compiled(route)
        except ValueError as error:
            found.append(Complaint(("routes", index, "topic"), str(error)))
    return found


def warnings(config: Config) -> list[str]:
    """Return what is allowed and may still surprise."""
    return [
        f"routes[{index}] {route.topic}: a bare number has neither time nor sequence, so a message"
        " that comes again after a crash counts as a new reading (at least once)"
        for index, route in enumerate(config.routes)
        if route.payload == "number"
    ]


def _check_mqtt(mqtt: MqttSection) -> list[Complaint]:
    url = urlsplit(mqtt.url)
    if url.scheme not in ("mqtt", "mqtts") or not url.hostname:
        return [Complaint(("mqtt", "url"), f"expected mqtt://host:port or mqtts://…: {mqtt.url}")]
    found = []
    if url.username is not None:
        found.append(Complaint(("mqtt", "url"), "credentials go into username and password_file"))
    if url.scheme == "mqtt" and not mqtt.allow_insecure and not loopback(url.hostname):
        found.append(
            Complaint(
                ("mqtt", "url"),
                f"plain text to {url.hostname}: use mqtts://, or set allow_insecure = true",
            )
        )
    return found


def _check_kafka(section: KafkaSection) -> list[Complaint]:
    found = []
    for key, allowed in _FIXED.items():
        if section.librdkafka.get(key, allowed[0]) not in allowed:
            message = f"must stay {allowed[0]}: else acknowledged readings can be lost"
            found.append(Complaint(("kafka", "librdkafka", key), message))
    hosts = []
    for server in section.bootstrap_servers.split(","):
        try:
            hosts.append(address(server.strip()).host)
        except ValueError as error:
            found.append(Complaint(("kafka", "bootstrap_servers"), str(error)))
    protocol = str(section.librdkafka.get("security.protocol", "plaintext")).lower()
    open_hosts = [host for host in hosts if not loopback(host)]
    if open_hosts and not protocol.endswith("ssl") and not section.allow_insecure:
        found.append(
            Complaint(
                ("kafka", "bootstrap_servers"),
                f'plain text to {open_hosts[0]}: set "security.protocol" in [kafka.librdkafka], '
                "or allow_insecure = true",
            )
        )
    return found


def _check_values(config: Config) -> list[Complaint]:
    rules: list[tuple[tuple[str, str], bool, str]] = [
        (("gateway", "id"), bool(_ID.fullmatch(config.gateway.id)), f"must match {_ID.pattern}"),
        (("gateway", "data_dir"), bool(config.gateway.data_dir), "must not be empty"),
        (("mqtt", "receive_maximum"), 1 <= config.mqtt.receive_maximum <= 65535, "1 to 65535"),
        (("mqtt", "keepalive"), 5000 <= config.mqtt.keepalive <= 3_600_000, "5s to 1h"),
        (("mqtt", "session_expiry"), config.mqtt.session_expiry >= 60_000, "1m or more"),
        (("kafka", "topic_prefix"), bool(_PREFIX.fullmatch(config.kafka.topic_prefix)), _PREFIX_IS),
        (("registry", "url"), urlsplit(config.registry.url).scheme in ("http", "https"), "http(s)"),
        (("spool", "quota"), config.spool.quota >= _MIN_QUOTA, "16MiB or more"),
        (("spool", "high_water"), 0 < config.spool.high_water <= 1, "above 0, at most 1"),
        (("spool", "free_space"), config.spool.free_space >= _MIN_QUOTA, "16MiB or more"),
        (("spool", "backlog_rate"), config.spool.backlog_rate >= 0, "0 or more"),
        (("limits", "payload"), 1 <= config.limits.payload <= _MOST_PAYLOAD, "1B to 512KiB"),
        (("limits", "magnitude"), config.limits.magnitude > 0, "above 0"),
        (("markers", "min_quiet"), config.markers.min_quiet >= 1000, "1s or more"),
        (("markers", "max_devices"), 1 <= config.markers.max_devices <= 50_000, "1 to 50000"),
        (("clock", "wait"), 0 <= config.clock.wait <= 3_600_000, "0s to 1h"),
        (("admin", "listen"), _is_address(config.admin.listen), "host:port, or empty for none"),
    ]
    return [Complaint(key, f"expected {expected}") for key, good, expected in rules if not good]


def _is_address(text: str) -> bool:
    try:
        return not text or bool(address(text))
    except ValueError:
        return False
