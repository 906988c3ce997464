"""The private names of paho that the receiver stands on, and what it makes of a broken stream."""

from importlib.metadata import requires

import paho.mqtt
from edge_fakes import Broker
from edge_mqtt import connect, endpoint, turn_until
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from gateway.mqtt import Connection


def test_paho_is_pinned_to_the_version_whose_names_these_are() -> None:
    assert f"paho-mqtt=={paho.mqtt.__version__}" in (requires("tidegate") or [])


def test_paho_reads_its_socket_by_one_method_and_sends_what_is_queued() -> None:
    client = Client(CallbackAPIVersion.VERSION2)
    reads: list[int] = []

    def give(most: int) -> bytes:
        reads.append(most)
        raise BlockingIOError

    client._sock_recv = give  # type: ignore[method-assign,assignment]
    client._sock = object()  # type: ignore[assignment]
    client.loop_read()
    assert reads == [1]
    client.on_socket_register_write = lambda *_: None
    client._packet_queue(0x40, b"\x40\x02\x00\x01", 0, 0)
    assert client.want_write()
    assert isinstance(client._last_bytes_received, float)
    client._sock = None


def test_packets_of_paho_between_messages_are_paho_s(broker: Broker) -> None:
    connection = Connection(endpoint(broker), ["t/+"], stale=[])
    connect(connection, broker)
    assert broker.link
    publish = b"\x32\x08\x00\x03t/a\x00\x05\x00"
    # A PINGRESP that nobody asked for is no error, and the messages around it are one turn's.
    broker.link.sendall(publish + b"\xd0\x00" + publish + b"\xe0\x00")
    found = turn_until(connection, lambda: not connection.connected)
    assert found == [], "what a connection brought that has ended comes again on the next one"


def test_a_stream_that_is_no_mqtt_ends_the_connection_and_is_told(broker: Broker) -> None:
    connection = Connection(endpoint(broker), ["t/+"], stale=[])
    connect(connection, broker)
    assert broker.link
    broker.link.sendall(b"\x36\x05\x00\x01t\x00\x01")
    turn_until(connection, lambda: not connection.connected)
    assert "of another QoS than 0 and 1" in connection.cause


def test_a_large_message_comes_in_pieces_and_whole(broker: Broker) -> None:
    connection = Connection(endpoint(broker), ["t/+"], stale=[])
    connect(connection, broker)
    assert broker.link
    payload = bytes(3 << 20)
    length = 2 + 3 + 2 + 1 + len(payload)
    head = bytes(
        (
            0x32,
            length & 0x7F | 0x80,
            length >> 7 & 0x7F | 0x80,
            length >> 14 & 0x7F | 0x80,
            length >> 21,
        )
    )
    body = head + b"\x00\x03t/a\x00\x05\x00" + payload
    at, got = 0, []
    while at < len(body):
        at += broker.link.send(body[at : at + 100_000])
        arrivals = connection.take(0.0, synced=True)
        got += [arrivals] if arrivals else []
    got += turn_until(connection, lambda: not connection._receiver._tail)
    (arrivals,) = got
    assert [len(c.packets) for c in arrivals.chunks] == [len(body)]
