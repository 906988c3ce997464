"""Down-sampling: of each series one reading an interval, sent once the interval is over.

Intervals are of receipt, so that all of a route's end together and one number says up to which
message they are told. Within one, readings of a series that are further apart than an interval by
their own time make several results: a device that uploads its hour at once gets as many as one
that was online. A result is one of the readings, with the mean as its value where that is asked
for, so a result that is made again from the same messages is the same reading.

What went into an open interval has to stay in the spool. A batch is discarded only behind all
before it, so it is enough to hold back the first; with its discard goes the number up to which
everything is told, and messages before that number are passed over when they are read again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

from gateway.blob import lane_of
from gateway.delivery import InFlight
from gateway.spool_file import Told
from schemas.records import Reading

Keep = Literal["mean", "min", "max", "last"]
_MOST_GROUPS = 50_000
# A message may reach the spool a little after its time of receipt.
_MARGIN_MS = 1000
_TRUST = {"GOOD": 2, "UNCERTAIN": 1, "BAD": 0}


class Sampler(NamedTuple):
    """What a route asks for: one reading an interval (ms), and which."""

    route: str
    every_ms: int
    keep: Keep


class Result(NamedTuple):
    """What is told of an interval's readings of one series, and of how many."""

    reading: Reading
    readings: int


class Sampling:
    """The open intervals of one producer's life."""

    def __init__(
        self,
        told: Mapping[tuple[int, str], int],
        send: Callable[[str, InFlight, list[Result]], None],
    ) -> None:
        """Prepare it.

        Args:
            told: by lane and route up to which message all is told, as of the last discard.
            send: takes a route's results, which are to be delivered before a batch is.
        """
        self._told = told
        self._send = send
        self._open: dict[tuple[int, str], _Interval] = {}

    def add(self, sampler: Sampler, item: InFlight, seq: int, readings: Sequence[Reading]) -> None:
        """Add a message's readings, whose number is ``seq``, to their route's interval."""
        key = (lane_of(item.row_id), sampler.route)
        if not readings or seq < self._told.get(key, 0):
            return
        number = readings[0].received_ts // sampler.every_ms
        interval = self._open.get(key)
        if interval is not None and (interval.number != number or interval.groups > _MOST_GROUPS):
            self._close(key, seq)
            interval = None
        if interval is None:
            interval = self._open[key] = _Interval(sampler, number, item)
            item.held += 1
        for reading in readings:
            interval.add(reading)
        interval.upto = seq + 1

    def look(self, now_ms: int) -> None:
        """End the intervals that are over; for when all messages so far have been added."""
        for key, interval in list(self._open.items()):
            if now_ms >= (interval.number + 1) * interval.sampler.every_ms + _MARGIN_MS:
                self._close(key, interval.upto)

    def _close(self, key: tuple[int, str], upto: int) -> None:
        interval = self._open.pop(key)
        lane, route = key
        self._send(route, interval.first, list(interval.results()))
        interval.first.told.append(Told(lane, route, upto))
        interval.first.held -= 1


class _Interval:
    """One interval of a route."""

    def __init__(self, sampler: Sampler, number: int, first: InFlight) -> None:
        self.sampler = sampler
        self.number = number
        self.first = first
        self.upto = 0
        self.groups = 0
        self._series: dict[tuple[str, str, str | None], list[_Group]] = {}

    def add(self, reading: Reading) -> None:
        groups = self._series.setdefault((reading.device_id, reading.metric, reading.unit), [])
        if not groups or abs(reading.ts - groups[-1].begin_ts) >= self.sampler.every_ms:
            groups.append(_Group(reading))
            self.groups += 1
        else:
            groups[-1].add(reading, self.sampler.keep)

    def results(self) -> Iterator[Result]:
        """Return a reading of each group, in the order in which their series began."""
        for groups in self._series.values():
            for group in groups:
                yield Result(group.result(self.sampler.keep), group.total)


class _Group:
    """Readings of one series; where some can be trusted more than others, those alone count."""

    __slots__ = ("begin_ts", "count", "kept", "mean", "total")

    def __init__(self, reading: Reading) -> None:
        self.begin_ts = reading.ts
        self.kept = reading
        self.mean = reading.value
        self.count = self.total = 1

    def add(self, reading: Reading, keep: Keep) -> None:
        self.total += 1
        trust, best = _TRUST[reading.quality], _TRUST[self.kept.quality]
        if trust > best:
            self.kept, self.mean, self.count = reading, reading.value, 1
        elif trust == best:
            self.count += 1
            # Halved: the difference of two doubles may be none.
            self.mean += (reading.value / 2 - self.mean / 2) / self.count * 2
            if _takes(reading, self.kept, keep):
                self.kept = reading

    def result(self, keep: Keep) -> Reading:
        if keep != "mean":
            return self.kept
        return msgspec.structs.replace(self.kept, value=self.mean)


def _takes(reading: Reading, kept: Reading, keep: Keep) -> bool:
    """Return whether a reading takes the place of the one kept so far."""
    if keep == "min":
        return reading.value < kept.value
    if keep == "max":
        return reading.value > kept.value
    return reading.ts >= kept.ts
