"""T1, W1, W8 at their small size; ``test_full_size.py`` has two hundred kills over a million."""

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from edge_load import FastPublisher, Ledger, killed
from edge_rig import wait_for

pytestmark = pytest.mark.stack
COUNT, DEVICES, KILLS, RATE = 50_000, 50, 20, 3500


@pytest.fixture
def ledger(edge: Any) -> Iterator[Ledger]:
    made = Ledger(edge.kafka.bootstrap)
    yield made
    made.stop()


def test_twenty_kills_lose_nothing_and_repeat_only_equal_keys(edge: Any, ledger: Ledger) -> None:
    """I1, I3, I5, I6: the broker keeps what the gateway did not acknowledge."""
    gateway = edge.gateway()
    gateway.wait_ready()
    publisher = FastPublisher(edge.mosquitto, COUNT, RATE)
    killed(gateway, KILLS, random.Random(5))
    assert publisher.acknowledged(60) == COUNT
    wait_for("all of them", lambda: ledger.distinct >= COUNT, 60)
    assert Counter(map(len, ledger.seen.values())) == {COUNT // DEVICES: DEVICES}
    assert len(ledger.keys) == COUNT
    assert ledger.in_order()
    duplicates = ledger.records - COUNT
    print(f"{duplicates} duplicates, {duplicates / KILLS:.0f} a kill")
    assert duplicates > 0, "no kill had anything to lose"
    assert edge.follower.dead == []
