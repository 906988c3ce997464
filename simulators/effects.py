"""What sensors, clocks and delivery do to the readings of a machine that is well itself."""

import heapq
import random
from collections.abc import Callable, Iterator
from functools import cache, partial

from simulators.clock import DAY_MS, HOUR_MS, MINUTE_MS
from simulators.faults import HEALTHY
from simulators.fleet import payload
from simulators.message import Message
from simulators.pump import Sample, Stops, stops
from simulators.staging import JUMP_MS, Placed

LIMIT = 2.8
"""mm/s: where zone C of ISO 10816-3:2009 begins, machines of 15 to 300 kW on rigid supports."""
DOUBLED = 0.2
"""The share of messages delivered twice."""
LATEST_MS = 4000
"""A message is overtaken by those that come less than this after it."""

Measured = Iterator[Sample]
Sent = Iterator[Message]


def stuck(samples: Measured, at: Placed) -> Measured:
    """Repeat the last temperature before the onset."""
    last = None
    for s in samples:
        if at.onset_ms <= s.ts_ms < at.end_ms:
            last = s.temperature if last is None else last
            yield s._replace(temperature=last)
        else:
            last = s.temperature if s.ts_ms < at.onset_ms else last
            yield s


def drifting(samples: Measured, at: Placed, size: float) -> Measured:
    """Add to the temperature, more and more until the worst."""
    most = size * HEALTHY.temperature
    ramp = max(1, at.worst_ms - at.onset_ms)
    for s in samples:
        if at.onset_ms <= s.ts_ms < at.end_ms:
            off = most * min(1.0, (s.ts_ms - at.onset_ms) / ramp)
            yield s._replace(temperature=round(s.temperature + off, 2))
        else:
            yield s


def flapping(samples: Measured, at: Placed, size: float, rng: random.Random) -> Measured:
    """Let vibration change sides of the limit every 5 to 15 minutes, on the whole above it."""
    away = size * HEALTHY.vibration_rms
    above, until = False, at.onset_ms
    for s in samples:
        if not at.onset_ms <= s.ts_ms < at.end_ms:
            yield s
            continue
        while s.ts_ms >= until:
            above, until = not above, until + rng.randint(5 * MINUTE_MS, 15 * MINUTE_MS)
        level = LIMIT + (1.3 if above else -0.7) * away
        yield s._replace(vibration_rms=round(level + 0.1 * away * rng.uniform(-1, 1), 3))


def without_temperature(messages: Sent, at: Placed) -> Sent:
    """Leave the temperature out."""
    for m in messages:
        if at.onset_ms <= m.ts_ms < at.end_ms:
            rest = tuple(pair for pair in m.values if pair[0] != "temperature")
            yield m._replace(values=rest, payload=payload(m.ts_ms, m.seq, rest))
        else:
            yield m


def ahead(messages: Sent, at: Placed) -> Sent:
    """Stamp messages `JUMP_MS` ahead of the time when they are sent."""
    for m in messages:
        if at.onset_ms <= m.ts_ms < at.end_ms:
            wrong = m.ts_ms + JUMP_MS
            yield m._replace(ts_ms=wrong, payload=payload(wrong, m.seq, m.values), sent_ms=m.ts_ms)
        else:
            yield m


def doubled(messages: Sent, at: Placed, rng: random.Random) -> Sent:
    """Deliver some messages a second time, 1 to 30 s later."""

    def copies(m: Message) -> Iterator[int]:
        yield m.ts_ms
        if at.onset_ms <= m.ts_ms < at.end_ms and rng.random() < DOUBLED:
            yield m.ts_ms + rng.randint(1000, 30_000)

    return _delivered(messages, copies)


def overtaking(messages: Sent, at: Placed, rng: random.Random) -> Sent:
    """Delay each message by its own time below `LATEST_MS`."""

    def late(m: Message) -> Iterator[int]:
        inside = at.onset_ms <= m.ts_ms < at.end_ms
        yield m.ts_ms + (rng.randrange(LATEST_MS) if inside else 0)

    return _delivered(messages, late)


def _delivered(messages: Sent, times: Callable[[Message], Iterator[int]]) -> Sent:
    """Yield messages at the times they are delivered at, none before its event time, in order."""
    waiting: list[tuple[int, int, Message]] = []
    count = 0
    for m in messages:
        while waiting and waiting[0][0] <= m.ts_ms:
            yield heapq.heappop(waiting)[2]
        for at_ms in times(m):
            heapq.heappush(waiting, (at_ms, count, m._replace(sent_ms=at_ms)))
            count += 1
    while waiting:
        yield heapq.heappop(waiting)[2]


def rescheduled(seed: str, at: Placed, start_ms: int, rng: random.Random, *, cycles: bool) -> Stops:
    """Return a machine's stops: its own but for the time of the effect.

    There they are of 15 to 25 minutes after every 60 to 150, or none at all.
    """
    own = partial(stops, seed)
    planned: list[tuple[int, int]] = []
    now = at.onset_ms
    while cycles:
        begin = now + rng.randint(60, 150) * MINUTE_MS
        now = begin + rng.randint(15, 25) * MINUTE_MS
        if now > at.end_ms:
            break
        planned.append((begin, now))

    @cache
    def stopped(day: int) -> tuple[tuple[float, float], ...]:
        midnight = (start_ms // DAY_MS + day) * DAY_MS
        first, last = (at.onset_ms - midnight) / HOUR_MS, (at.end_ms - midnight) / HOUR_MS
        kept = [(begin, end) for begin, end in own(day) if end <= first or begin >= last]
        hours = (((b - midnight) / HOUR_MS, (e - midnight) / HOUR_MS) for b, e in planned)
        kept += [
            (max(0.0, begin), min(24.0, end)) for begin, end in hours if begin < 24 and end > 0
        ]
        return tuple(sorted(kept))

    return stopped
