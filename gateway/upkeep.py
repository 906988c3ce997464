"""What the main thread looks after: the clock, certificates, and how reloading went."""

import logging
from collections import Counter
from typing import Literal

from gateway.certificates import Expiry
from gateway.clock import Steps, SystemClock
from gateway.stamps import Stamps

_log = logging.getLogger("tidegate.daemon")

What = Literal["config", "mqtt", "kafka"]
Result = Literal["ok", "refused"]


class Upkeep:
    """Counts and states that metrics show; changed by the main thread alone."""

    def __init__(self, clock: SystemClock, stamps: Stamps, version: str) -> None:
        """Take what is looked after, and the version of the configuration in force."""
        self.clock = clock
        self.stamps = stamps
        self.version = version
        self.steps = Steps()
        self.expiries = (Expiry("mqtt"), Expiry("kafka"))
        self.reloads: Counter[tuple[What, Result]] = Counter()

    def look(self, wall_ms: int, mono_ms: int) -> None:
        """Look at the clock and at what ends; both times are of the same moment."""
        step_ms = self.steps.look(wall_ms, mono_ms)
        if step_ms:
            _log.warning(
                "the system's clock was set by %+.1f s",
                step_ms / 1000,
                extra={"fields": {"step_ms": step_ms}},
            )
        if not self.stamps.settled and self.clock.synced():
            self.stamps.learn(wall_ms, mono_ms)
            _log.info("the clock is set; what came before it is sent with its true time")
        if self.clock.synced():
            for expiry in self.expiries:
                expiry.look(wall_ms / 1000)
