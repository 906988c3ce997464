"""Any order of what may happen to a gateway, as a state machine over the plant of ``edge_model``."""

import os
import shutil
import tempfile
from pathlib import Path

from edge_model import Plant
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

IN_CI = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
# 500 runs of some hundred steps each.
AT_FULL_SIZE = settings(IN_CI, max_examples=500, stateful_step_count=300)


class Machine(RuleBasedStateMachine):
    """Publishing, turns of each thread, and faults."""

    @initialize()
    def begin(self) -> None:
        shm = Path("/dev/shm")
        parent = shm if os.access(shm, os.W_OK) else None
        self.folder = Path(tempfile.mkdtemp(prefix="tidegate-model-", dir=parent))
        self.plant = Plant(self.folder)

    @rule(device=st.sampled_from(["a", "b"]), count=st.integers(1, 5))
    def publish(self, device: str, count: int) -> None:
        self.plant.publish(device, count)

    @rule()
    def net(self) -> None:
        self.plant.net_turn()

    @rule()
    def spool(self) -> None:
        self.plant.spool_turn()

    @rule(discard=st.booleans(), turns=st.integers(1, 4))
    def uplink(self, discard: bool, turns: int) -> None:
        for _ in range(turns):
            self.plant.uplink_turn(discard=discard)

    @rule(device=st.sampled_from(["a", "b"]), count=st.integers(1, 5))
    def live(self, device: str, count: int) -> None:
        self.plant.publish(device, count)
        self.plant.flow()

    @rule()
    def crash(self) -> None:
        self.plant.crash()

    @rule(session=st.booleans())
    def reconnect(self, session: bool) -> None:
        self.plant.broker.reconnect(session=session)

    @rule(deaf=st.booleans())
    def acknowledgements_are_lost(self, deaf: bool) -> None:
        self.plant.broker.deaf = deaf

    @rule(down=st.booleans())
    def kafka(self, down: bool) -> None:
        self.plant.kafka_down = down

    @rule(stuck=st.sampled_from([set(), {b"s.a"}, {b"s.b"}]))
    def partitions(self, stuck: set[bytes]) -> None:
        self.plant.stuck = stuck

    @rule(refusing=st.booleans())
    def authorisation(self, refusing: bool) -> None:
        self.plant.refusing = refusing

    @rule(full=st.booleans())
    def disk(self, full: bool) -> None:
        self.plant.spool.full = full

    @rule(jump_ms=st.sampled_from([-86_400_000, -5000, 60_000, 10 * 365 * 86_400_000]))
    def clock(self, jump_ms: int) -> None:
        self.plant.broker.jump_ms += jump_ms

    @invariant()
    def nothing_acknowledged_is_lost(self) -> None:
        if hasattr(self, "plant"):
            self.plant.check()

    def teardown(self) -> None:
        if hasattr(self, "plant"):
            try:
                self.plant.settle()
                self.plant.check()
                self.plant.check_kafka()
                assert self.plant.dead == 0
            finally:
                self.plant.spool.close()
                shutil.rmtree(self.folder)
