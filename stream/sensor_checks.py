"""What can be wrong with a sensor, seen from its panes: pure checks and what they remember.

    stuck      it repeats itself for longer than it ever did
    range      it says what cannot be
    drift      its mean wanders off for good
    spike      a single reading is far from its neighbours
    bad_share  it flags its own readings as bad
    clock      its times are not those of its gateway
    no_data    it says nothing: see :mod:`stream.silence`

A check turns a pane into a score: 1 and more is a fault. All of them look at one series alone.
"""

from math import ceil, inf, isfinite, log, sqrt
from statistics import median
from typing import Literal, NamedTuple

import msgspec

from stream.baselines import Usual
from stream.panes import Pane

CheckName = Literal["stuck", "range", "drift", "no_data", "spike", "bad_share", "clock"]

LEAST_RUN = 20
"""The least run of equal readings that is taken for a fault, unless a rule says another."""
_MOVES = 20
"""How often a series must have been seen to change before equal values mean anything."""
_CHANCE = 1e-6
"""A run that comes about by chance once in so many readings is none of a stuck sensor."""
_NEIGHBOURS = 15
_SLOW = 0.02
_SHARE_OF = 50.0
"""Over about how many readings the share of bad ones is taken."""
_LEAST_READINGS = 20.0
DRIFT_EXIT = 0.7
BAD_EXIT = 0.5
CLOCK_EXIT = 0.8


class Stuck(msgspec.Struct, frozen=True, tag="stuck"):
    """Readings no further apart than ``resolution``, at least ``n`` of them in a row.

    More where the sensor has been healthy for longer runs: see :func:`stuck`.
    """

    n: int
    resolution: float = 0.0


class OutOfRange(msgspec.Struct, frozen=True, tag="range"):
    """A reading below ``lo`` or above ``hi``, in the metric's unit; None is no limit."""

    lo: float | None
    hi: float | None


class Drift(msgspec.Struct, frozen=True, tag="drift"):
    """A slow mean of pane means, ``k`` sigma or more off the baseline; it moves by ``alpha``."""

    k: float
    alpha: float = _SLOW


class Spike(msgspec.Struct, frozen=True, tag="spike"):
    """A reading more than ``k`` times the usual spread from the median of the panes before it."""

    k: float


class BadShare(msgspec.Struct, frozen=True, tag="bad_share"):
    """So large a share of the last 50 readings is BAD or not finite."""

    share: float


class Clock(msgspec.Struct, frozen=True, tag="clock"):
    """Times so far ahead of the gateway's, or behind, all through a pane; 0 is no limit."""

    ahead_ms: int = 0
    behind_ms: int = 0


class NoData(msgspec.Struct, frozen=True, tag="no_data"):
    """No reading for ``after_ms``, or for ``intervals`` times as long as is usual.

    With ``ends`` it raises no alert, but ends that of the rule of that name.
    """

    after_ms: int = 0
    intervals: float = 0.0
    ends: str = ""


Check = Stuck | OutOfRange | Drift | Spike | BadShare | Clock | NoData


def remembers(check: Check) -> bool:
    """Say whether a check holds a pane against what it has learned of the series."""
    given = isinstance(check, OutOfRange | Clock) or (
        isinstance(check, NoData) and check.after_ms > 0
    )
    return not given


class StuckSeen(msgspec.Struct, array_like=True, tag="stuck"):
    """What is remembered of runs.

    ``run`` is that of the newest readings, which end with ``last``; ``pending`` the longest inside
    the newest pane of several values, as far as it may go on; ``longest`` the longest that ended
    by itself. Of ``seen`` readings of healthy runs, ``changes`` at least were followed by another
    value.
    """

    run: int = 0
    last: float = 0.0
    pending: int = 0
    longest: int = 0
    seen: int = 0
    changes: int = 0


class DriftSeen(msgspec.Struct, array_like=True, tag="drift"):
    """The slow mean; None before the baseline is known."""

    mean: float | None = None


class SpikeSeen(msgspec.Struct, array_like=True, tag="spike"):
    """The means of the newest panes, and the mean square of what they were off their median."""

    means: list[float] = []
    square: float = 0.0


class BadSeen(msgspec.Struct, array_like=True, tag="bad"):
    """Bad and all readings, older ones with less weight."""

    bad: float = 0.0
    all: float = 0.0


Memory = StuckSeen | DriftSeen | SpikeSeen | BadSeen


class Finding(NamedTuple):
    """What a check says of a pane: ``score`` 1 or more is a fault.

    ``value`` is what was looked at, ``enter`` and ``exit`` the limits it was held against.
    """

    score: float
    value: float
    enter: float
    exit: float
    below: bool = False
    usual: Usual | None = None


def stuck(check: Stuck, seen: StuckSeen, pane: Pane) -> Finding:
    """Count on the run that a pane, not empty, is a part of; say whether it is too long.

    A run is a fault that is as long as the largest of

    - ``check.n``,
    - 3 times the longest run that ended by itself, and 5: a rule of thumb,
    - what comes about by chance once in a million readings: log 1e-6 / log p, p being the share
      of readings that equal the next one.

    Nothing is said before the series has changed 20 times: what never moves is no measurement. A
    pane does not tell how long the runs at its ends are: of a run over several panes the readings
    in its first and last count as one each. It may be found a pane late, never early; one that is
    less than two panes longer than the limit may be missed.
    """
    limit = _longest_healthy(check, seen)
    joins = seen.run > 0 and abs(pane.first_value - seen.last) <= check.resolution
    flat = pane.step <= check.resolution
    run = seen.run + (pane.n if flat else 1) if joins else pane.run
    if not (flat and joins):
        _learn_run(seen, limit, changed=not joins)
    if flat:
        seen.run += pane.n
    else:
        seen.pending, seen.run = pane.run, 1
        seen.seen += pane.n - 1
        seen.changes += max(ceil(pane.n / pane.run) - 1, 1)
    seen.last = pane.last_value
    longest, shown = float(max(run, pane.run)), float(limit or check.n)
    return Finding(longest / limit if limit else 0.0, longest, shown, shown)


def _learn_run(seen: StuckSeen, limit: int | None, *, changed: bool) -> None:
    """Learn from the newest run, which has ended; nothing from one that was a fault."""
    longest = max(seen.run, seen.pending)
    if limit is None or longest < limit:
        seen.longest = max(seen.longest, longest)
        seen.seen += seen.run
        seen.changes += changed and seen.run > 0
    seen.run = seen.pending = 0


def pass_over(check: Stuck, seen: StuckSeen, pane: Pane) -> None:
    """Take a pane, not empty, that is not judged; a run that does not go on in it is forgotten."""
    joins = seen.run > 0 and abs(pane.first_value - seen.last) <= check.resolution
    if joins and pane.step <= check.resolution:
        seen.run, seen.last = seen.run + pane.n, pane.last_value
    else:
        seen.run = seen.pending = 0


def _longest_healthy(check: Stuck, seen: StuckSeen) -> int | None:
    if seen.changes < _MOVES:
        return None
    equal = 1 - seen.changes / seen.seen
    by_chance = ceil(log(_CHANCE) / log(equal)) if equal > 0 else 0
    return max(check.n, 3 * seen.longest + 5, by_chance)


def out_of_range(check: OutOfRange, pane: Pane) -> Finding:
    """Hold the extremes of a pane, not empty, against what can be."""
    over = 0.0 if check.hi is None else pane.hi - check.hi
    under = 0.0 if check.lo is None else check.lo - pane.lo
    if check.hi is None or (check.lo is not None and under > over):
        limit = check.lo or 0.0
        return Finding(1 + under if under > 0 else 0.0, pane.lo, limit, limit, below=True)
    return Finding(1 + over if over > 0 else 0.0, pane.hi, check.hi, check.hi)


def drift(check: Drift, seen: DriftSeen, usual: Usual | None, pane: Pane) -> Finding | None:
    """Move the slow mean by a pane, not empty; say how far off the frozen baseline it is.

    An EWMA (Roberts, Technometrics 1(3), 1959) of pane means: m += alpha (mean - m), from the
    baseline's mean on; found at k sigma of single readings, over at 0.7 k. None while the baseline
    is not known or has no spread.
    """
    if usual is None or usual.std <= 0 or not isfinite(pane.mean):
        return None
    before = usual.mean if seen.mean is None else seen.mean
    seen.mean = before + check.alpha * (pane.mean - before)
    z = (seen.mean - usual.mean) / usual.std
    return Finding(abs(z) / check.k, seen.mean, check.k, DRIFT_EXIT * check.k, usual=usual)


def spike(check: Spike, seen: SpikeSeen, pane: Pane) -> Finding | None:
    """Hold the extremes of a pane, not empty, against the panes before it, as Hampel's filter does.

    Distance from the median of the last 15 pane means, in units of the largest of 1.4826 MAD and
    half their slowly forgotten deviation; None before there are 15 of them, or without any spread.
    """
    found = None
    if len(seen.means) >= _NEIGHBOURS:
        middle = median(seen.means)
        mad = median(abs(mean - middle) for mean in seen.means)
        spread = max(1.4826 * mad, 0.5 * sqrt(seen.square))
        up, down = pane.hi - middle, middle - pane.lo
        value = pane.hi if up >= down else pane.lo
        if spread > 0:
            ratio = max(up, down) / spread
            found = Finding(ratio / check.k, value, check.k, check.k)
        off = min(abs(pane.mean - middle), check.k * spread if spread > 0 else inf)
        seen.square += _SLOW * (off * off - seen.square)
        del seen.means[0]
    seen.means.append(pane.mean)
    return found


def clock(check: Clock, lag_ms: int) -> Finding:
    """Hold the least by which a gateway's clock was ahead of a device's against what may be.

    The least of a pane, as a message may be slow on its way but never fast. What a gateway got
    long after it was measured looks like a clock that is behind, so that limit is for longer than
    messages wait. Values and limits are seconds that the device is ahead; over at 0.8 of them.
    """
    ahead = -lag_ms / 1000
    limit = check.ahead_ms if ahead > 0 else -check.behind_ms
    if not limit:
        return Finding(0.0, ahead, 0.0, 0.0)
    enter = limit / 1000
    return Finding(ahead / enter, ahead, enter, CLOCK_EXIT * enter, below=enter < 0)


def bad_share(check: BadShare, seen: BadSeen, pane: Pane) -> Finding | None:
    """Count on good and bad readings; None before about 25. Over at half the share."""
    count = pane.n + pane.bad
    keep = max(1 - count / _SHARE_OF, 0.0)
    seen.bad = seen.bad * keep + pane.bad
    seen.all = seen.all * keep + count
    if seen.all < _LEAST_READINGS:
        return None
    share = seen.bad / seen.all
    return Finding(share / check.share, share, check.share, BAD_EXIT * check.share)
