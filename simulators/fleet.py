"""A seeded fleet of pumps on one clock: the same fleet and start give the same bytes."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from simulators.clock import DAY_MS, MINUTE_MS
from simulators.faults import Fault, kinds_for, scripted
from simulators.message import Message, merged
from simulators.pump import Sample, samples, traits
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
    step = fleet.interval_ms
    phase = random.Random(f"{fleet.seed}:phase:{pump}").randrange(step)
    phase -= phase % 1000 if step > 1000 else 0
    end = start_ms + round(fleet.days * DAY_MS) + fleet.closing_ms
    times = range(start_ms + phase, end, step)
    of = traits(fleet.seed, pump)
    for seq, sample in enumerate(samples(of, times, start_ms=start_ms, fault=fault)):
        yield _message(site, pump, seq, sample)


def _message(site: str, pump: int, seq: int, s: Sample) -> Message:
    name = pump_name(pump)
    values = (
        ("temperature", s.temperature),
        ("vibration_rms", s.vibration_rms),
        ("current", s.current),
        ("running", s.running),
    )
    payload = (
        f'{{"ts":{s.ts_ms},"seq":{seq},"temperature":{s.temperature!r},'
        f'"vibration_rms":{s.vibration_rms!r},"current":{s.current!r},"running":{s.running}}}'
    )
    return Message(
        s.ts_ms, f"machines/{site}/{name}", payload.encode(), f"{site}.{name}", seq, values
    )
