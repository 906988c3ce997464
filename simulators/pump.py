"""One pump: shifts and stops, load, heat, vibration, current, and what a fault adds to them.

A healthy pump is no flat line: it stops and starts every day, its load follows the hour, its
casing warms and cools, and it drifts slowly within what is harmless.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from math import exp, pi, sin, sqrt
from typing import NamedTuple

from simulators.clock import DAY_MS, HOUR_MS
from simulators.faults import HEALTHY, Fault

_NOISE_H = 0.06
"""Correlation time of the AR(1) noise: an hour's mean is steady, single samples are not."""
_WARMING_H = 4.0
"""Time constant of the casing."""
_REST_C = 48.0
"""Where a stopped casing would end: the liquid keeps it warm."""
_DAY_H = 24

Stops = Callable[[int], tuple[tuple[float, float], ...]]
"""When a pump stands still on a day of the run: (from, to) in hours UTC, in order."""


class Sample(NamedTuple):
    """What the pump measures at one time."""

    ts_ms: int
    temperature: float
    """Bearing housing, °C."""
    vibration_rms: float
    """Velocity, mm/s, 10-1000 Hz as in ISO 10816-3."""
    current: float
    """A."""
    running: int
    """1 while the motor turns, else 0."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What makes one pump differ from the next."""

    seed: str
    warm_c: float
    vibration: float
    amps: float
    drift_days: float
    drift_phase: float


def traits(seed: int, pump: int) -> Traits:
    """Draw a pump's traits."""
    name = f"{seed}:pump:{pump}"
    rng = random.Random(name)
    return Traits(
        seed=name,
        warm_c=rng.uniform(58, 63),
        vibration=rng.uniform(1.08, 1.32),
        amps=rng.uniform(17, 23),
        drift_days=rng.uniform(9, 20),
        drift_phase=rng.uniform(0, 2 * pi),
    )


@lru_cache(maxsize=256)
def stops(seed: str, day: int) -> tuple[tuple[float, float], ...]:
    """Return a pump's one or two stops on a day of the run, (from, to) in hours UTC.

    They last 15 to 30 minutes, in working hours.
    """
    rng = random.Random(f"{seed}:day:{day}")
    begins = [rng.uniform(8, 12), rng.uniform(13, 17)]
    if rng.random() < 0.5:
        begins.pop(rng.randrange(2))
    return tuple((begin, begin + rng.uniform(0.25, 0.5)) for begin in begins)


def hours_running(stopped: Stops, at_ms: int, start_ms: int) -> float | None:
    """Return for how many hours of this day the pump has run since a start; None if stopped."""
    day, rest = divmod(at_ms, DAY_MS)
    hour = rest / HOUR_MS
    ran_h: float = _DAY_H
    for begin, end in stopped(day - start_ms // DAY_MS):
        if begin <= hour < end:
            return None
        if hour >= end:
            ran_h = hour - end
    return ran_h


def load(at_ms: int) -> float:
    """Return the plant's load by the hour of the day, 0.85 to 1.15, highest at 14:00 UTC."""
    hour = at_ms % DAY_MS / HOUR_MS
    return 1 + 0.15 * sin(2 * pi * (hour - 8) / _DAY_H)


def samples(
    of: Traits,
    times_ms: range,
    *,
    start_ms: int,
    fault: Fault | None = None,
    stopped: Stops | None = None,
) -> Iterator[Sample]:
    """Yield a pump's samples at evenly spaced times; a pump that falls silent ends early.

    Args:
        of: the pump.
        times_ms: event times, ms.
        start_ms: where the simulated clock, and with it the fault's, starts.
        fault: what goes wrong with it.
        stopped: when it stands still; None for a healthy pump's own one or two `stops` a day.
    """
    stopped = stopped or partial(stops, of.seed)
    rng = random.Random(f"{of.seed}:noise")
    step_h = times_ms.step / HOUR_MS
    noise = _noise(rng, exp(-step_h / _NOISE_H))
    follow = 1 - exp(-step_h / _WARMING_H)
    casing = of.warm_c
    for at_ms in times_ms:
        at_h = (at_ms - start_ms) / HOUR_MS
        if fault is not None and fault.silent(at_h):
            return
        worn = fault.scale * fault.progress(at_h) if fault is not None else 0.0
        heat, shake, draw, flutter = next(noise)
        if fault is not None:
            worn *= 1 + fault.kind.flutter * flutter
        ran_h = hours_running(stopped, at_ms, start_ms)
        drift = sin(2 * pi * at_h / (24 * of.drift_days) + of.drift_phase)
        warm = _warm(of, at_ms, drift, fault, worn) if ran_h is not None else _REST_C
        casing += follow * (warm - casing)
        vibration, current = _moving(of, at_ms, ran_h, drift, fault, worn, shake, draw)
        yield Sample(
            at_ms,
            round(casing + 1.9 * heat, 2),
            round(vibration, 3),
            round(current, 2),
            int(ran_h is not None),
        )


def _noise(rng: random.Random, phi: float) -> Iterator[tuple[float, float, float, float]]:
    """Yield four AR(1) series x' = φx + √(1-φ²)e of unit variance."""
    kick = sqrt(1 - phi * phi)
    heat, shake, draw, flutter = (rng.gauss(0, 1) for _ in range(4))
    while True:
        yield heat, shake, draw, flutter
        heat = phi * heat + kick * rng.gauss(0, 1)
        shake = phi * shake + kick * rng.gauss(0, 1)
        draw = phi * draw + kick * rng.gauss(0, 1)
        flutter = phi * flutter + kick * rng.gauss(0, 1)


def _warm(of: Traits, at_ms: int, drift: float, fault: Fault | None, worn: float) -> float:
    """Return the temperature towards which a running casing goes, °C."""
    warm = of.warm_c + 5 * (load(at_ms) - 1) + 0.5 * drift
    return warm if fault is None else warm + worn * fault.kind.temperature * HEALTHY.temperature


def _moving(
    of: Traits,
    at_ms: int,
    ran_h: float | None,
    drift: float,
    fault: Fault | None,
    worn: float,
    shake: float,
    draw: float,
) -> tuple[float, float]:
    """Return vibration (mm/s) and current (A)."""
    if ran_h is None:
        return max(0.02, 0.1 + 0.01 * shake), 0.0
    more = load(at_ms) - 1
    starting = 0.6 * exp(-ran_h / 0.1)
    vibration = of.vibration + 0.5 * more + 0.08 * drift + 0.13 * shake + starting
    current = of.amps * (1 + 0.6 * more) + 0.5 * draw
    if fault is not None:
        vibration += worn * fault.kind.vibration_rms * HEALTHY.vibration_rms
        current += worn * fault.kind.current * HEALTHY.current
    return max(0.02, vibration), max(0.0, current)
