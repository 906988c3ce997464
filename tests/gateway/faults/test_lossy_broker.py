"""T6, W3, W12: a broker killed that keeps nothing: no session, no message.

What it loses is its own; the oracle is what the gateway acknowledged to it, read off the wire.
"""

import signal
from collections.abc import Iterator
from typing import Any

import pytest
from edge_rig import GatewayProcess, seen, slow_disk, wait_for
from mqtt_wire import told
from tcp_proxy import Proxy

pytestmark = pytest.mark.stack
RECEIVED = "tidegate_mqtt_messages_received_total"
ACKNOWLEDGED = "tidegate_mqtt_messages_acknowledged_total"
CONNECTS = "tidegate_mqtt_connects_total"
STALE = "tidegate_mqtt_stale_acks_total"
KILLS, BEFORE, HELD, AFTER = 3, 300, 200, 20


def killed_while_commits_hang(edge: Any, gateway: GatewayProcess, start: int) -> None:
    """Lose the session with messages read and not committed; fewer come under the next one."""
    publisher, metric = edge.publisher, gateway.metric
    connects = metric(CONNECTS)
    list(publisher.readings(BEFORE, start=start))
    known = start + BEFORE
    wait_for("all on disk", lambda: metric(ACKNOWLEDGED) + metric(STALE) == known)
    with slow_disk(gateway):
        list(publisher.readings(HELD, start=start + BEFORE))
        wait_for("read", lambda: metric(RECEIVED) == known + HELD)
        edge.mosquitto.stop(signal.SIGKILL)
        edge.mosquitto.start()
        wait_for("a new session", lambda: metric(CONNECTS) == connects + 1)
        gateway.wait_ready()
        wait_for("the publisher's own connection", publisher.client.is_connected)
        list(publisher.readings(AFTER, start=start + BEFORE + HELD))
        wait_for("read", lambda: metric(RECEIVED) == known + HELD + AFTER)


@pytest.fixture
def proxy(edge: Any) -> Iterator[Proxy]:
    made = Proxy(edge.mosquitto.port)
    made.keeps = True
    yield made
    made.close()


def test_what_was_acknowledged_to_a_broker_that_lost_everything_is_in_kafka(
    edge: Any, proxy: Proxy
) -> None:
    """I3, I8: and nothing is acknowledged on a connection that did not bring it."""
    url = f"mqtt://127.0.0.1:{proxy.port}"
    gateway = GatewayProcess(edge.folder / "gw", url, edge.kafka.bootstrap, edge.registry.url)
    edge.gateways.append(gateway)
    gateway.wait_ready()
    each = BEFORE + HELD + AFTER
    for kill in range(KILLS):
        killed_while_commits_hang(edge, gateway, kill * each)
    wait_for("all that was read", lambda: len(seen(edge)) == KILLS * each)
    # What hung is acknowledged to nobody: its connection is gone.
    most = KILLS * (BEFORE + AFTER)
    wait_for("the last", lambda: sum(len(told(link).acknowledged) for link in proxy.links) >= most)
    found = [told(link) for link in proxy.links]
    assert [t.unsent for t in found] == [[]] * len(found)
    assert sum(len(t.acknowledged) for t in found) == most
    assert gateway.metric(STALE) == KILLS * HELD
    assert set.union(*(t.acknowledged for t in found)) <= seen(edge)
    assert edge.follower.dead == []
