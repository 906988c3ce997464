"""A connection brought up against a scripted broker."""

import time
from collections.abc import Callable
from typing import Any

from edge_fakes import Broker

from gateway.endpoint import Endpoint
from gateway.message import Arrivals
from gateway.mqtt import Connection

CONNECT, PUBACK, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT = 1, 4, 8, 10, 12, 14


def endpoint(broker: Broker) -> Endpoint:
    return Endpoint("127.0.0.1", broker.port, "gw", 30, 3600, 500, None, None, None)


def turn_until(connection: Connection, done: Callable[[], Any]) -> list[Arrivals]:
    """Run the connection's loop until something is so; return what arrived meanwhile."""
    found: list[Arrivals] = []
    until = time.monotonic() + 10
    while not done():
        assert time.monotonic() < until, "the connection did not get there"
        arrivals = connection.take(0.02, synced=True)
        found += [arrivals] if arrivals else []
    return found


def arrive(connection: Connection, count: int) -> list[Arrivals]:
    found: list[Arrivals] = []
    until = time.monotonic() + 10
    while sum(c.messages for a in found for c in a.chunks) < count:
        assert time.monotonic() < until
        arrivals = connection.take(0.02, synced=True)
        found += [arrivals] if arrivals else []
    return found


def dial(connection: Connection, broker: Broker) -> bytes:
    """Let a connection come in; return the CONNECT's body."""
    connection._try_at = 0.0
    connection.take(0.02, synced=True)
    connection.take(0.02, synced=True)
    broker.accept()
    kind, body = broker.read()
    assert kind == CONNECT
    return body


def connect(connection: Connection, broker: Broker, *, session: bool = False) -> bytes:
    """Get a connection as far as it is subscribed; return the CONNECT's body."""
    body = dial(connection, broker)
    broker.connack(session=session)
    if not connection._wants.held or not session:
        turn_until(connection, lambda: connection.connected)
        connection.take(0.02, synced=True)
        kind, subscribe = broker.read()
        assert kind == SUBSCRIBE
        broker.suback(subscribe)
    turn_until(connection, lambda: connection.subscribed)
    return body
