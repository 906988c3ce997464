"""What a series is usually like: learned and forgotten, by the hour or not, learned once, or said.

A baseline lags: it takes panes only when they have left the window that is compared with it.
"""

from collections.abc import Sequence
from math import isfinite, sqrt

import msgspec

from stream.lifecycle import Phase
from stream.panes import Pane
from stream.samples import Sample, add, settle

_HOUR_MS = 3_600_000
_LONGEST_STEP_MS = _HOUR_MS
"""What a pane counts for at most of the time that a frozen baseline learns, after a gap."""


class Decayed(msgspec.Struct, frozen=True):
    """A baseline that forgets exponentially, lagged by one window.

    ``n0`` is its memory in readings, those closer than ``counted_every_ms`` counting as one:
    6400 at 5 min are 22 days. Nothing is compared before ``warmup`` readings. The standard
    deviation is taken as at least ``floor_rel`` times the mean and ``floor``. While the rule's
    alert is in a phase of ``freeze_while``, nothing is learned.
    """

    n0: float = 6400.0
    counted_every_ms: int = 300_000
    warmup: float = 50.0
    floor_rel: float = 1e-3
    freeze_while: tuple[Phase, ...] = ()
    floor: float = 0.0


class Seasonal(msgspec.Struct, frozen=True):
    """What a series is usually like at this hour of the day, UTC: a baseline for each hour.

    ``hourly`` is how each of them forgets; its numbers count the readings of that hour alone.
    """

    hourly: Decayed


class Weekly(msgspec.Struct, frozen=True, tag="weekly"):
    """The same by the hour of the week, UTC: 168 of them, from a Thursday's midnight on."""

    hourly: Decayed


class Frozen(msgspec.Struct, frozen=True):
    """What a series was like at first: all readings of ``learn_for_ms``, and never again.

    Only time counts in which the rule is evaluated and the series reports; the first
    ``skip_first_ms`` of it are not learned. Nothing is compared before. The standard deviation is
    taken as at least ``floor_rel`` times the mean and ``floor``.
    """

    learn_for_ms: int
    skip_first_ms: int = 0
    floor_rel: float = 1e-3
    floor: float = 0.0

    @property
    def done_ms(self) -> int:
        """After how much time nothing is learned any more."""
        return self.skip_first_ms + self.learn_for_ms


class Median(msgspec.Struct, frozen=True, tag="median"):
    """The same with the median of the panes' means, and their MAD scaled to a deviation.

    What is odd in that time, such as a spike, moves neither of them much. Of a long time a sample
    is kept; see :mod:`stream.samples`.
    """

    frozen: Frozen


class Constant(msgspec.Struct, frozen=True):
    """What the author says a series is like; ``std`` is above 0."""

    mean: float
    std: float


class Fitted(msgspec.Struct, frozen=True, tag="fitted"):
    """What a model says each series is like, by device and metric.

    The engine takes what it says of a series in its place; one it does not know is not compared.
    """

    devices: dict[str, dict[str, Constant]]

    def of(self, device_id: str, metric: str) -> Constant | None:
        """Return what it says of a series."""
        return self.devices.get(device_id, {}).get(metric)


BaselineSpec = Decayed | Seasonal | Weekly | Frozen | Median | Constant | Fitted
_BY_HOUR = (Seasonal, Weekly)
_SAID = (Constant, Fitted)


class Learned(msgspec.Struct, array_like=True):
    """Mean and variance of what was taken, and what that weighs."""

    weight: float = 0.0
    mean: float = 0.0
    variance: float = 0.0


class Baseline(msgspec.Struct, array_like=True):
    """What a baseline remembers; new fields go to the end, with a default.

    ``taken_to`` is the end of the newest pane it has seen, ``learned_ms`` the time that a frozen
    one has counted, ``hours`` what a seasonal one knows of each hour of the day or week,
    ``sample`` what a median is taken from.
    """

    weight: float = 0.0
    mean: float = 0.0
    variance: float = 0.0
    taken_to: int | None = None
    learned_ms: int = 0
    hours: dict[int, Learned] = {}
    sample: Sample | None = None


class Usual(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What readings are usually like; ``std`` may be 0."""

    mean: float
    std: float


def usual(spec: BaselineSpec, baseline: Baseline, at: int) -> Usual | None:
    """Return what the baseline knows of a time, ms; None while that is too little."""
    match spec:
        case Decayed():
            return _floored(spec, baseline) if baseline.weight >= spec.warmup else None
        case Constant():
            return Usual(spec.mean, spec.std)
        case Fitted():
            return None
        case Frozen():
            return _floored(spec, baseline) if baseline.learned_ms >= spec.done_ms else None
        case Median(frozen):
            return _middle(frozen, baseline.sample)
        case Seasonal(hourly) | Weekly(hourly):
            hour = baseline.hours.get(_hour(spec, at))
            known = hour is not None and hour.weight >= hourly.warmup
            return _floored(hourly, hour) if hour is not None and known else None


def freezes(spec: BaselineSpec, phase: Phase) -> bool:
    """Say whether nothing is learned while an alert is in that phase."""
    hourly = spec.hourly if isinstance(spec, _BY_HOUR) else spec
    return isinstance(hourly, Decayed) and phase in hourly.freeze_while


def _floored(spec: Decayed | Frozen, learned: Learned | Baseline) -> Usual:
    mean, std = learned.mean, sqrt(learned.variance)
    floor = spec.floor_rel * abs(mean)
    if floor < spec.floor:  # noqa: PLR1730 - half the time of max(), for every window
        floor = spec.floor
    return Usual(mean, floor if std < floor else std)  # noqa: FURB136


def _middle(spec: Frozen, sample: Sample | None) -> Usual | None:
    if sample is None or sample.median is None:
        return None
    floor = max(spec.floor_rel * abs(sample.median), spec.floor)
    return Usual(sample.median, max(sample.deviation, floor))


def _hour(spec: Seasonal | Weekly, at: int) -> int:
    hour = at // _HOUR_MS
    return hour % 24 if isinstance(spec, Seasonal) else hour % 168


def learn(
    baseline: Baseline,
    spec: BaselineSpec,
    panes: Sequence[Pane],
    upto: int,
    *,
    frozen: bool,
    since: int | None = None,
) -> None:
    """Take the panes that ended by ``upto`` and are new into the baseline, in place.

    Args:
        baseline: changed in place.
        spec: how it learns.
        panes: in order of time, none empty.
        upto: ms; later panes are left for later.
        frozen: pass the panes over for good.
        since: pass over panes that start before, ms.
    """
    if not isinstance(spec, Decayed) and _is_done(spec, baseline):
        return
    taken_to = baseline.taken_to
    for pane in panes:
        end = pane.pane_end
        if end > upto:
            break
        before = pane.pane_start if taken_to is None else taken_to
        if end <= before:
            continue
        taken_to = end
        if not frozen and (since is None or pane.pane_start >= since):
            _take(baseline, spec, pane, end - before)
    baseline.taken_to = taken_to


def _is_done(spec: BaselineSpec, baseline: Baseline) -> bool:
    """Say whether there is nothing to learn any more, or never was."""
    once = spec.frozen if isinstance(spec, Median) else spec
    return isinstance(once, _SAID) or (
        isinstance(once, Frozen) and baseline.learned_ms >= once.done_ms
    )


def _take(baseline: Baseline, spec: BaselineSpec, pane: Pane, elapsed_ms: int) -> None:
    match spec:
        case Decayed():
            _decay(baseline, spec, pane, elapsed_ms)
        case Frozen():
            _collect(baseline, spec, pane, elapsed_ms, sampled=False)
        case Median(frozen):
            _collect(baseline, frozen, pane, elapsed_ms, sampled=True)
        case Seasonal(hourly) | Weekly(hourly):
            hour = baseline.hours.setdefault(_hour(spec, pane.pane_start), Learned())
            _decay(hour, hourly, pane, elapsed_ms)


def _decay(learned: Learned | Baseline, spec: Decayed, pane: Pane, elapsed_ms: int) -> None:
    """Take a pane, O(1) in state, as the weighted form of a decayed mean and variance.

    A pane of weight w moves the mean by a = w / min(N + w, n0) of its distance δ, and
    S' = (1-a)(S + aδ²) + a·(variance inside the pane). Fed reading by reading it is that of one
    reading a time. A pane weighs its readings, but no more than the time since the last one allows
    (``counted_every_ms``).
    """
    weight, most = float(pane.n), elapsed_ms / spec.counted_every_ms
    if most < weight:  # noqa: PLR1730 - half the time of min() and max(), for every pane
        weight = most
    total, most = learned.weight + weight, spec.n0
    if most < weight:  # noqa: PLR1730
        most = weight
    _move(learned, pane, weight, most if most < total else total)  # noqa: FURB136


def _collect(
    baseline: Baseline, spec: Frozen, pane: Pane, elapsed_ms: int, *, sampled: bool
) -> None:
    """Take a pane as all its readings, or its mean as one, while there is time left to learn."""
    if baseline.learned_ms >= spec.done_ms:
        return
    skipped = baseline.learned_ms < spec.skip_first_ms
    gone = baseline.learned_ms + min(elapsed_ms, _LONGEST_STEP_MS)
    # A pane that is skipped ends no more than that, or a gap would leave nothing to learn from.
    baseline.learned_ms = min(gone, spec.skip_first_ms) if skipped else gone
    if not sampled:
        if not skipped:
            _move(baseline, pane, float(pane.n), baseline.weight + pane.n)
        return
    sample = baseline.sample = baseline.sample or Sample()
    if not skipped and isfinite(pane.mean):
        add(sample, pane.mean)
    if baseline.learned_ms >= spec.done_ms:
        settle(sample)


def _move(learned: Learned | Baseline, pane: Pane, weight: float, total: float) -> None:
    a = weight / total
    delta = pane.mean - learned.mean
    variance = (1 - a) * (learned.variance + a * delta * delta) + a * pane.m2 / pane.n
    if not isfinite(variance):
        return  # it would never be forgotten
    learned.weight = total
    learned.mean += a * delta
    learned.variance = variance
