"""What a configuration must not do, as it would give secrets or readings away."""

import re
from urllib.parse import urlsplit

from gateway.sections import Config, KafkaSection, MqttSection, RegistrySection, Scalar, loopback
from schemas.config import Complaint

_SECRET = re.compile(r".*(password|passphrase|secret|key\.pem)")
# Each turns off what TLS or a token is there for.
_UNSAFE: dict[str, tuple[Scalar, ...]] = {
    "enable.ssl.certificate.verification": (False, "false", "0"),
    "ssl.endpoint.identification.algorithm": ("none", ""),
    "enable.sasl.oauthbearer.unsecure.jwt": (True, "true", "1"),
}


def complaints(config: Config) -> list[Complaint]:
    """Return what is unsafe in a configuration."""
    return [
        *_check_mqtt(config.mqtt),
        *check_kafka(config.kafka),
        *check_registry(config.registry),
    ]


def check_registry(registry: RegistrySection) -> list[Complaint]:
    """Return what is unsafe about the way to the registry."""
    found = []
    url = urlsplit(registry.url)
    if url.username is not None:
        told = "credentials go into username and password_file: URLs come into logs"
        found.append(Complaint(("registry", "url"), told))
    if bool(registry.username) != bool(registry.password_file):
        told = "username and password_file go together"
        found.append(Complaint(("registry", "username"), told))
    elif registry.username and url.scheme != "https" and not loopback(url.hostname or ""):
        found.append(Complaint(("registry", "url"), "a password in plain text: use https://"))
    return found


def _check_mqtt(mqtt: MqttSection) -> list[Complaint]:
    found = []
    if mqtt.key_file and not mqtt.cert_file:
        found.append(Complaint(("mqtt", "key_file"), "needs cert_file, the certificate it is for"))
    if mqtt.password_file and not mqtt.username:
        found.append(Complaint(("mqtt", "password_file"), "needs username"))
    if urlsplit(mqtt.url).scheme == "mqtt":
        found += [
            Complaint(("mqtt", key), "means nothing without TLS: use mqtts:// in url")
            for key in ("ca_file", "cert_file", "key_file")
            if getattr(mqtt, key)
        ]
    return found


def check_kafka(kafka: KafkaSection) -> list[Complaint]:
    """Return what is unsafe about the way to the brokers."""
    found = []
    for key, value in kafka.librdkafka.items():
        where = ("kafka", "librdkafka", key)
        if _SECRET.fullmatch(key):
            told = f'a secret: put it into a file and name that with "{key}_file"'
            found.append(Complaint(where, told))
        elif value in _UNSAFE.get(key, ()) and not kafka.allow_insecure:
            told = "anyone could pose as the broker or as this gateway; or set allow_insecure"
            found.append(Complaint(where, told))
    return found
