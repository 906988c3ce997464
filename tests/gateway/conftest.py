"""Real parts, each started once a module and stopped at its end."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from edge_fakes import Broker
from edge_rig import FakeRegistry, Follower, GatewayProcess, MockKafka, Publisher

from gateway.bench.mosquitto import Mosquitto, binary


class Edge:
    """A broker, a Kafka and a registry, ready for gateways."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mosquitto = Mosquitto(folder / "mosquitto")
        self.kafka = MockKafka()
        self.registry = FakeRegistry()
        self.follower = Follower(self.kafka.bootstrap)
        self.publisher = Publisher(self.mosquitto.port)
        self.gateways: list[GatewayProcess] = []

    def gateway(self, extra: str = "", *, name: str = "gw") -> GatewayProcess:
        made = GatewayProcess(
            self.folder / name, self.mosquitto.url, self.kafka.bootstrap, self.registry.url, extra
        )
        self.gateways.append(made)
        return made

    def stop(self) -> None:
        for gateway in self.gateways:
            gateway.end(9)
            gateway.log.close()
        self.publisher.stop()
        self.follower.stop()
        self.registry.stop()
        self.kafka.stop()
        self.mosquitto.stop()


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[Edge]:
    if binary() is None:
        pytest.skip("no mosquitto; apt-get install mosquitto")
    made = Edge(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def broker() -> Iterator[Broker]:
    made = Broker()
    yield made
    made.stop()
