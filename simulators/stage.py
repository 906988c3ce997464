"""The messages of a staging: machines, what happens to them, and how it is delivered."""

import random
from collections.abc import Iterator

from simulators import effects
from simulators.fleet import pump_messages, pump_samples
from simulators.message import Message, merged
from simulators.pump import Sample, traits
from simulators.scenario import Effect
from simulators.staging import Placed, Staging, fault, placed


def staged_messages(site: str, *, start_ms: int, staging: Staging) -> Iterator[Message]:
    """Yield a staging's messages in order of sending, as `fleet.fleet_messages` does its fleet's.

    A healthy staging's are those of a fleet without faults, to the byte.
    """
    return merged(*(_machine(site, start_ms, staging, each) for each in range(staging.fleet.pumps)))


def _machine(site: str, start_ms: int, staging: Staging, machine: int) -> Iterator[Message]:
    at = placed(staging, machine, start_ms)
    if at is None:
        own = pump_samples(staging.fleet, machine, start_ms=start_ms)
        return pump_messages(site, machine, own)
    return _disturbed(site, start_ms, staging, machine, at)


def _disturbed(
    site: str, start_ms: int, staging: Staging, machine: int, at: Placed
) -> Iterator[Message]:
    effect, fleet = staging.scenario.effect, staging.fleet
    seed = traits(fleet.seed, machine).seed
    rng = random.Random(f"{seed}:effect")
    stopped = None
    if effect in ("cycles", "flaps"):
        stopped = effects.rescheduled(seed, at, start_ms, rng, cycles=effect == "cycles")
    samples = pump_samples(
        fleet,
        machine,
        start_ms=start_ms,
        fault=fault(staging, machine, at, start_ms),
        stopped=stopped,
    )
    measured = _measured(samples, effect, at, staging.size or 0.0, rng)
    return _sent(pump_messages(site, machine, measured), effect, at, rng)


def _measured(
    samples: Iterator[Sample], effect: Effect, at: Placed, size: float, rng: random.Random
) -> Iterator[Sample]:
    match effect:
        case "stuck":
            return effects.stuck(samples, at)
        case "drift":
            return effects.drifting(samples, at, size)
        case "flaps":
            return effects.flapping(samples, at, size, rng)
        case _:
            return samples


def _sent(
    messages: Iterator[Message], effect: Effect, at: Placed, rng: random.Random
) -> Iterator[Message]:
    match effect:
        case "drops_out":
            return effects.without_temperature(messages, at)
        case "jumps":
            return effects.ahead(messages, at)
        case "doubles":
            return effects.doubled(messages, at, rng)
        case "overtakes":
            return effects.overtaking(messages, at, rng)
        case _:
            return messages
