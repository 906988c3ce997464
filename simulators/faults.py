"""What is scripted to go wrong in the fleet, in sigma of the healthy running signal."""

import random
from dataclasses import dataclass
from math import floor
from typing import NamedTuple, TypedDict

from schemas.failure import BadConfig
from simulators.clock import HOUR_MS


class Sigma(NamedTuple):
    """Standard deviation of a healthy, warm, running pump, all of it: noise, load, day, drift."""

    temperature: float
    """K."""
    vibration_rms: float
    """mm/s."""
    current: float
    """A."""


HEALTHY = Sigma(temperature=2.0, vibration_rms=0.15, current=1.35)


class FaultKind(NamedTuple):
    """How one kind of fault shows: its worst offsets in sigma, and how it gets there."""

    temperature: float
    vibration_rms: float
    current: float
    ramp_h: float
    """Hours from onset to the worst."""
    hold_h: float
    """Hours at the worst until the pump is repaired."""
    power: float
    """Shape of the ramp: 1 straight, 2 slow at first."""
    flutter: float
    """Unsteadiness of the offset, a fraction of it."""
    falls_silent: bool = False
    """At its worst it sends nothing any more, instead of being repaired."""
    on_the_hour: float | None = None
    """The hour's fraction at which it sets in; None = at any time."""


KINDS: dict[str, FaultKind] = {
    "bearing_wear": FaultKind(6, 24, 1, ramp_h=96, hold_h=48, power=2, flutter=0.05),
    "cavitation": FaultKind(4, 15, -3, ramp_h=12, hold_h=60, power=1, flutter=0.12),
    "clog": FaultKind(7, 14, -5, ramp_h=36, hold_h=60, power=1, flutter=0.05),
    "imbalance": FaultKind(1, 12, 1, ramp_h=2, hold_h=46, power=1, flutter=0.03),
    "overheating": FaultKind(8, 0, 0, ramp_h=6, hold_h=42, power=1, flutter=0.05),
    # So quick that a rule over an hour hangs on the last minutes before the silence.
    "dies": FaultKind(
        6, 24, 1, ramp_h=2, hold_h=0, power=1, flutter=0.05, falls_silent=True, on_the_hour=0.2
    ),
}
STANDARD = ("bearing_wear", "cavitation", "clog")
"""What ``--faults N`` takes, in turn."""
# Onsets lie in the middle of the run, and a fault that would take longer than this is quicker.
_FIRST_ONSET, _ONSETS, _LONGEST = 0.35, 0.3, 0.3


class Told(TypedDict):
    """A fault as `simulate faults` lists it; sizes at the worst, in sigma by metric."""

    pump: str
    fault: str
    onset_ms: int
    worst_ms: int
    end_ms: int
    ends: str
    sigma: dict[str, float]


@dataclass(frozen=True, slots=True)
class Fault:
    """One pump's scripted fault; times are hours from the start of the simulated clock."""

    pump: int
    name: str
    onset_h: float
    worst_h: float
    end_h: float
    """Repaired, or silent, from here."""
    scale: float = 1.0
    """Its size, in that of its kind."""

    @property
    def kind(self) -> FaultKind:
        """How it shows."""
        return KINDS[self.name]

    def progress(self, at_h: float) -> float:
        """Return how much of the worst is reached: 0 before onset and after the end, else to 1."""
        if not self.onset_h <= at_h < self.end_h:
            return 0.0
        ramp = (at_h - self.onset_h) / (self.worst_h - self.onset_h)
        return float(min(1.0, ramp) ** self.kind.power)

    def silent(self, at_h: float) -> bool:
        """Whether the pump has stopped sending."""
        return self.kind.falls_silent and at_h >= self.end_h

    def told(self, pump: str, start_ms: int) -> Told:
        """Return the fault as `simulate faults` lists it."""
        return {
            "pump": pump,
            "fault": self.name,
            "onset_ms": start_ms + round(self.onset_h * HOUR_MS),
            "worst_ms": start_ms + round(self.worst_h * HOUR_MS),
            "end_ms": start_ms + round(self.end_h * HOUR_MS),
            "ends": "silent" if self.kind.falls_silent else "repaired",
            "sigma": {name: self.scale * getattr(self.kind, name) for name in Sigma._fields},
        }


def scripted(*, seed: int, pumps: int, names: tuple[str, ...], days: float) -> tuple[Fault, ...]:
    """Place one fault each on as many pumps, onsets spread over the middle of the run.

    Raises:
        BadConfig: there are more faults than pumps, or one of an unknown kind.
    """
    unknown = [name for name in names if name not in KINDS]
    if unknown:
        raise BadConfig(f"no fault {unknown[0]!r}; there are: {', '.join(KINDS)}")
    if len(names) > pumps:
        raise BadConfig(f"{len(names)} faults need as many pumps, and there are {pumps}")
    rng = random.Random(f"{seed}:faults")
    chosen = rng.sample(range(pumps), len(names))
    hours = days * 24
    faults = []
    for slot, (pump, name) in enumerate(zip(chosen, names, strict=True)):
        kind = KINDS[name]
        onset = hours * (_FIRST_ONSET + _ONSETS * (slot + rng.random()) / len(names))
        if kind.on_the_hour is not None:
            onset = floor(onset) + kind.on_the_hour
        shrink = min(1.0, _LONGEST * hours / (kind.ramp_h + kind.hold_h))
        worst = onset + kind.ramp_h * shrink
        faults.append(Fault(pump, name, onset, worst, worst + kind.hold_h * shrink))
    return tuple(faults)


def kinds_for(count: int) -> tuple[str, ...]:
    """Return the kinds of ``count`` standard faults."""
    return tuple(STANDARD[i % len(STANDARD)] for i in range(count))
