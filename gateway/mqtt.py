"""The MQTT connection: paho's client driven by a select loop of our own.

Rules kept here, each of which loses messages when broken:

* the session persists: clean start off and a session expiry (MQTT 5), clean session off (3.1.1);
* QoS 1 only: paho keeps a QoS 2 message in memory alone between PUBREC and PUBREL;
* paho's ``ack`` checks nothing, so an acknowledgement is written only on the connection its
  message came on; on a later one the same packet id belongs to another message;
* nothing in the loop blocks, or it would miss the keepalive.
"""

import logging
import select
import ssl
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from paho.mqtt.client import Client, ConnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from gateway.message import MQTT_5, UNSYNCED, Arrivals, Chunk
from gateway.pacing import Trouble, backoff_s
from gateway.receiver import Receiver, Stamp
from gateway.wake import Wake

_log = logging.getLogger("tidegate.gateway.mqtt")
_UNSUPPORTED_VERSION = "Unsupported protocol version"
_SEND_RETAINED_IF_NEW = 1
# Larger than any payload that can fit a dead letter; a broker drops what is larger than this.
_MAX_PACKET_BYTES = 4 << 20


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


class Connection:
    """One MQTT session over many connections; every method but ``wake`` is for one thread.

    ``epoch`` numbers the connections: it grows whenever one is made or lost.
    """

    def __init__(self, endpoint: Endpoint, filters: list[str], *, stale: list[str]) -> None:
        """Prepare, without connecting.

        Args:
            endpoint: where to connect.
            filters: what to subscribe to.
            stale: filters a former configuration subscribed to and this one does not want.
        """
        self._endpoint = endpoint
        self._filters = filters
        self._stale = stale
        self._wake = Wake()
        self._version = MQTTProtocolVersion.MQTTv5
        self._trouble = Trouble(_log, f"MQTT {endpoint.host}:{endpoint.port}")
        self._attempt = 0
        self._try_at = 0.0
        self._unanswered = 0
        self._answered = False
        self._first = True
        self._inbox: list[Chunk] = []
        self._mids: list[int] = []
        self.epoch = 0
        self.connected = False
        self.subscribed = False
        self.stale_acks = 0
        self.connects = 0
        self._client = self._new_client()

    @property
    def cause(self) -> str:
        """Return why it is not connected, as far as is known."""
        return self._trouble.cause

    def take(self, wait_s: float, *, synced: bool) -> Arrivals | None:
        """Run the connection for one turn and return what came, at most ``wait_s`` later.

        Args:
            wait_s: how long to wait for something to happen.
            synced: whether the gateway's clock is to be trusted now.
        """
        sock = self._client.socket()
        if sock is None:
            self._connect_when_due(wait_s)
            return None
        writers = [sock] if self._client.want_write() else []
        readers: list[Any] = [sock, self._wake]
        pending = self._receiver.pending
        readable, writable, _ = select.select(readers, writers, [], 0 if pending else wait_s)
        if self._wake in readable:
            self._wake.clear()
        if pending or sock in readable:
            self._read(0 if synced else UNSYNCED)
        if writable:
            self._client.loop_write()
        self._client.loop_misc()
        return self._taken()

    def ack(self, epoch: int, mids: list[int]) -> None:
        """Write PUBACKs in this order, if the connection they belong to is still there."""
        if epoch != self.epoch or not self.connected:
            self.stale_acks += len(mids)
            return
        self._receiver.acknowledge(mids)
        self._client.loop_write()

    def wake(self) -> None:
        """End the present wait of ``take``; for any thread."""
        self._wake.set()

    def restart(self) -> None:
        """Connect anew, so that the broker sends again what was not acknowledged."""
        self._client.disconnect()
        self._client.loop_write()
        self._try_at = 0.0

    def close(self) -> None:
        """Say goodbye, so that the broker keeps the session and publishes no will."""
        self._client.disconnect()
        until = time.monotonic() + 1.0
        while self._client.want_write() and time.monotonic() < until:
            sock = self._client.socket()
            if sock is None:
                break
            select.select([], [sock], [], 0.1)
            self._client.loop_write()
        self.connected = self.subscribed = False

    def _new_client(self) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._endpoint.client_id,
            protocol=self._version,
            clean_session=None if self._version == MQTTProtocolVersion.MQTTv5 else False,
            manual_ack=True,
        )
        if self._endpoint.username is not None:
            client.username_pw_set(self._endpoint.username, self._endpoint.password)
        if self._endpoint.tls is not None:
            client.tls_set_context(self._endpoint.tls())
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        # With a write callback paho queues what it sends, and one loop_write sends it all.
        client.on_socket_register_write = _nothing
        self._receiver = Receiver(client)
        return client

    def _connect_when_due(self, wait_s: float) -> None:
        wait_s = min(wait_s, self._try_at - time.monotonic())
        if wait_s > 0:
            if select.select([self._wake], [], [], wait_s)[0]:
                self._wake.clear()
            return
        self._try_at = time.monotonic() + backoff_s(self._attempt)
        self._attempt += 1
        try:
            self._connect()
        except (OSError, ValueError) as error:
            self._trouble.seen(f"cannot connect: {error}")

    def _connect(self) -> None:
        end = self._endpoint
        self._answered = False
        if self._version != MQTTProtocolVersion.MQTTv5:
            self._client.connect(end.host, end.port, end.keepalive_s)
            return
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = end.session_expiry_s
        properties.ReceiveMaximum = end.receive_maximum
        properties.MaximumPacketSize = _MAX_PACKET_BYTES
        self._client.connect(
            end.host, end.port, end.keepalive_s, clean_start=False, properties=properties
        )

    def _read(self, flags: int) -> None:
        if self._version == MQTTProtocolVersion.MQTTv5:
            flags |= MQTT_5
        stamp = Stamp(time.time_ns() // 1_000_000, time.monotonic_ns() // 1_000_000, flags)
        broken = self._receiver.read(stamp, self._inbox, self._mids)
        if broken:
            self._trouble.seen(f"disconnected: {broken}")

    def _taken(self) -> Arrivals | None:
        if not self._inbox:
            return None
        arrivals = Arrivals(self.epoch, self._mids, self._inbox)
        self._inbox, self._mids = [], []
        return arrivals

    def _on_connect(
        self, client: Client, _data: Any, flags: ConnectFlags, reason: ReasonCode, _properties: Any
    ) -> None:
        self._answered = True
        if reason.is_failure:
            if self._version == MQTTProtocolVersion.MQTTv5 and str(reason) == _UNSUPPORTED_VERSION:
                self._change_version(MQTTProtocolVersion.MQTTv311)
            self._trouble.seen(f"refused: {reason}")
            return
        self._drop_inbox()
        self.epoch += 1
        self.connects += 1
        self.connected = True
        self._attempt = 0
        if flags.session_present and not self._first:
            self.subscribed = True
            self._trouble.over()
            return
        # A session that outlived this process may lack a filter of the present configuration.
        if flags.session_present and self._stale:
            client.unsubscribe(self._stale)
        client.subscribe([self._subscription(topic) for topic in self._filters])

    def _subscription(self, topic: str) -> Any:
        if self._version != MQTTProtocolVersion.MQTTv5:
            return (topic, 1)
        return (topic, SubscribeOptions(qos=1, retainHandling=_SEND_RETAINED_IF_NEW))

    def _on_subscribe(
        self, client: Client, _data: Any, _mid: int, reasons: list[ReasonCode], _properties: Any
    ) -> None:
        refused = [
            f"{f}: {r}" for f, r in zip(self._filters, reasons, strict=False) if r.is_failure
        ]
        if refused:
            self._trouble.seen(f"subscription refused: {'; '.join(refused)}")
            client.disconnect()
            return
        self._first = False
        self.subscribed = True
        self._trouble.over()

    def _on_disconnect(
        self, _client: Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        if not self._answered:
            self._no_answer()
        elif self.connected and reason.is_failure:
            self._trouble.seen(f"disconnected: {reason}")
        self.epoch += 1
        self.connected = self.subscribed = False
        # What was read and not handed over yet comes again; under this epoch nobody could ack it.
        self._drop_inbox()

    def _drop_inbox(self) -> None:
        """Forget what was read; in place, as the receiver may be in the middle of adding to it."""
        self._inbox.clear()
        self._mids.clear()

    def _no_answer(self) -> None:
        """Some old brokers just hang up on MQTT 5: try the other version after two such ends."""
        self._unanswered += 1
        self._trouble.seen("no answer to CONNECT")
        if self._unanswered >= 2:
            other = {5: MQTTProtocolVersion.MQTTv311, 4: MQTTProtocolVersion.MQTTv5}
            self._change_version(other[self._version])

    def _change_version(self, version: MQTTProtocolVersion) -> None:
        self._version = version
        self._unanswered = 0
        self._client = self._new_client()


def _nothing(*_args: object) -> None:
    return None
