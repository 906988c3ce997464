"""The MQTT connection against a scripted broker: what goes over the wire, byte by byte."""

import socket
import struct
import time

import pytest
from edge_fakes import Broker
from edge_mqtt import (
    DISCONNECT,
    PINGREQ,
    PUBACK,
    SUBSCRIBE,
    UNSUBSCRIBE,
    arrive,
    connect,
    dial,
    endpoint,
    turn_until,
)

from gateway.endpoint import Endpoint
from gateway.message import MQTT_5, Arrivals
from gateway.mqtt import Connection
from gateway.net import Net
from gateway.packets import split


def test_connect_asks_for_a_session_that_lasts(broker: Broker) -> None:
    connection = Connection(endpoint(broker), ["t/+"], stale=[])
    body = connect(connection, broker)
    assert body[:7] == b"\x00\x04MQTT\x05"
    assert body[7] & 0x02 == 0, "clean start must be off"
    assert b"\x11" + struct.pack(">I", 3600) in body, "session expiry"
    assert b"\x21" + struct.pack(">H", 500) in body, "receive maximum"


def test_acks_go_out_in_the_order_of_receipt_and_only_when_told(broker: Broker) -> None:
    connection = Connection(endpoint(broker), ["t/+"], stale=[])
    connect(connection, broker)
    for mid in (7, 3, 9):
        broker.publish(mid)
    arrivals = arrive(connection, 3)
    assert broker.quiet()
    for part in arrivals:
        connection.ack(part.epoch, part.mids)
    assert [struct.unpack(">H", broker.read()[1][:2])[0] for _ in range(3)] == [7, 3, 9]


def test_a_stale_ack_is_never_written(broker: Broker) -> None:
    """The broker lost its session: the same packet ids now belong to other messages."""
    connection = Connection(endpoint(broker), ["t/+"], stale=[])
    connect(connection, broker)
    for mid in (1, 2, 3):
        broker.publish(mid, b"old")
    old = arrive(connection, 3)
    broker.hang_up()
    turn_until(connection, lambda: not connection.connected)
    connect(connection, broker)
    for mid in (1, 2, 3):
        broker.publish(mid, b"new")
    new = arrive(connection, 3)
    for part in old:
        connection.ack(part.epoch, part.mids)
    connection.take(0.02, synced=True)
    assert broker.quiet()
    assert connection.stale_acks == 3
    for part in new:
        connection.ack(part.epoch, part.mids)
    assert broker.read()[0] == PUBACK


def test_a_commit_that_ends_after_a_reconnect_acks_nothing(broker: Broker) -> None:
    """The same through the network loop, with the spool slower than the connection."""
    connection = Connection(endpoint(broker), ["t/+"], stale=[])
    held: list[Arrivals] = []

    class SlowSpool:
        waiting_bytes = 0

        def offer(self, arrivals: Arrivals) -> None:
            held.append(arrivals)

    from gateway.message import Done

    net = Net(connection, SlowSpool(), lambda: True)
    connect(connection, broker)
    broker.publish(1)
    until = time.monotonic() + 5
    while not held and time.monotonic() < until:
        net._turn(0.02)
    broker.hang_up()
    turn_until(connection, lambda: not connection.connected)
    connect(connection, broker)
    net.on_done(Done(held[0].epoch, held[0].mids))
    net._turn(0.02)
    assert broker.quiet()


def test_a_kept_session_is_not_subscribed_again(broker: Broker) -> None:
    connection = Connection(endpoint(broker), ["t/+"], stale=[])
    connect(connection, broker)
    broker.hang_up()
    turn_until(connection, lambda: not connection.connected)
    connect(connection, broker, session=True)
    connection.take(0.05, synced=True)
    assert broker.quiet()


def test_a_lost_session_is_subscribed_again(broker: Broker) -> None:
    connection = Connection(endpoint(broker), ["t/+"], stale=[])
    connect(connection, broker)
    broker.hang_up()
    turn_until(connection, lambda: not connection.connected)
    assert not connection.subscribed
    connect(connection, broker, session=False)


def test_a_new_process_subscribes_even_in_an_old_session_and_drops_stale_filters(
    broker: Broker,
) -> None:
    connection = Connection(endpoint(broker), ["t/+"], stale=["gone/#"])
    dial(connection, broker)
    broker.connack(session=True)
    turn_until(connection, lambda: connection.connected)
    connection.take(0.02, synced=True)
    kind, body = broker.read()
    assert (kind, b"t/+" in body) == (SUBSCRIBE, True)
    assert broker.quiet(), "a message would fall between two filters that overlap"
    broker.suback(body)
    turn_until(connection, lambda: connection.subscribed)
    connection.take(0.02, synced=True)
    kind, body = broker.read()
    assert (kind, b"gone/#" in body) == (UNSUBSCRIBE, True)


def test_a_broker_without_mqtt_5_is_spoken_to_in_3_1_1(broker: Broker) -> None:
    connection = Connection(endpoint(broker), ["t/+"], stale=[])
    assert dial(connection, broker)[6] == 5
    broker.connack(session=False, reason=1, v5=False)
    turn_until(connection, lambda: connection._version == 4)
    broker.hang_up()
    body = dial(connection, broker)
    assert (body[6], body[7] & 0x02) == (4, 0)
    broker.connack(session=False, v5=False)
    turn_until(connection, lambda: connection.connected)
    connection.take(0.02, synced=True)
    broker.suback(broker.read()[1], v5=False)
    broker.publish(5, v5=False)
    (arrivals,) = arrive(connection, 1)
    (only,) = arrivals.chunks
    assert (arrivals.mids, only.flags, split(only.packets, v5=False)) == (
        [5],
        0,
        [(0x32, b"t/a", b"1")],
    )


def test_a_broker_that_spoke_mqtt_5_is_down_when_it_hangs_up(broker: Broker) -> None:
    connection = Connection(endpoint(broker), ["t/+"], stale=[])
    connect(connection, broker)
    broker.hang_up()
    turn_until(connection, lambda: not connection.connected)
    for _ in range(4):
        assert dial(connection, broker)[6] == 5
        broker.hang_up()
        turn_until(connection, lambda: connection._client.socket() is None)


def test_a_broker_that_hangs_up_on_mqtt_5_is_tried_with_3_1_1(broker: Broker) -> None:
    connection = Connection(endpoint(broker), ["t/+"], stale=[])
    for _ in range(2):
        dial(connection, broker)
        broker.hang_up()
        turn_until(connection, lambda: connection._client.socket() is None)
    assert connection._version == 4


def test_a_refused_subscription_is_no_readiness(broker: Broker) -> None:
    connection = Connection(endpoint(broker), ["t/+"], stale=[])
    dial(connection, broker)
    broker.connack(session=False)
    turn_until(connection, lambda: connection.connected)
    connection.take(0.02, synced=True)
    broker.suback(broker.read()[1], b"\x87")
    turn_until(connection, lambda: "subscription refused" in connection.cause)
    assert not connection.subscribed


def test_first_deliveries_marked_dup_and_qos_0_are_taken(broker: Broker) -> None:
    connection = Connection(endpoint(broker), ["t/+"], stale=[])
    connect(connection, broker)
    broker.publish(1, flags=0x0A)
    broker.publish(0, flags=0)
    broker.publish(2, flags=0x03)
    found = arrive(connection, 3)
    chunks = [c for a in found for c in a.chunks]
    messages = [m for c in chunks for m in split(c.packets, v5=True)]
    assert [mid for a in found for mid in a.mids] == [1, 2]
    assert {c.flags for c in chunks} == {MQTT_5}
    assert messages == [(0x3A, b"t/a", b"1"), (0x30, b"t/a", b"1"), (0x33, b"t/a", b"1")]


def test_a_refused_connection_backs_off_and_says_why() -> None:
    probe = socket.create_server(("127.0.0.1", 0))
    port = probe.getsockname()[1]
    probe.close()
    connection = Connection(
        Endpoint("127.0.0.1", port, "gw", 30, 60, 10, None, None, None), ["t"], stale=[]
    )
    connection.take(0.01, synced=True)
    assert "Connection refused" in connection.cause
    assert connection._try_at > time.monotonic()


def test_a_wake_ends_the_wait(broker: Broker) -> None:
    connection = Connection(endpoint(broker), ["t/+"], stale=[])
    connect(connection, broker)
    connection.wake()
    began = time.monotonic()
    connection.take(5.0, synced=True)
    assert time.monotonic() - began < 1


def test_goodbye_is_said(broker: Broker) -> None:
    connection = Connection(endpoint(broker), ["t/+"], stale=[])
    connect(connection, broker)
    connection.close()
    assert broker.read()[0] == DISCONNECT


def test_a_half_open_connection_is_given_up_after_two_keepalives(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = [0.0]
    monkeypatch.setattr("paho.mqtt.client.time_func", lambda: time.monotonic() + ahead[0])
    connection = Connection(endpoint(broker), ["t/+"], stale=[])
    connect(connection, broker)
    ahead[0] = 31.0
    connection.take(0.02, synced=True)
    connection.take(0.02, synced=True)
    assert broker.read()[0] == PINGREQ
    assert connection.connected
    ahead[0] = 62.0
    connection.take(0.02, synced=True)
    assert not connection.connected


def test_what_is_to_be_published_waits_for_a_connection(broker: Broker) -> None:
    connection = Connection(endpoint(broker), ["t/+"], stale=[])
    connection.publish("spBv1.0/g/NCMD/e", b"rebirth")
    connect(connection, broker)
    connection.take(0.02, synced=True)
    connection.take(0.02, synced=True)
    kind, body = broker.read()
    assert (kind, body) == (3, b"\x00\x10spBv1.0/g/NCMD/e\x00rebirth")
