"""Dead letters as an operator sees them: listed, looked at, sent again once the cause is mended."""

import json
import struct
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka import Message
from paho.mqtt import MQTTException
from paho.mqtt.client import Client
from paho.mqtt.enums import MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties, VariableByteIntegers

from gateway import sections
from gateway.endpoint import Endpoint, client
from gateway.explain import Asked, Explained, explain
from gateway.follow import follow
from gateway.sections import Config
from schemas.codec import decode
from schemas.config import read_secret
from schemas.failure import Failure, Unavailable
from schemas.files import replace
from schemas.records import DeadLetter

_ACK_S = 30.0
_CUT = "bytes are kept"
_ROW = 16


class Found(NamedTuple):
    """A dead letter and where it stands; its id is ``partition:offset``."""

    partition: int
    offset: int
    letter: DeadLetter

    @property
    def id(self) -> str:
        """Return what the commands call it."""
        return f"{self.partition}:{self.offset}"


def found(config: Config, *, since_ms: int, everyone: bool) -> Iterator[Found]:
    """Return the dead letters from a time on, up to the topic's present end.

    Args:
        config: the gateway's.
        since_ms: wall clock.
        everyone: other gateways' and the jobs' as well.

    Raises:
        Unavailable, Failure: Kafka does not answer, or has no such topic.
    """
    topic = f"{config.kafka.topic_prefix}dead-letters"
    security = sections.security_settings(config.kafka)
    servers = config.kafka.bootstrap_servers
    for batch in follow(servers, topic, until_end=True, security=security):
        for message in batch:
            letter = _read(message)
            own = letter.gateway_id == config.gateway.id and letter.origin == "GATEWAY"
            if letter.at >= since_ms and (own or everyone):
                yield Found(int(message.partition() or 0), int(message.offset() or 0), letter)


def _read(message: Message) -> DeadLetter:
    value = message.value() or b""
    try:
        return decode(DeadLetter, value)
    except ValueError as error:
        at = message.timestamp()[1]
        return DeadLetter(
            "JOB", "UNREADABLE", f"no dead letter of this version: {error}", value, at
        )


def line(one: Found) -> str:
    """Return a dead letter as one line; what is not printable is escaped."""
    letter = one.letter
    topic = printable(letter.mqtt_topic or letter.kafka_topic or "-")
    return (
        f"{one.id:10} {when(letter.at)}  {letter.reason:17} {topic}  "
        f"{len(letter.payload)} B  {printable(letter.detail)}"
    )


def page(config: Config, one: Found) -> list[str]:
    """Return all there is to know of a dead letter, and what would become of it now."""
    letter = one.letter
    shown: dict[str, Callable[[Any], str]] = {"at": when, "mqtt_properties": told_properties}
    lines = [
        f"{name:16} {printable(shown.get(name, str)(value))}"
        for name in DeadLetter.__struct_fields__
        if name != "payload" and (value := getattr(letter, name)) is not None
    ]
    lines += ["payload", *(f"    {row}" for row in hexdump(letter.payload))]
    if letter.mqtt_topic is not None:
        now = again(config, one)
        told = f"{now.reason}: {now.detail}" if now.reason else f"{len(now.records)} reading(s)"
        lines.append(f"{'now':16} {printable(told)}")
    return lines


def told_properties(raw: bytes) -> str:
    """Return MQTT 5 properties by their names, in hex what cannot be read."""
    length = VariableByteIntegers.encode(len(raw))  # type: ignore[no-untyped-call]
    found = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    try:
        found.unpack(length + raw)  # type: ignore[no-untyped-call]
    except (MQTTException, LookupError, struct.error, UnicodeDecodeError):
        return raw.hex()
    return json.dumps(found.json(), ensure_ascii=False)  # type: ignore[no-untyped-call]


def again(config: Config, one: Found) -> Explained:
    """Return what the present configuration would make of it."""
    letter = one.letter
    asked = Asked(letter.mqtt_topic or "", letter.payload, False, letter.at, None)
    return explain(config, asked)


def why_not(one: Found) -> str:
    """Return why a dead letter cannot be sent again, nothing if it can."""
    letter = one.letter
    if letter.mqtt_topic is None:
        return "it came from Kafka, not from MQTT"
    if letter.detail.endswith(_CUT):
        return "only the beginning of its payload was kept"
    if "\\x" in letter.mqtt_topic:
        return "its topic was no UTF-8"
    if letter.mqtt_topic.startswith("$"):
        return "the gateway wrote it itself"
    return ""


def replay(config: Config, letters: list[Found]) -> None:
    """Publish the original bytes on their topics again, at QoS 1, in order.

    They come back by the broker like any message: to every subscriber, and without a time of their
    own they count from now.

    Raises:
        Unavailable: the broker does not take them; what it took is noted all the same.
    """
    link = _linked(config)
    try:
        for one in letters:
            sent = link.publish(str(one.letter.mqtt_topic), one.letter.payload, qos=1)
            if sent.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
                raise Unavailable(f"{config.mqtt.url}: {one.id} was not taken")
            sent.wait_for_publish(_ACK_S)
            if not sent.is_published():
                raise Unavailable(f"{config.mqtt.url}: no acknowledgement of {one.id}")
            note(config, one)
    finally:
        link.disconnect()
        link.loop_stop()


def replayed(config: Config) -> set[str]:
    """Return the ids that were sent again before."""
    try:
        return set(json.loads(_notes(config).read_text("utf-8")))
    except (OSError, ValueError):
        return set()


def note(config: Config, one: Found) -> None:
    """Remember that a dead letter was sent again."""
    try:
        replace(_notes(config), json.dumps(sorted({*replayed(config), one.id})))
    except OSError as error:
        raise Failure(f"{_notes(config)}: {error.strerror}; {one.id} was sent") from error


def when(at_ms: int) -> str:
    """Return a time in UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def printable(text: str) -> str:
    """Return a text that no terminal obeys."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def hexdump(payload: bytes, most: int = 4096) -> list[str]:
    """Return rows of offset, bytes and ASCII, of at most the first so many bytes."""
    rows = []
    for at in range(0, min(len(payload), most), _ROW):
        row = payload[at : at + _ROW]
        ascii_ = "".join(chr(b) if 32 <= b < 127 else "." for b in row)
        rows.append(f"{at:06x}  {row.hex(' '):47}  {ascii_}")
    if len(payload) > most:
        rows.append(f"… {len(payload) - most} more bytes")
    return rows


def _notes(config: Config) -> Path:
    return Path(config.gateway.data_dir) / "replayed.json"


def _linked(config: Config) -> Client:
    """Return a client of its own name, connected: the gateway's session is not touched."""
    mqtt = config.mqtt
    host, port = sections.broker(mqtt)
    password = read_secret(mqtt.password_file) if mqtt.password_file else None
    name = f"tidegate-replay-{config.gateway.id}-{time.time_ns()}"
    tls = sections.mqtt_tls(mqtt)
    end = Endpoint(host, port, name, 30, 0, 100, mqtt.username or None, password, tls)
    link = client(end, MQTTProtocolVersion.MQTTv311, passing=True)
    try:
        link.connect(host, port, 30)
    except OSError as error:
        raise Unavailable(f"{mqtt.url}: {error}") from error
    link.loop_start()
    return link
