"""A Sparkplug node whose births are not known is asked for them, over the real broker."""

from pathlib import Path
from typing import Any

import pytest
from edge_rig import wait_for
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

pytestmark = pytest.mark.stack
ALIASED = Path(__file__).parent / "golden" / "sparkplug" / "alias-without-birth" / "payload"
ROUTE = '[[routes]]\ntopic = "spBv1.0/{site}/#"\npayload = "sparkplug"'


def test_data_of_a_node_without_a_birth_brings_a_request_for_one(edge: Any) -> None:
    gateway = edge.gateway(ROUTE)
    gateway.wait_ready()
    asked: list[tuple[str, bytes]] = []
    node = Client(CallbackAPIVersion.VERSION2, client_id="node")
    node.on_message = lambda _c, _d, message: asked.append((message.topic, message.payload))
    subscribed: list[int] = []
    node.on_subscribe = lambda *_: subscribed.append(1)
    node.connect("127.0.0.1", edge.mosquitto.port)
    node.loop_start()
    try:
        node.subscribe("spBv1.0/plant/NCMD/e1")
        wait_for("the node listens", lambda: subscribed)
        edge.publisher.publish("spBv1.0/plant/NDATA/e1", ALIASED.read_bytes())
        wait_for("a request", lambda: asked)
        ((topic, payload),) = asked
        assert topic == "spBv1.0/plant/NCMD/e1"
        assert b"Node Control/Rebirth" in payload
        wait_for("its dead letter", lambda: edge.follower.dead)
        assert [letter.reason for letter in edge.follower.dead] == ["MISSING"]
    finally:
        node.disconnect()
        node.loop_stop()
