"""T7, W9: a network that delays, stalls, cuts in the middle of a packet, or goes dumb unnoticed."""

import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from edge_rig import GatewayProcess, first_order, seen, wait_for
from tcp_proxy import Proxy, Weather

from schemas.records import reading_key

pytestmark = pytest.mark.stack
KEEPALIVE_S = 5.0
PAUSE_S = 1.0  # before it connects again
CUTS, FAULTS = 4, 5
ACKNOWLEDGED = "tidegate_mqtt_messages_acknowledged_total"
CONNECTS = "tidegate_mqtt_connects_total"


class Load:
    """A gateway with a proxy before its broker or its Kafka, and what was sent to it."""

    def __init__(self, edge: Any, proxy: Proxy, gateway: GatewayProcess) -> None:
        self.edge = edge
        self.proxy = proxy
        self.gateway = gateway
        self.acked: set[tuple[str, int]] = set()

    def send(self, count: int) -> None:
        self.acked.update(self.edge.publisher.readings(count, start=len(self.acked)))

    def suffer(self, enough: Callable[[], bool]) -> None:
        """Send until there was enough trouble on the way."""
        for _ in range(60):
            self.send(200)
            self.arrived()
            if enough():
                return
        raise AssertionError("the network was too good")

    def arrived(self, seconds: float = 60) -> None:
        wait_for("all", lambda: self.acked <= seen(self.edge), seconds)

    def far_away(self) -> None:
        self.proxy.weather = Weather(delay_s=0.25)
        self.send(1000)
        self.arrived()
        self.proxy.weather = Weather()

    def cut_off(self, most_bytes: int) -> None:
        """Reset several connections in a row, each in the middle of what passes."""
        chance, proxy = random.Random(3), self.proxy
        proxy.cut_after = lambda: chance.randrange(300, most_bytes) if proxy.cuts < CUTS else None
        for link in proxy.links:
            link.cut()
        self.suffer(lambda: proxy.cuts >= CUTS)

    def lossy(self) -> None:
        proxy, before = self.proxy, self.proxy.cuts + self.proxy.stalls
        proxy.weather = Weather(piece=1400, cut_share=0.02, stall_share=0.02, stall_s=0.2)
        self.suffer(lambda: proxy.cuts + proxy.stalls >= before + FAULTS)
        proxy.weather = Weather()

    def judge(self) -> None:
        """I3, I5, I6: nothing lost, in order, and what came twice is the same reading."""
        assert seen(self.edge) == self.acked
        assert len({reading_key(r) for r in self.edge.follower.readings}) == len(self.acked)
        for device, order in first_order(self.edge).items():
            assert order == sorted(order), device
        assert self.edge.follower.dead == []
        assert "Traceback" not in self.gateway.logged()


@pytest.fixture
def to_broker(edge: Any) -> Iterator[Load]:
    proxy = Proxy(edge.mosquitto.port, seed=7)
    url = f"mqtt://127.0.0.1:{proxy.port}"
    gateway = GatewayProcess(edge.folder / "gw", url, edge.kafka.bootstrap, edge.registry.url)
    edge.gateways.append(gateway)
    gateway.wait_ready()
    yield Load(edge, proxy, gateway)
    proxy.close()


@pytest.fixture
def to_kafka(edge: Any) -> Iterator[Load]:
    """The mock cluster names the proxy as its address, to the gateway alone: the follower knows."""
    gateway = edge.gateway()
    gateway.wait_ready()
    direct = int(edge.kafka.bootstrap.rpartition(":")[2])
    proxy = Proxy(direct, seed=7)
    load = Load(edge, proxy, gateway)
    load.send(8)
    load.arrived()
    gateway.end()
    edge.kafka.tell(f"advertise {proxy.port}")
    text = gateway.config.read_text()
    settings = '[kafka.librdkafka]\n"request.timeout.ms" = 2000\n"socket.timeout.ms" = 2500\n'
    text = text.replace(edge.kafka.bootstrap, f"127.0.0.1:{proxy.port}")
    gateway.config.write_text(text.replace("[registry]", settings + "[registry]"))
    gateway.start()
    gateway.wait_ready()
    yield load
    proxy.close()


def test_a_bad_way_to_the_broker_loses_nothing(to_broker: Load) -> None:
    to_broker.far_away()
    assert to_broker.gateway.metric(CONNECTS) == 1
    to_broker.cut_off(most_bytes=30_000)
    assert to_broker.gateway.metric(CONNECTS) > CUTS
    to_broker.lossy()
    to_broker.judge()


def test_a_broker_gone_dumb_is_left_after_two_keepalives(to_broker: Load) -> None:
    to_broker.send(200)
    to_broker.arrived()
    to_broker.proxy.go_dumb()
    began = time.monotonic()
    to_broker.send(800)
    wait_for("another connection", lambda: to_broker.gateway.metric(CONNECTS) == 2, 30)
    assert time.monotonic() - began < 2 * KEEPALIVE_S + PAUSE_S
    to_broker.arrived()
    to_broker.judge()


def test_a_bad_way_to_kafka_loses_nothing(to_kafka: Load) -> None:
    to_kafka.far_away()
    to_kafka.cut_off(most_bytes=5000)
    to_kafka.lossy()
    to_kafka.proxy.go_dumb()
    to_kafka.send(500)
    acked = to_kafka.gateway.metric
    wait_for("on disk", lambda: acked(ACKNOWLEDGED) + 8 >= len(to_kafka.acked))
    to_kafka.arrived()
    to_kafka.judge()
