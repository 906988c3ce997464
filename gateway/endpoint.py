"""Where the MQTT broker is, and what is asked of it at every connection."""

import os
import select
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

_SEND_RETAINED_IF_NEW = 1
# Larger than any payload that can fit a dead letter; a broker drops what is larger than this.
_MAX_PACKET_BYTES = 4 << 20
_GOODBYE_S = 1.0
_DRAIN_BYTES = 64 << 10


class Endpoint(NamedTuple):
    """Where and how to connect; ``tls`` makes the context."""

    host: str
    port: int
    client_id: str
    keepalive_s: int
    session_expiry_s: int
    receive_maximum: int
    username: str | None
    password: str | None
    tls: Callable[[], ssl.SSLContext] | None

    @property
    def name(self) -> str:
        """Return what log lines call it."""
        return f"MQTT {self.host}:{self.port}"


class Order(NamedTuple):
    """Another configuration for a connection that runs."""

    endpoint: Endpoint
    filters: list[str]
    reconnect: bool


def client(end: Endpoint, version: MQTTProtocolVersion, *, passing: bool = False) -> Client:
    """Return a paho client that keeps its session; clean start is off, acknowledging is ours.

    With ``passing``, of MQTT 3.1.1, it has a session that the broker forgets with the connection.

    Raises:
        OSError: a certificate cannot be read, or does not fit its key.
    """
    made = Client(
        CallbackAPIVersion.VERSION2,
        client_id=end.client_id,
        protocol=version,
        clean_session=None if version == MQTTProtocolVersion.MQTTv5 else passing,
        manual_ack=True,
    )
    if end.username is not None:
        made.username_pw_set(end.username, end.password)
    if end.tls is not None:
        made.tls_set_context(end.tls())
    return made


def dial(paho: Client, end: Endpoint, version: MQTTProtocolVersion) -> None:
    """Open the connection.

    Raises:
        OSError, ValueError: it cannot be opened.
    """
    if version != MQTTProtocolVersion.MQTTv5:
        paho.connect(end.host, end.port, end.keepalive_s)
        return
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = end.session_expiry_s
    properties.ReceiveMaximum = end.receive_maximum
    properties.MaximumPacketSize = _MAX_PACKET_BYTES
    paho.connect(end.host, end.port, end.keepalive_s, clean_start=False, properties=properties)


def subscription(topic: str, version: MQTTProtocolVersion) -> Any:
    """Return how paho is asked for a filter at QoS 1, stored copies only if it is new."""
    if version != MQTTProtocolVersion.MQTTv5:
        return (topic, 1)
    return (topic, SubscribeOptions(qos=1, retainHandling=_SEND_RETAINED_IF_NEW))


def say_goodbye(paho: Client) -> None:
    """Write a DISCONNECT, wait a second at most for it to leave and another for the broker's end.

    paho closes the socket with the DISCONNECT. What the broker has sent and nobody has read would
    make that a reset, at which a broker drops what it has not read in its turn: the last
    acknowledgements, whose messages would come again. So a second handle keeps the connection
    until the broker has ended it, and what still comes is read and dropped; it was never
    acknowledged.
    """
    sock: Any = paho.socket()
    kept = None if sock is None else socket.socket(fileno=os.dup(sock.fileno()))
    paho.disconnect()
    until = time.monotonic() + _GOODBYE_S
    while paho.want_write() and time.monotonic() < until:
        sock = paho.socket()
        if sock is None:
            break
        select.select([], [sock], [], 0.1)
        paho.loop_write()
    if kept is not None:
        with kept:
            _until_ended(kept)


def _until_ended(sock: socket.socket) -> None:
    """Say that nothing more comes, and read until the other side says the same."""
    until = time.monotonic() + _GOODBYE_S
    try:
        sock.shutdown(socket.SHUT_WR)
        while (left := until - time.monotonic()) > 0:
            sock.settimeout(left)
            if not sock.recv(_DRAIN_BYTES):
                return
    except OSError:
        return  # Ended by the other side, or silent for the second: there is nobody to wait for.
