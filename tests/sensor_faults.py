"""Sensors that fail: seeded faults put into series that are well, and what the checks made of them."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median, pstdev
from typing import NamedTuple

from rule_builders import DAY, HOUR, MINUTE

from schemas.records import Alert
from simulators.clock import parse_time
from simulators.faults import HEALTHY
from simulators.stage import staged_messages
from simulators.staging import staged
from stream.backtest import Points, Series, read_series, run
from stream.rule import Rules

KINDS = ("stuck", "range", "no_data", "drift")
SHIPPED = Path("simulators/data/nab").resolve()
MEASURED = (
    "cpu_utilization_asg_misconfiguration", "ec2_request_latency_system_failure",
    "machine_temperature_system_failure",
)  # fmt: skip
"""The shipped series of every 5 minutes that are measured, and do not count what people do.

A drift of days is too quick for a sensor of every hour: it is found within some 200 readings.
"""
START = parse_time("2026-01-05")
LIMITS = {
    "temperature": (-20.0, 120.0),
    "vibration_rms": (0.0, 20.0),
    "current": (-1.0, 60.0),
    "value": (-1e3, 1e6),
}
"""What the sensor of a metric can say at all."""
RANGE = "\n".join(
    f"""  - name: limits_{metric}
    match: {{metric: {metric}}}
    checks: {{range: {{lo: {lo}, hi: {hi}}}}}"""
    for metric, (lo, hi) in LIMITS.items()
)
_LEARNED, _LONGEST = 7 * DAY, 3 * DAY
"""Drift is learned over four days of running, which take five or six; no fault takes three days."""
_DAYS = 12


class Fault(NamedTuple):
    """What was done to a series, from the first reading that differs to the last, ms."""

    kind: str
    device_id: str
    metric: str
    start: int
    end: int

    def met(self, alerts: Iterable[Alert]) -> bool:
        """Say whether a check of that kind fired while the fault lasted."""
        return any(self._fits(a) and self.start <= a.starts_at <= self.end for a in alerts)

    def explains(self, alert: Alert) -> bool:
        """Say whether an alert is of this fault: a day later it is not."""
        return self._fits(alert) and self.start <= alert.starts_at <= self.end + DAY

    def _fits(self, alert: Alert) -> bool:
        return (alert.device_id, alert.metric, alert.labels["check"]) == (
            self.device_id, self.metric, self.kind,
        )  # fmt: skip


class Tally(NamedTuple):
    """How many faults of each kind there were and were met; alerts that no fault explains;
    faults that were not met."""

    given: Counter[str]
    met: Counter[str]
    false: list[Alert]
    missed: list[Fault]

    def recall(self, kind: str) -> float:
        return self.met[kind] / self.given[kind]


def machines(count: int, seed: int, interval_ms: int = 5 * MINUTE) -> Iterator[list[Series]]:
    """The series of healthy pumps that start and stop, a pump after the other."""
    for pump in range(count):
        found: dict[tuple[str, str], Points] = defaultdict(list)
        staging = staged(
            "healthy", machines=1, days=_DAYS, seed=seed * 10_000 + pump, interval_ms=interval_ms
        )
        for message in staged_messages(f"s{pump}", start_ms=START, staging=staging):
            for metric, value in message.values:
                found[message.device_id, metric].append((message.ts_ms, value))
        yield [Series(*of, points) for of, points in found.items()]


def recorded(pieces: int, seed: int) -> Iterator[list[Series]]:
    """Pieces of recorded series, with what is wrong with them: of 13 days."""
    rng = random.Random(seed)
    length = 13 * DAY // (5 * MINUTE)
    for series in read_series(SHIPPED):
        if series.device_id in MEASURED:
            for first in (rng.randrange(len(series.points) - length) for _ in range(pieces)):
                yield [series._replace(points=series.points[first : first + length])]


def injected(device: Sequence[Series], rng: random.Random) -> tuple[list[Series], list[Fault]]:
    """A device with a fault in each metric but `running`, of random kinds."""
    made, faults = [], []
    for each in device:
        if each.metric == "running":
            made.append(each)
            continue
        points, fault = _faulty(each, rng.choice(KINDS), rng)
        made.append(each._replace(points=points))
        faults.append(fault)
    return made, faults


def _faulty(each: Series, kind: str, rng: random.Random) -> tuple[Points, Fault]:
    """Put a fault of a kind into a series, while it goes on for three days at least."""
    # Recorded clocks repeat an hour in autumn.
    step = median(after - at for (at, _), (after, _) in pairwise(each.points))
    begin, stop = each.points[0][0] + _LEARNED, each.points[-1][0] - _LONGEST
    begin = max(begin, each.points[0][0] + 300 * step)
    hours = {"stuck": (3, 24), "range": (0.1, 1), "no_data": (1, 24), "drift": (60, 60)}[kind]
    least = {"stuck": 40, "no_data": 8}.get(kind, 2)
    while True:
        start = round(rng.uniform(begin, stop))
        lasts = max(round(rng.uniform(*hours) * HOUR), round(least * step))
        inside = [i for i, (at, _) in enumerate(each.points) if start <= at < start + lasts]
        whole = inside and len(inside) >= 0.9 * lasts / step
        if whole and len(inside) >= least - 1:
            break
    first, last = inside[0], inside[-1]
    points = list(each.points)
    if kind == "no_data":
        del points[first : last + 1]
    else:
        values = _values(each, kind, first, last, rng)
        points[first : last + 1] = [(points[i][0], values[i - first]) for i in inside]
    return points, Fault(kind, each.device_id, each.metric, start, start + lasts)


def _values(each: Series, kind: str, first: int, last: int, rng: random.Random) -> list[float]:
    old = [value for _, value in each.points[first : last + 1]]
    if kind == "stuck":
        return [each.points[first - 1][1]] * len(old)
    if kind == "range":
        lo, hi = LIMITS[each.metric]
        beyond = rng.choice([lo - rng.uniform(0.01, 50), hi + rng.uniform(0.01, 500)])
        return [beyond] * len(old)
    # Up by 8 to 15 sigma of the healthy signal within a day and a half, and there for a day.
    size, ramp = rng.uniform(8, 15) * _sigma(each), 0.6 * len(old)
    return [value + size * min(i / ramp, 1) for i, value in enumerate(old)]


def _sigma(each: Series) -> float:
    """The spread of what a drift of the sensor is told from."""
    if each.metric in HEALTHY._fields:
        return float(getattr(HEALTHY, each.metric))
    first = [value for at, value in each.points if at < each.points[0][0] + 4 * DAY]
    return pstdev(first)


def tally(rules: Rules, devices: Iterable[Sequence[Series]], seed: int) -> Tally:
    """Put faults into devices, run the rules over them, and count.

    What is there without the faults, too, is no false alert.
    """
    rng = random.Random(seed)
    found = Tally(Counter(), Counter(), [], [])
    for device in devices:
        series, faults = injected(device, rng)
        before = {a.alert_id for a in run(rules, device)} if len(device) == 1 else set()
        fired = [a for a in run(rules, series) if a.event == "FIRED"]
        missed = [fault for fault in faults if not fault.met(fired)]
        found.given.update(fault.kind for fault in faults)
        found.met.update(fault.kind for fault in faults if fault not in missed)
        found.missed.extend(missed)
        found.false.extend(
            a for a in fired
            if a.alert_id not in before and not any(fault.explains(a) for fault in faults)
        )  # fmt: skip
    return found
