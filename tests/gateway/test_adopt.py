"""A running connection takes over another configuration: filters live, an endpoint at the next."""

from edge_fakes import Broker
from edge_mqtt import (
    DISCONNECT,
    SUBSCRIBE,
    UNSUBSCRIBE,
    arrive,
    connect,
    dial,
    endpoint,
    turn_until,
)

from gateway.mqtt import Connection
from gateway.subscriptions import Subscriptions


def turns(connection: Connection) -> None:
    for _ in range(3):
        connection.take(0.01, synced=True)


def test_new_filters_are_subscribed_to_before_dropped_ones_end(broker: Broker) -> None:
    connection = Connection(endpoint(broker), ["t/+", "u/+"], stale=[])
    connect(connection, broker)
    epoch = connection.epoch
    connection.adopt(connection._endpoint, ["t/+", "v/+"], reconnect=False)
    assert not connection.settled
    turns(connection)
    kind, body = broker.read()
    assert (kind, b"v/+" in body, b"t/+" in body) == (SUBSCRIBE, True, False)
    assert broker.quiet()
    broker.suback(body)
    turn_until(connection, lambda: connection._wants.held)
    turns(connection)
    kind, body = broker.read()
    assert (kind, b"u/+" in body, b"t/+" in body) == (UNSUBSCRIBE, True, False)
    assert not connection.settled
    assert broker.link
    broker.link.sendall(bytes((0xB0, 4)) + body[:2] + b"\x00\x00")
    turn_until(connection, lambda: connection.settled)
    assert (connection.epoch, connection.connected) == (epoch, True), "the session went on"
    broker.publish(1)
    assert arrive(connection, 1)


def test_a_refused_new_filter_is_asked_for_again_after_a_reconnect(broker: Broker) -> None:
    connection = Connection(endpoint(broker), ["t/+"], stale=[])
    connect(connection, broker)
    connection.adopt(connection._endpoint, ["t/+", "no/+"], reconnect=False)
    turns(connection)
    broker.suback(broker.read()[1], b"\x87")
    turn_until(connection, lambda: not connection.connected)
    assert "subscription refused: no/+" in connection.cause
    body = connect(connection, broker, session=True)
    assert body
    assert connection.subscribed


def test_an_endpoint_counts_from_the_next_connection_on(broker: Broker) -> None:
    connection = Connection(endpoint(broker), ["t/+"], stale=[])
    connect(connection, broker)
    other = endpoint(broker)._replace(username="u", password="new")
    connection.adopt(other, ["t/+"], reconnect=False)
    turns(connection)
    assert connection.connected, "a password alone does not cost the connection"
    broker.hang_up()
    turn_until(connection, lambda: not connection.connected)
    assert b"\x00\x03new" in dial(connection, broker)


def test_a_reconnect_is_made_at_once_when_it_is_asked_for(broker: Broker) -> None:
    connection = Connection(endpoint(broker), ["t/+"], stale=[])
    connect(connection, broker)
    other = endpoint(broker)._replace(keepalive_s=77)
    connection.adopt(other, ["t/+"], reconnect=True)
    turns(connection)
    assert broker.read()[0] == DISCONNECT
    body = dial(connection, broker)
    assert body[8:10] == b"\x00\x4d"
    broker.connack(session=True)
    turn_until(connection, lambda: connection.subscribed)
    assert connection.resumes is not None


def test_another_broker_is_a_stranger(broker: Broker) -> None:
    connection = Connection(endpoint(broker), ["t/+"], stale=[])
    connect(connection, broker)
    other = Broker()
    try:
        connection.adopt(endpoint(other), ["t/+"], reconnect=True)
        turns(connection)
        for _ in range(2):
            assert dial(connection, other)[6] == 5
            other.hang_up()
            turn_until(connection, lambda: connection._client.socket() is None)
        assert dial(connection, other)[6] == 4
    finally:
        other.stop()


def test_while_away_another_configuration_waits_for_the_next_connection(broker: Broker) -> None:
    connection = Connection(endpoint(broker), ["t/+"], stale=[])
    connect(connection, broker)
    broker.hang_up()
    turn_until(connection, lambda: not connection.connected)
    connection._try_at = float("inf")
    connection.adopt(connection._endpoint, ["v/+"], reconnect=False)
    turns(connection)
    dial(connection, broker)
    broker.connack(session=True)
    turn_until(connection, lambda: connection.connected)
    turns(connection)
    kind, body = broker.read()
    assert (kind, b"v/+" in body) == (SUBSCRIBE, True)


def test_without_a_session_there_is_nothing_stale_to_end() -> None:
    wants = Subscriptions(["a"], ["old"])
    assert wants.connected(session=False) == ["a"]
    wants.asked(1, ["a"])
    assert wants.confirmed(1, [False]) == []
    assert (wants.settled, wants.ending()) == (True, [])


def test_a_filter_wanted_again_is_not_ended() -> None:
    wants = Subscriptions(["a", "b"], [])
    wants.asked(1, wants.connected(session=False))
    wants.confirmed(1, [False, False])
    assert wants.adopt(["a"]) == []
    assert wants.ending() == ["b"]
    assert wants.adopt(["a", "c", "b"]) == ["c", "b"]
    wants.ended()
    wants.asked(2, ["c", "b"])
    wants.confirmed(2, [False, False])
    assert wants.settled
