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
import time
from collections import deque
from typing import Any

from paho.mqtt.client import Client, ConnectFlags
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from gateway import endpoint as ends
from gateway.clock import Steady
from gateway.endpoint import Endpoint, Order
from gateway.message import MQTT_5, UNSYNCED, Arrivals, Chunk
from gateway.pacing import GATHER_S, LOOKUP_S, Trouble, backoff_s, gathers
from gateway.receiver import Receiver, Stamp
from gateway.subscriptions import Subscriptions
from gateway.wake import Wake

_log = logging.getLogger("tidegate.gateway.mqtt")
_UNSUPPORTED_VERSION, _MOST_WAITING = "Unsupported protocol version", 1000
# How often one may hang up on CONNECT; who has answered before is more likely down than old.
_OF_A_STRANGER, _OF_ONE_KNOWN = 2, 20


class Connection:
    """One MQTT session over many connections; for one thread, where it does not say otherwise.

    ``epoch`` numbers connections: it grows whenever one is made or lost. ``resumes`` is the number
    of the one before the present, if the broker has kept the session since.
    """

    def __init__(self, endpoint: Endpoint, filters: list[str], *, stale: list[str]) -> None:
        """Prepare, without connecting.

        Args:
            endpoint: where to connect.
            filters: what to subscribe to.
            stale: filters a former configuration subscribed to and this one does not want.
        """
        self._endpoint = endpoint
        self._wants = Subscriptions(filters, stale)
        self._orders: deque[Order] = deque()
        self._outbox: deque[tuple[str, bytes]] = deque(maxlen=_MOST_WAITING)
        self._renew = False
        self._steady = Steady()
        self._wake = Wake()
        self._version = MQTTProtocolVersion.MQTTv5
        self._trouble = Trouble(_log, endpoint.name)
        self._attempt = 0
        self._try_at = 0.0
        self._hang_ups_left = _OF_A_STRANGER
        self._answered = False
        self._last_epoch: int | None = None
        self._inbox: list[Chunk] = []
        self._mids: list[int] = []
        self._last_count = 0
        self.epoch = 0
        self.resumes: int | None = None
        self.connected = False
        self.subscribed = False
        self.stale_acks = 0
        self.connects = 0
        self.dialing_until_s = 0.0
        self._client = self._new_client()

    @property
    def cause(self) -> str:
        """Return why it is not connected, as far as is known."""
        return self._trouble.cause

    @property
    def gathers(self) -> bool:
        """Return whether it lets messages gather before it reads them.

        How many the broker sends ahead is known in MQTT 5 alone.
        """
        v5 = self._version == MQTTProtocolVersion.MQTTv5
        return v5 and gathers(self._last_count, self._endpoint.receive_maximum)

    @property
    def settled(self) -> bool:
        """Return whether the broker has confirmed the filters that are wanted now."""
        return self.connected and not self._orders and self._wants.settled

    def adopt(self, endpoint: Endpoint, filters: list[str], *, reconnect: bool) -> None:
        """Use these instead of what it was made with; for any thread.

        Filters change on the present connection. The endpoint, with its password and its
        certificates, counts from the next one on, which ``reconnect`` makes at once.
        """
        self._orders.append(Order(endpoint, filters, reconnect))
        self._wake.set()

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish at QoS 0 once there is a connection; for any thread. The oldest make room."""
        self._outbox.append((topic, payload))
        self._wake.set()

    def take(self, wait_s: float, *, synced: bool, reading: bool = True) -> Arrivals | None:
        """Run the connection for one turn and return what came, at most ``wait_s`` later.

        ``synced``: is the gateway's clock to be trusted now; ``reading``: is there room for more.
        """
        while self._orders:
            self._obey(self._orders.popleft())
        sock = self._client.socket()
        if sock is None:
            self._connect_when_due(wait_s)
            return None
        while self._outbox and self.connected:
            self._client.publish(*self._outbox.popleft())
        writers = [sock] if self._client.want_write() else []
        readers: list[Any] = [sock, self._wake] if reading else [self._wake]
        pending = reading and self._receiver.pending
        readable, writable, _ = select.select(readers, writers, [], 0 if pending else wait_s)
        if self._wake in readable:
            self._wake.clear()
        if pending or sock in readable:
            if self.gathers:
                time.sleep(GATHER_S)
            self._read(0 if synced else UNSYNCED)
        if writable:
            self._client.loop_write()
        self._client.loop_misc()
        return self._taken()

    def ack(self, epoch: int, mids: list[int]) -> bool:
        """Write PUBACKs in this order, on their own connection alone; say if any may have left."""
        if epoch != self.epoch or not self.connected:
            self.stale_acks += len(mids)
            return False
        self._receiver.acknowledge(mids)
        self._client.loop_write()
        return True

    def wake(self) -> None:
        """End the present wait of ``take``; for any thread."""
        self._wake.set()

    def restart(self) -> None:
        """Connect anew, so that the broker sends again what was not acknowledged."""
        ends.say_goodbye(self._client)
        self._try_at = 0.0

    def close(self) -> None:
        """Say goodbye, so that the broker keeps the session and publishes no will."""
        ends.say_goodbye(self._client)
        self.connected = self.subscribed = False

    def _new_client(self) -> Client:
        client = ends.client(self._endpoint, self._version)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_unsubscribe = self._on_unsubscribe
        # With a write callback paho queues what it sends, and one loop_write sends it all.
        client.on_socket_register_write = lambda *_: None
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
        if self._renew:
            self._client = self._new_client()
            self._renew = False
        self._answered = False
        self.dialing_until_s = time.monotonic() + LOOKUP_S
        try:
            ends.dial(self._client, self._endpoint, self._version)
        finally:
            self.dialing_until_s = 0.0

    def _read(self, flags: int) -> None:
        if self._version == MQTTProtocolVersion.MQTTv5:
            flags |= MQTT_5
        ts = self._steady.shown(time.time_ns() // 1_000_000)
        stamp = Stamp(ts, time.monotonic_ns() // 1_000_000, flags)
        broken = self._receiver.read(stamp, self._inbox, self._mids)
        if broken:
            self._trouble.seen(f"disconnected: {broken}")

    def _taken(self) -> Arrivals | None:
        if not self._inbox:
            return None
        self._last_count = len(self._mids)
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
        self.resumes = self._last_epoch if flags.session_present else None
        self._last_epoch = self.epoch
        self.connects += 1
        self._hang_ups_left = _OF_ONE_KNOWN
        self.connected = True
        self._attempt = 0
        self._subscribe(client, self._wants.connected(session=flags.session_present))

    def _obey(self, order: Order) -> None:
        if order.endpoint != self._endpoint:
            if order.endpoint.name != self._endpoint.name:
                self._hang_ups_left = _OF_A_STRANGER
            self._endpoint, self._renew = order.endpoint, True
            self._trouble.about(order.endpoint.name)
            # What was refused before may be let in now.
            self._attempt, self._try_at = 0, 0.0
        added = self._wants.adopt(order.filters)
        if order.reconnect:
            self.restart()
        elif self.connected:
            self._subscribe(self._client, added)

    def _subscribe(self, client: Client, filters: list[str]) -> None:
        """Subscribe to filters; with none left to ask for, end the stale ones."""
        if filters:
            mid = client.subscribe([ends.subscription(f, self._version) for f in filters])[1]
            self._wants.asked(mid or 0, filters)
        elif self._wants.held:
            self.subscribed = True
            self._trouble.over()
            if stale := self._wants.ending():
                client.unsubscribe(stale)

    def _on_subscribe(
        self, client: Client, _data: Any, mid: int, reasons: list[ReasonCode], _properties: Any
    ) -> None:
        refused = self._wants.confirmed(mid, [reason.is_failure for reason in reasons])
        if refused:
            why = next(reason for reason in reasons if reason.is_failure)
            self._trouble.seen(f"subscription refused: {', '.join(refused)}: {why}")
            client.disconnect()
            return
        self._subscribe(client, [])

    def _on_unsubscribe(self, *_: object) -> None:
        self._wants.ended()

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
        """Some old brokers just hang up on MQTT 5: after a few such ends try the other version."""
        self._trouble.seen("no answer to CONNECT")
        self._hang_ups_left -= 1
        if not self._hang_ups_left:
            other = {5: MQTTProtocolVersion.MQTTv311, 4: MQTTProtocolVersion.MQTTv5}
            self._change_version(other[self._version])

    def _change_version(self, version: MQTTProtocolVersion) -> None:
        self._version = version
        self._hang_ups_left = _OF_A_STRANGER
        self._client = self._new_client()
