"""The MQTT broker, asked under a name of its own and without a session: nobody is disturbed."""

import re
import time
from collections.abc import Iterator
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from gateway import sections
from gateway.online.finding import Finding
from gateway.sections import Config
from schemas.config import read_secret

_ANSWER_S = 10.0
_STATUS_S = 1.5
_STATUS = ("$SYS/broker/version", "$SYS/broker/publish/messages/dropped")
_VERSION = re.compile(r"mosquitto version (\d+)\.(\d+)\.(\d+)")
# Topic, packet id, properties and the fixed header of a message.
_AROUND = 1024


class _Probe:
    """One connection and what came of it."""

    def __init__(self, config: Config) -> None:
        mqtt = config.mqtt
        name = f"tidegate-check-{config.gateway.id}-{time.time_ns()}"
        self.client = Client(
            CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTProtocolVersion.MQTTv5
        )
        if mqtt.username:
            password = read_secret(mqtt.password_file) if mqtt.password_file else None
            self.client.username_pw_set(mqtt.username, password)
        tls = sections.mqtt_tls(mqtt)
        if tls is not None:
            self.client.tls_set_context(tls())
        self.reason: Any = None
        self.properties: dict[str, Any] = {}
        self.status: dict[str, str] = {}
        self.client.on_connect = self._connected
        self.client.on_message = self._message

    def _connected(
        self, client: Client, _data: Any, _flags: Any, reason: Any, properties: Any
    ) -> None:
        self.properties = {} if properties is None else properties.json()
        self.reason = reason
        if not reason.is_failure:
            client.subscribe([(topic, 0) for topic in _STATUS])

    def _message(self, _client: Client, _data: Any, message: Any) -> None:
        self.status[message.topic] = message.payload.decode("utf-8", "replace")[:80]


def check(config: Config) -> Iterator[Finding]:
    """Return what the broker says and what it says nothing of."""
    probe = _Probe(config)
    host, port = sections.broker(config.mqtt)
    try:
        probe.client.connect(host, port, 30, clean_start=True)
    except (OSError, ValueError) as error:
        yield Finding("fail", "mqtt", f"{config.mqtt.url}: {error}", "is it up, and the way open?")
        return
    probe.client.loop_start()
    try:
        until = time.monotonic() + _ANSWER_S
        while probe.reason is None and time.monotonic() < until:
            time.sleep(0.02)
        until = time.monotonic() + _STATUS_S
        while len(probe.status) < len(_STATUS) and time.monotonic() < until:
            time.sleep(0.02)
    finally:
        probe.client.disconnect()
        probe.client.loop_stop()
    yield from findings(config, probe.reason, probe.properties, probe.status)


def findings(
    config: Config, reason: Any, properties: dict[str, Any], status: dict[str, str]
) -> Iterator[Finding]:
    """Judge an answer to CONNECT and the broker's status topics."""
    if reason is None:
        told = "no answer to an MQTT 5 CONNECT"
        cure = "an MQTT 3.1.1 broker works, 20 messages ahead at most; MQTT 5 takes 1000"
        yield Finding("warn", "mqtt", told, cure)
        return
    if reason.is_failure:
        yield Finding("fail", "mqtt", f"refused: {reason}", "username, password_file, certificate?")
        return
    yield Finding("ok", "mqtt", f"{config.mqtt.url} takes this gateway's login, MQTT 5")
    if properties.get("MaximumQoS") == 0:
        yield Finding("fail", "mqtt qos", "the broker has QoS 0 only", "QoS 0 loses by design")
    least = int(config.limits.payload) + _AROUND
    largest = properties.get("MaximumPacketSize")
    if largest is not None and largest < least:
        cure = f"raise max_packet_size to {least}, or lower limits.payload"
        yield Finding("warn", "mqtt packets", f"the broker takes {largest} bytes at most", cure)
    kept_s = properties.get("SessionExpiryInterval")
    if kept_s is not None and kept_s < config.mqtt.session_expiry // 1000:
        cure = "an outage of the gateway that is longer loses what the broker queued"
        yield Finding("warn", "mqtt session", f"the broker keeps it {kept_s} s only", cure)
    yield from _status(status)


def _status(status: dict[str, str]) -> Iterator[Finding]:
    version = _VERSION.search(status.get(_STATUS[0], ""))
    if version is None:
        yield Finding("unseen", "mqtt version", "the broker tells neither name nor version")
    elif (int(version[1]), int(version[2])) < (2, 1):
        told = f"mosquitto {version[1]}.{version[2]}.{version[3]}"
        cure = (
            "before 2.1 a kill forgets what it acknowledged since its last autosave: "
            "set autosave_interval 1, or use 2.1 with persist-sqlite"
        )
        yield Finding("warn", "mqtt version", told, cure)
    else:
        yield Finding("ok", "mqtt version", version[0])
    dropped = status.get(_STATUS[1], "")
    if dropped.isdigit() and int(dropped):
        cure = "raise max_queued_messages: what it drops was acknowledged to the devices"
        yield Finding("warn", "mqtt drops", f"{dropped} messages since the broker's start", cure)
    told = "max_queued_messages (1000 by default) and persistence cannot be asked for"
    yield Finding("unseen", "mqtt queue", told, "see samples/mosquitto.conf for what to set")
