"""Panes merged into sliding windows, as Flink's HOP has them but by the series' own time.

A window [e - size, e), e a whole multiple of the slide, exists when it holds a reading. It is
complete when a pane that ends at e or later has come, because panes of a series come in order.
"""

from collections.abc import Iterator, Sequence
from math import nan, sqrt

import msgspec

from schemas.records import WindowFeatures
from stream.panes import Pane


class WindowSpec(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Length and slide of a window in ms, and whether it may grow.

    A window with ``grow_to_ms`` that holds fewer than ``min_samples`` readings reaches further
    back, slide by slide, until it holds them or is that long: so one rule serves sensors that
    report every minute and every hour. Without growth both are 0.
    """

    size_ms: int
    slide_ms: int
    min_samples: int = 0
    grow_to_ms: int = 0


class Moments(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Panes merged so far: as in :class:`stream.panes.Pane`, ``t`` counting from a given start."""

    n: int
    mean: float
    m2: float
    lo: float
    hi: float
    t_mean: float
    t_m2: float
    t_c: float
    first_value: float
    last_value: float

    @property
    def variance(self) -> float:
        """Return it, NaN where sums of values near the largest double have overflowed."""
        return self.m2 / self.n if self.m2 >= 0 else nan

    @property
    def stddev(self) -> float:
        """Return the population's, divided by n; 0 for one reading."""
        return sqrt(self.variance)

    @property
    def rms(self) -> float:
        """Return the root of the mean square."""
        return sqrt(self.mean * self.mean + self.variance)

    @property
    def slope(self) -> float:
        """Return the least-squares line's, per second; 0 when all readings have one time."""
        return self.t_c / self.t_m2 if self.t_m2 > 0 else 0.0


class Window(msgspec.Struct, gc=False):
    """What is inside one window: panes in time order, none empty, and ``count`` readings.

    ``enough`` says whether growing sufficed. The panes are merged once somebody asks.
    """

    window_start: int
    window_end: int
    panes: Sequence[Pane]
    count: int
    enough: bool
    _moments: Moments | None = None

    def moments(self) -> Moments:
        """Return all panes merged."""
        if self._moments is None:
            self._moments = merged(self.window_start, self.panes)
        return self._moments

    def mean(self) -> float:
        """Return the mean alone, to the bit that of :meth:`moments`, in a fraction of its time."""
        if self._moments is not None:
            return self._moments.mean
        it = iter(self.panes)
        first = next(it)
        n, mean = first.n, first.mean
        for pane in it:
            own = pane.n
            n += own
            mean += (pane.mean - mean) * (own / n)
        return mean


class Subject(msgspec.Struct, frozen=True, gc=False):
    """Whose values they are."""

    device_id: str
    metric: str
    site: str
    unit: str | None


def ends_between(spec: WindowSpec, after: int, upto: int, newest: Pane) -> range:
    """Return the ends in (after, upto] of windows that reach back to the newest pane so far.

    Across a gap, these are the windows that still hold the last readings before it.
    """
    slide, last = spec.slide_ms, newest.pane_start + spec.size_ms
    if upto < last:  # noqa: PLR1730 - half the time of min(), for every pane behind a gap
        last = upto
    return range((after // slide + 1) * slide, last + 1, slide)


def cut(spec: WindowSpec, ring: Sequence[Pane], end: int) -> Window | None:
    """Return the window that ends at ``end``, from panes in time order none of which is newer.

    None when it holds no reading.
    """
    start = end - spec.size_ms
    if not ring or ring[-1].pane_start < start:
        return None
    first, count = len(ring), 0
    for pane in reversed(ring):
        if pane.pane_start < start:
            break
        count += pane.n
        first -= 1
    enough = count >= spec.min_samples
    if not enough and (grown := _grown(spec, ring, end, first, count)) is not None:
        return grown
    return Window(start, end, ring[first:] if first else ring, count, enough)


def _grown(
    spec: WindowSpec, ring: Sequence[Pane], end: int, first: int, count: int
) -> Window | None:
    """Let a window of the panes from ``first`` on reach back; None if that does not help."""
    least = spec.min_samples
    while first and count < least:
        first -= 1
        count += ring[first].n
    start = ring[first].pane_start // spec.slide_ms * spec.slide_ms
    if count < least or start < end - spec.grow_to_ms:
        return None
    while first and ring[first - 1].pane_start >= start:  # the rest of that slide
        first -= 1
        count += ring[first].n
    return Window(start, end, ring[first:], count, enough=True)


def kept_from(spec: WindowSpec, window: Window, end: int) -> int:
    """Return from when on later windows may need panes; starts of windows never go back."""
    return window.window_start if window.enough else end - spec.grow_to_ms


def features(of: Subject, start: int, end: int, panes: Sequence[Pane]) -> WindowFeatures:
    """Merge panes, at least one and none empty, from the first to the last, and describe them."""
    return described(of, start, end, merged(start, panes))


def merged(start: int, panes: Sequence[Pane], so_far: Moments | None = None) -> Moments:
    """Merge panes, at least one and none empty, in order, behind what is merged already.

    The pairwise update of Chan, Golub and LeVeque (Stanford STAN-CS-79-773, 1979). Pane by pane
    or all at once, the result is the same to the bit.

    Args:
        start: from when times count, ms; that of ``so_far``, too.
        panes: the panes.
        so_far: what came before them.
    """
    it: Iterator[Pane] = iter(panes)
    if so_far is None:
        a = next(it)
        n, mean, m2, lo, hi, first = a.n, a.mean, a.m2, a.lo, a.hi, a.first_value
        t_mean = a.t_mean + (a.pane_start - start) / 1000.0
        t_m2, t_c = a.t_m2, a.t_c
    else:
        n, mean, m2, lo, hi = so_far.n, so_far.mean, so_far.m2, so_far.lo, so_far.hi
        t_mean, t_m2, t_c, first = so_far.t_mean, so_far.t_m2, so_far.t_c, so_far.first_value
    for b in it:
        total = n + b.n
        share = b.n / total
        weight = n * share
        d = b.mean - mean
        dt = b.t_mean + (b.pane_start - start) / 1000.0 - t_mean
        mean += d * share
        t_mean += dt * share
        m2 += b.m2 + d * d * weight
        t_m2 += b.t_m2 + dt * dt * weight
        t_c += b.t_c + d * dt * weight
        if b.lo < lo:  # noqa: PLR1730 - half the time of min(), in the hottest loop
            lo = b.lo
        if b.hi > hi:  # noqa: PLR1730
            hi = b.hi
        n = total
    return Moments(n, mean, m2, lo, hi, t_mean, t_m2, t_c, first, panes[-1].last_value)


def described(
    of: Subject, start: int, end: int, merged: Moments, session: str = ""
) -> WindowFeatures:
    """Return merged panes as a window's features."""
    m = merged
    return WindowFeatures(
        of.device_id, of.metric, of.site, start, end, m.n, m.lo, m.hi, m.mean, m.stddev, m.rms,
        m.first_value, m.last_value, m.slope, session,
    )  # fmt: skip
