"""A gateway process between real parts."""

import json
from typing import Any

import pytest
from edge_rig import wait_for

pytestmark = pytest.mark.stack


def test_what_is_published_arrives_with_every_field(edge: Any) -> None:
    gateway = edge.gateway()
    gateway.wait_ready()
    acked = set(edge.publisher.readings(2000))
    wait_for("all readings", lambda: len(edge.follower.readings) >= 2000)
    assert {(r.device_id, r.device_seq) for r in edge.follower.readings} == acked
    first = edge.follower.readings[0]
    assert (first.site, first.metric, first.unit, first.gateway_id) == (
        "plant",
        "temp",
        "degC",
        "gw1",
    )
    assert first.clock in ("SYNCED", "UNSYNCED"), "as the machine of the test says"
    assert not first.replayed
    wait_for("the spool to be empty", lambda: gateway.metric("tidegate_buffer_messages") == 0)
    assert json.loads(gateway.get("/readyz")[1]) == {"ready": True, "reasons": []}
    assert gateway.end() == 0, gateway.logged()
