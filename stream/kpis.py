"""How well people can live with the alerts: the measures of ISA-18.2 and IEC 62682.

An alert counts when it rings: once, with its first record. What only came to light later
(CORRECTED) has rung for nobody, but stands like any other. Times are event time, days are UTC.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from statistics import median
from typing import NamedTuple

from schemas.records import Alert, Severity

INTERVAL_MS = 600_000
DAY_MS = 86_400_000
FLOOD_BEGINS_ABOVE = 10
FLOOD_ENDS_BELOW = 5
CHATTER_CHANGES = 3
CHATTER_MS = 60_000
STANDING_MS = DAY_MS
BAD_ACTORS = 10
_RINGS = ("FIRED", "NO_DATA")


class Episode(NamedTuple):
    """One alert: on from ``on``, off at ``off`` (ms) if it is over; ``rang`` where it was told.

    ``acked`` is when somebody first acknowledged it, ms.
    """

    fingerprint: str
    severity: Severity
    on: int
    off: int | None
    rang: bool
    acked: int | None = None


class Flood(NamedTuple):
    """Intervals in a row with too many alerts to be read: [start, end), ms."""

    start: int
    end: int
    alerts: int


class Day(NamedTuple):
    """One day: alerts rung, the most in ten minutes, time in flood, and what stood at its end."""

    start: int
    alerts: int
    peak: int
    flood_ms: int
    chattering: int
    standing: int


class Actor(NamedTuple):
    """A rule on a series, how often it rang, and its share of all that rang."""

    fingerprint: str
    alerts: int
    share: float


class Kpis(NamedTuple):
    """The measures of a period [from_ms, to_ms).

    ``intervals`` has the alerts of each ten minutes in which one rang, by their start. ``mix`` is
    by severity as they rang. ``standing`` are the alerts over 24 h old at the period's end.
    ``acknowledged`` of those that rang were, the middle one ``median_ack_ms`` after it began.
    """

    from_ms: int
    to_ms: int
    alerts: int
    intervals: dict[int, int]
    floods: tuple[Flood, ...]
    days: tuple[Day, ...]
    chattering: tuple[str, ...]
    standing: tuple[Episode, ...]
    mix: dict[Severity, int]
    bad_actors: tuple[Actor, ...]
    acknowledged: int
    median_ack_ms: float | None


def rings(record: Alert) -> bool:
    """Say whether a record is the one with which an alert rings."""
    return record.seq == 0 and record.event in _RINGS


def episodes(records: Iterable[Alert]) -> list[Episode]:
    """Return one episode for each alert, in order of their starts; records in any order."""
    found: dict[str, dict[int, Alert]] = {}
    for each in records:
        found.setdefault(each.alert_id, {})[each.seq] = each
    made = []
    for own in found.values():
        first, last = own[min(own)], own[max(own)]
        rang = rings(first)
        off = last.ends_at
        acks = (each.acked_at for each in own.values() if each.acked_at is not None)
        acked = min(acks, default=None)
        made.append(Episode(first.fingerprint, first.severity, first.starts_at, off, rang, acked))
    return sorted(made, key=lambda each: (each.on, each.fingerprint))


def period(records: Sequence[Alert]) -> tuple[int, int]:
    """Return the whole ten-minute intervals that records lie in, [from, to) in ms; at least one."""
    times = [each.emitted_at for each in records] or [0]
    return _interval(min(times)), _interval(max(times)) + INTERVAL_MS


def kpis(every: Sequence[Episode], from_ms: int, to_ms: int) -> Kpis:
    """Measure a period.

    Args:
        every: all alerts that may be on in it, those of before, too.
        from_ms: its start.
        to_ms: its end, later.
    """
    rung = [each for each in every if each.rang and from_ms <= each.on < to_ms]
    intervals = dict(sorted(Counter(_interval(each.on) for each in rung).items()))
    floods = tuple(_floods(intervals, from_ms, to_ms))
    chatter = _chatter(every, from_ms, to_ms)
    long = [each for each in every if each.off is None or each.off - each.on > STANDING_MS]
    days = tuple(_days(intervals, floods, chatter, long, (from_ms, to_ms)))
    actors = Counter(each.fingerprint for each in rung)
    worst = sorted(actors.items(), key=lambda pair: (-pair[1], pair[0]))[:BAD_ACTORS]
    waits = [each.acked - each.on for each in rung if each.acked is not None]
    return Kpis(
        from_ms,
        to_ms,
        len(rung),
        intervals,
        floods,
        days,
        tuple(sorted({name for name, _ in chatter})),
        tuple(_standing(long, to_ms)),
        dict(Counter(each.severity for each in rung)),
        tuple(Actor(name, count, count / len(rung)) for name, count in worst),
        len(waits),
        median(waits) if waits else None,
    )


class Check(NamedTuple):
    """A measure beside what the standards ask; ``ok`` is None where there is nothing to judge."""

    name: str
    value: float
    target: str
    ok: bool | None


def checks(of: Kpis) -> list[Check]:
    """Hold a period against ISA-18.2 and IEC 62682, by their figures as commonly cited.

    The targets are those of one operator's desk; shares are between 0 and 1.
    """
    span = of.to_ms - of.from_ms
    flooded = sum(each.end - each.start for each in of.floods) / span
    peak = max(of.intervals.values(), default=0)
    stands = max((each.standing for each in of.days), default=0)
    found = [
        ("alerts_per_day", of.alerts / span * DAY_MS, "at most 150", 150.0),
        ("alerts_per_10_min", of.alerts / span * INTERVAL_MS, "at most 1", 1.0),
        ("peak_per_10_min", peak, "at most 10", 10.0),
        ("flood_share", flooded, "below 0.01", 0.00999999),
        ("chattering_series", len(of.chattering), "none", 0.0),
        ("standing_over_24h", stands, "below 5, at every day's end", 4.0),
    ]
    judged = [Check(name, value, target, value <= most) for name, value, target, most in found]
    return judged + [_mixed(of, *limit) for limit in _MIX]


_MIX: tuple[tuple[str, Severity, float], ...] = (
    ("critical_share", "CRITICAL", 0.05),
    ("warning_share", "WARNING", 0.15),
)


def _mixed(of: Kpis, name: str, severity: Severity, most: float) -> Check:
    share = of.mix.get(severity, 0) / of.alerts if of.alerts else 0.0
    return Check(name, share, f"at most {most:g}", share <= most if of.alerts else None)


def _interval(at: int) -> int:
    return at // INTERVAL_MS * INTERVAL_MS


def _floods(intervals: dict[int, int], from_ms: int, to_ms: int) -> Iterator[Flood]:
    """Yield floods: from the first interval above 10 alerts to the first below 5."""
    begun: int | None = None
    count = due = 0
    for start, alerts in intervals.items():
        if begun is not None and (start > due or alerts < FLOOD_ENDS_BELOW):
            yield Flood(max(begun, from_ms), due, count)
            begun, count = None, 0
        if begun is None and alerts > FLOOD_BEGINS_ABOVE:
            begun = start
        if begun is not None:
            count, due = count + alerts, start + INTERVAL_MS
    if begun is not None:
        yield Flood(max(begun, from_ms), min(due, to_ms), count)


def _chatter(every: Sequence[Episode], from_ms: int, to_ms: int) -> list[tuple[str, int]]:
    """Return (fingerprint, ms) of each change on or off that ends three within a minute."""
    changes: dict[str, list[int]] = {}
    for each in every:
        if each.rang:
            own = changes.setdefault(each.fingerprint, [])
            own.extend(at for at in (each.on, each.off) if at is not None)
    found = []
    for name, times in changes.items():
        times.sort()
        for index in range(CHATTER_CHANGES - 1, len(times)):
            at = times[index]
            if at - times[index - CHATTER_CHANGES + 1] <= CHATTER_MS and from_ms <= at < to_ms:
                found.append((name, at))
    return found


def _standing(long: Sequence[Episode], at: int) -> list[Episode]:
    """Return those that have been on for over a day."""
    return [
        each for each in long if each.on < at - STANDING_MS and (each.off is None or each.off > at)
    ]


def _days(
    intervals: dict[int, int],
    floods: Sequence[Flood],
    chatter: Sequence[tuple[str, int]],
    long: Sequence[Episode],
    within: tuple[int, int],
) -> Iterator[Day]:
    counts: dict[int, list[int]] = {}
    for at, count in intervals.items():
        counts.setdefault(_day(at), []).append(count)
    names: dict[int, set[str]] = {}
    for name, at in chatter:
        names.setdefault(_day(at), set()).add(name)
    for start in range(_day(within[0]), within[1], DAY_MS):
        end = min(start + DAY_MS, within[1])
        own = counts.get(start, [])
        flooded = sum(max(0, min(end, each.end) - max(start, each.start)) for each in floods)
        stands = len(_standing(long, end))
        yield Day(start, sum(own), max(own, default=0), flooded, len(names.get(start, ())), stands)


def _day(at: int) -> int:
    return at // DAY_MS * DAY_MS
