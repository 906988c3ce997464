"""One MQTT 5 connection for publishing at QoS 1: paho with our own select loop.

paho's network thread wakes once per acknowledgement; one loop that writes a burst and then reads
all acknowledgements that came does two to three times as many messages a second, and uses only
paho's public calls.
"""

import select
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from schemas.failure import BadConfig

_DEFAULT_WINDOW = 65_535
"""MQTT 5, 3.2.2.3.3: the Receive Maximum of a broker that states none."""
_CONNECT_S = 5.0


class Broker(NamedTuple):
    """Where an MQTT URL points."""

    host: str
    port: int
    tls: bool
    user: str | None
    password: str | None


def parse_url(url: str) -> Broker:
    """Read ``mqtt://[user:password@]host[:port]`` or ``mqtts://…``.

    Raises:
        BadConfig: it is none.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadConfig(f"MQTT URL {url!r}: {error}") from error
    if parts.scheme not in {"mqtt", "mqtts"} or not parts.hostname:
        raise BadConfig(f"MQTT URL {url!r}: write mqtt://host:1883 or mqtts://host:8883")
    tls = parts.scheme == "mqtts"
    user = unquote(parts.username) if parts.username else None
    password = unquote(parts.password) if parts.password else None
    return Broker(parts.hostname, port or (8883 if tls else 1883), tls, user, password)


class LinkDown(Exception):
    """The connection could not be made or is gone; the message says why."""


class Link:
    """A connection; packet ids of messages and their acknowledgements are its own."""

    def __init__(self, broker: Broker, on_answer: Callable[[int, int], None]) -> None:
        """Connect, and wait for the broker's CONNACK.

        Args:
            broker: where to.
            on_answer: called from `turn` with packet id and reason code of each PUBACK.

        Raises:
            LinkDown: the broker cannot be reached or refuses.
        """
        self._on_answer = on_answer
        self._down: str | None = None
        self._up = False
        self.window = _DEFAULT_WINDOW
        """How many un-acknowledged messages the broker allows."""
        self._client = self._made(broker)
        self._connect(broker)

    def _made(self, broker: Broker) -> paho.Client:
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        client.username = broker.user
        client.password = broker.password
        client.connect_timeout = _CONNECT_S
        # 0 = no queue inside paho: the window is kept by the caller.
        client.max_inflight_messages_set(0)
        # With this callback set, publish() leaves the writing to turn().
        client.on_socket_register_write = _nothing
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_publish = self._answered
        if broker.tls:
            client.tls_set()
        return client

    def _connect(self, broker: Broker) -> None:
        try:
            self._client.connect(broker.host, broker.port, keepalive=30)
        except OSError as error:
            raise LinkDown(f"{broker.host}:{broker.port}: {error}") from error
        # The first turns only wait for CONNACK; a broker answers at once or not at all.
        for _ in range(round(_CONNECT_S / 0.05)):
            self.turn(0.05)
            if self._up:
                return
        self.close()
        raise LinkDown(f"{broker.host}:{broker.port}: no CONNACK in {_CONNECT_S:g} s")

    def send(self, topic: str, payload: bytes) -> int:
        """Queue a QoS 1 message for the next turn; return its packet id."""
        return self._client.publish(topic, payload, qos=1).mid

    def turn(self, wait_s: float) -> None:
        """Write what is queued and read what has come, waiting at most ``wait_s`` for it.

        Raises:
            LinkDown: the connection is gone.
        """
        client = self._client
        client.loop_write()
        sock = client.socket()
        if sock is not None:
            writing = [sock] if client.want_write() else []
            readable, _, _ = select.select([sock], writing, [], wait_s)
            if readable:
                client.loop_read()
            client.loop_misc()
        if self._down is not None or client.socket() is None:
            raise LinkDown(self._down or "the connection was lost")

    def close(self) -> None:
        """Say goodbye, if there is anybody to say it to."""
        self._client.disconnect()
        self._client.loop_write()

    def _connected(
        self, client: Any, userdata: Any, flags: Any, reason: ReasonCode, props: Properties | None
    ) -> None:
        if reason.is_failure:
            self._down = f"the broker refused the connection: {reason}"
            return
        self._up = True
        self.window = getattr(props, "ReceiveMaximum", _DEFAULT_WINDOW)

    def _disconnected(
        self, client: Any, userdata: Any, flags: Any, reason: ReasonCode, props: Properties | None
    ) -> None:
        self._down = f"disconnected: {reason}"

    def _answered(
        self, client: Any, userdata: Any, mid: int, reason: ReasonCode, props: Properties | None
    ) -> None:
        self._on_answer(mid, reason.value)


def _nothing(*_: object) -> None:
    pass
