"""A seeded fleet of pumps on one clock: the same fleet and start give the same bytes."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from simulators.clock import DAY_MS, MINUTE_MS
from simulators.faults import Fault, kinds_for, scripted
from simulators.message import Message, merged
from simulators.pump import Sample, Stops, samples, traits
from simulators.series import CLOSING_MS


@dataclass(frozen=True, slots=True)
class Fleet:
    """What is simulated; equal fleets behave equally."""

    pumps: int = 20
    faults: tuple[str, ...] = kinds_for(3)
    """Kinds of the scripted faults, one pump each."""
    days: float = 30
    interval_ms: int = 5 * MINUTE_MS
    seed: int = 7
    closing_ms: int = CLOSING_MS

    @property
    def span_ms(self) -> int:
        """How long after the start the last closing message comes, at most."""
        return round(self.days * DAY_MS) + self.closing_ms


def pump_name(pump: int) -> str:
    """Return a pump's name as a device: ``pump-01`` is the first."""
    return f"pump-{pump + 1:02}"


def scenarios(fleet: Fleet) -> tuple[Fault, ...]:
    """Return what is scripted for a fleet, by pump.

    Raises:
        BadConfig: more faults than pumps, or an unknown kind.
    """
    faults = scripted(seed=fleet.seed, pumps=fleet.pumps, names=fleet.faults, days=fleet.days)
    return tuple(sorted(faults, key=lambda fault: fault.pump))


def fleet_messages(site: str, *, start_ms: int, fleet: Fleet | None = None) -> Iterator[Message]:
    """Yield the fleet's messages on ``machines/{site}/{device}``, four readings each.

    Each pump has its own place in the interval, as in a plant. Messages start at ``start_ms``
    and go on for ``fleet.closing_ms`` after the last day, healthy, so that its windows close; a
    pump that fell silent stays silent.
    """
    fleet = fleet or Fleet()
    faulty = {fault.pump: fault for fault in scenarios(fleet)}
    return merged(
        *(_pump(site, start_ms, fleet, pump, faulty.get(pump)) for pump in range(fleet.pumps))
    )


def _pump(
    site: str, start_ms: int, fleet: Fleet, pump: int, fault: Fault | None
) -> Iterator[Message]:
    return pump_messages(site, pump, pump_samples(fleet, pump, start_ms=start_ms, fault=fault))


def pump_samples(
    fleet: Fleet,
    pump: int,
    *,
    start_ms: int,
    fault: Fault | None = None,
    stopped: Stops | None = None,
) -> Iterator[Sample]:
    """Yield a pump's samples from its place in the first interval to the end of closing."""
    step = fleet.interval_ms
    phase = random.Random(f"{fleet.seed}:phase:{pump}").randrange(step)
    phase -= phase % 1000 if step > 1000 else 0
    times = range(start_ms + phase, start_ms + fleet.span_ms, step)
    of = traits(fleet.seed, pump)
    return samples(of, times, start_ms=start_ms, fault=fault, stopped=stopped)


def pump_messages(site: str, pump: int, measured: Iterable[Sample]) -> Iterator[Message]:
    """Yield a message for each sample."""
    name = pump_name(pump)
    topic, device_id = f"machines/{site}/{name}", f"{site}.{name}"
    for seq, s in enumerate(measured):
        values = (
            ("temperature", s.temperature),
            ("vibration_rms", s.vibration_rms),
            ("current", s.current),
            ("running", s.running),
        )
        yield Message(s.ts_ms, topic, payload(s.ts_ms, seq, values), device_id, seq, values)


def payload(ts_ms: int, seq: int, values: tuple[tuple[str, float], ...]) -> bytes:
    """Return a pump's message: a flat JSON object of the time, the sequence and its metrics."""
    told = ",".join([f'"{metric}":{value!r}' for metric, value in values])
    return f'{{"ts":{ts_ms},"seq":{seq},{told}}}'.encode()
