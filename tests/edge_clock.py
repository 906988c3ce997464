"""A gateway process whose wall clock a test sets, as no test may set the machine's."""

import json
import sys
from pathlib import Path

from edge_rig import GatewayProcess

from schemas.files import replace

# The monotonic clock stays the system's; librdkafka, which is no Python, keeps the true time.
_PROGRAM = """
import json, pathlib, sys, time
import gateway.clock
config, place = map(pathlib.Path, sys.argv[1:])
real_ns, real_s = time.time_ns, time.time
told = lambda: json.loads(place.read_text())
time.time_ns = lambda: real_ns() + told()["shift_ms"] * 1_000_000
time.time = lambda: real_s() + told()["shift_ms"] / 1000
gateway.clock.clock_is_synced = lambda: told()["synced"]
import gateway.daemon
gateway.daemon.run(config)
"""


class WallClock:
    """How far the wall clock of gateways started by it is from the true time."""

    def __init__(self, folder: Path, shift_ms: int, *, synced: bool) -> None:
        self._place = folder / "clock"
        self.set(shift_ms, synced=synced)

    def set(self, shift_ms: int, *, synced: bool) -> None:
        """Step the clock, also of a gateway that runs; say whether a time daemon vouches for it."""
        self.shift_ms = shift_ms
        replace(self._place, json.dumps({"shift_ms": shift_ms, "synced": synced}))

    def boot(self, gateway: GatewayProcess) -> None:
        """Kill a gateway and start it under this clock."""
        gateway.end(9)
        gateway.command = [sys.executable, "-c", _PROGRAM, str(gateway.config), str(self._place)]
        gateway.start()
        gateway.wait_ready()
