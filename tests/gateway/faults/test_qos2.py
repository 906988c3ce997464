"""W13: a publisher at QoS 2. The gateway subscribes at QoS 1, so nothing waits in memory alone."""

import random
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from edge_rig import GatewayProcess, Publisher, seen, slow_disk, wait_for
from mqtt_wire import told
from tcp_proxy import Proxy

from schemas.records import reading_key

pytestmark = pytest.mark.stack
RECEIVED = "tidegate_mqtt_messages_received_total"
KILLS, EACH, HELD = 5, 1000, 100


@pytest.fixture
def publisher(edge: Any) -> Iterator[Publisher]:
    made = Publisher(edge.mosquitto.port, qos=2)
    yield made
    made.stop()


@pytest.fixture
def proxy(edge: Any) -> Iterator[Proxy]:
    made = Proxy(edge.mosquitto.port)
    made.keeps = True
    yield made
    made.close()


def test_kills_lose_nothing_of_a_publisher_at_qos_2(
    edge: Any, proxy: Proxy, publisher: Publisher
) -> None:
    """I1, I3: what it completed arrives; what the gateway acknowledged, as the wire says, too."""
    url = f"mqtt://127.0.0.1:{proxy.port}"
    gateway = GatewayProcess(edge.folder / "gw", url, edge.kafka.bootstrap, edge.registry.url)
    edge.gateways.append(gateway)
    chance = random.Random(2)
    completed: set[tuple[str, int]] = set()
    for kill in range(KILLS):
        gateway.wait_ready()
        batch = publisher.readings(EACH, start=kill * EACH)
        completed.update(next(batch) for _ in range(chance.randrange(1, EACH)))
        with slow_disk(gateway):  # read and not committed, so not acknowledged either
            known = gateway.metric(RECEIVED)
            late = publisher.readings(HELD, start=KILLS * EACH + kill * HELD)
            completed.update(late)
            wait_for("read", lambda known=known: gateway.metric(RECEIVED) >= known + HELD)
            gateway.end(signal.SIGKILL)
        completed.update(batch)
        gateway.start()
    wait_for("all that was completed", lambda: completed <= seen(edge))
    found = [told(link) for link in proxy.links]
    assert [t.unsent for t in found] == [[]] * len(found)
    assert set.union(*(t.acknowledged for t in found)) <= seen(edge) == completed
    assert len({reading_key(r) for r in edge.follower.readings}) == KILLS * (EACH + HELD)
    assert edge.follower.dead == []
