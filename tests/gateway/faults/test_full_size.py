"""The figures that the gateway is held to, at full size, over a real Kafka. Minutes, not seconds.

T1: 200 kills -9 over a million readings. T4: four million readings of backlog. And the outage that
empties a broker's queue: 18 s without Kafka at 4000 messages a second, with room for 1000.
"""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_rig import prepare
from edge_load import FastPublisher, Ledger, killed
from edge_rig import GatewayProcess, wait_for
from stack_fixture import RunningStack, running_stack

from gateway.bench.mosquitto import Mosquitto, binary

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with running_stack(tmp_path_factory.mktemp("stack"), ["kafka", "registry"]) as running:
        prepare(running.endpoints, "tidegate.")
        yield running


@pytest.fixture
def edge(stack: RunningStack, tmp_path: Path) -> Iterator["Edge"]:
    if binary() is None:
        pytest.skip("no mosquitto; apt-get install mosquitto")
    made = Edge(stack, tmp_path)
    yield made
    made.stop()


class Edge:
    """A broker with room for 1000 messages, a gateway with a roomy spool, and the ledger."""

    def __init__(self, stack: RunningStack, folder: Path) -> None:
        self.stack = stack
        self.folder = folder
        self.mosquitto: Mosquitto | None = None
        self.ledger = Ledger(stack.endpoints.kafka_bootstrap)

    def start(self, *, queued: int = 10_000_000) -> GatewayProcess:
        ends = self.stack.endpoints
        self.mosquitto = Mosquitto(self.folder / "mosquitto", queued=queued)
        self.gateway = GatewayProcess(
            self.folder / "gw",
            self.mosquitto.url,
            ends.kafka_bootstrap,
            ends.registry_url,
            '[spool]\nquota = "3GiB"',
        )
        self.gateway.wait_ready()
        return self.gateway

    def kafka(self, number: int) -> None:
        pid = self.stack.part("kafka").pid
        assert pid is not None
        os.kill(pid, number)

    def stop(self) -> None:
        self.gateway.end(9)
        self.gateway.log.close()
        self.ledger.stop()
        if self.mosquitto is not None:
            self.mosquitto.stop()


def test_two_hundred_kills_over_a_million_readings(edge: Edge) -> None:
    """I1, I3, I5, I6: 0 lost, order kept, every duplicate under an equal key."""
    gateway = edge.start()
    assert edge.mosquitto is not None
    publisher = FastPublisher(edge.mosquitto, 1_000_000, 4500)
    killed(gateway, 200, random.Random(11))
    count = publisher.acknowledged(600)
    assert count == 1_000_000
    wait_for("all of them", lambda: edge.ledger.distinct == count, 300)
    duplicates = edge.ledger.records - count
    print(f"{duplicates} duplicates, {duplicates / 200:.0f} a kill")
    assert len(edge.ledger.keys) == count
    assert edge.ledger.in_order()
    # At most what was in flight and what 0.1 s of discards had not reached yet, kill by kill.
    assert duplicates / 200 < 12_000


def test_eighteen_seconds_without_kafka_lose_nothing_of_a_full_broker(edge: Edge) -> None:
    """T4, W2: the spool takes what the broker has no room for."""
    edge.start(queued=1000)
    assert edge.mosquitto is not None
    publisher = FastPublisher(edge.mosquitto, 180_000, 4000)
    wait_for("the load", lambda: edge.ledger.distinct > 20_000, 60)
    edge.kafka(signal.SIGSTOP)
    time.sleep(18)  # the outage itself
    edge.kafka(signal.SIGCONT)
    assert publisher.acknowledged(120) == 180_000
    wait_for("all of them", lambda: edge.ledger.distinct == 180_000, 120)
    assert edge.ledger.in_order()
    assert Counter(map(len, edge.ledger.seen.values())) == {3600: 50}


def test_four_million_readings_of_backlog_fit_a_small_memory_and_drain(edge: Edge) -> None:
    """T4, I10: 100 MB at any backlog, drained ten times faster than 5000 a second."""
    count = 4_000_000
    gateway = edge.start()
    assert edge.mosquitto is not None
    edge.kafka(signal.SIGSTOP)
    try:
        assert FastPublisher(edge.mosquitto, count, 0).acknowledged(600) == count
        acked = "tidegate_mqtt_messages_acknowledged_total"
        wait_for("all on disk", lambda: gateway.metric(acked) == count, 300)
        filled = gateway.rss_mb()
    finally:
        edge.kafka(signal.SIGCONT)
    delivered = "tidegate_gateway_messages_delivered_total"
    wait_for("Kafka again", lambda: gateway.metric(delivered) > 0, 120)
    begun, done = time.monotonic(), gateway.metric(delivered)
    wait_for("all delivered", lambda: gateway.metric(delivered) == count, 300)
    rate = (count - done) / (time.monotonic() - begun)
    print(f"RSS {filled:.0f} MB full, {gateway.rss_mb():.0f} MB drained, {rate:.0f} readings/s")
    assert gateway.rss_mb() <= 100
    wait_for("the ledger, a slower reader", lambda: edge.ledger.distinct == count, 900)
    assert rate >= 50_000 * 0.5, "half of the aim: the ledger reads along on the same two cores"
