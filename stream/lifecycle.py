"""The life of an alert: INACTIVE → PENDING → FIRING → RECOVERING → RESOLVED, per rule and key.

With a latch it stays LATCHED, where it would resolve, until somebody resets it.

Every severity has its own hysteresis (enter, exit) and its own delays, and is active or not by
itself; the alert has the severity of the highest active one. All time is event time: the ends of
the windows that were evaluated. A window that holds nothing is no evaluation, neither true nor
false.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from schemas.records import Alert, AlertEvent, AlertState
from schemas.records import Severity as SeverityName

Phase = Literal["INACTIVE", "PENDING", "FIRING", "RECOVERING", "LATCHED"]
ORDER: tuple[SeverityName, ...] = ("INFO", "WARNING", "CRITICAL")
"""Severities from the mildest to the worst."""


class Hold(msgspec.Struct, frozen=True):
    """How long a condition must last: this much event time, and this many evaluations."""

    ms: int = 0
    count: int = 0


class Severity(msgspec.Struct, frozen=True, omit_defaults=True):
    """One severity: a score enters it at ``enter`` and leaves it below ``exit``.

    Scores are signed so that more is worse; ``shown_enter`` and ``shown_exit`` are the limits as
    written in the rule file. With ``latch`` it stays active until it is reset. (A rule's digest
    holds no defaults, or a new field would be a change of every rule.)
    """

    level: SeverityName
    enter: float
    exit: float
    delay: Hold
    keep: Hold
    shown_enter: float
    shown_exit: float
    latch: bool = False


class Level(msgspec.Struct, array_like=True):
    """What is remembered of one severity: true now, since when, and active or not.

    ``latched``: it would not be active any more, but for its latch.
    """

    true: bool = False
    since: int = 0
    seen: int = 0
    last_true: int = 0
    missed: int = 0
    active: bool = False
    latched: bool = False


class Life(msgspec.Struct, array_like=True):
    """What is remembered of one rule for one key; ``levels`` is empty while INACTIVE.

    ``open`` is the newest record of an alert that is not resolved. Before ``rests_until``, ms,
    nothing is evaluated: the alert before has just ended. What people said up to ``obeyed``, ms,
    is done.
    """

    levels: list[Level] = []
    since: int = 0
    last_true: int = 0
    peak: float = 0.0
    peak_value: float = 0.0
    open: Alert | None = None
    rests_until: int = 0
    obeyed: int = 0


class Change(NamedTuple):
    """A transition that is worth a record; ``top`` indexes the severities."""

    event: AlertEvent
    state: AlertState
    prev_state: AlertState | None
    top: int
    prev_top: int | None


def phase(life: Life) -> Phase:
    """Return where an alert is in its life."""
    if not life.levels:
        return "INACTIVE"
    top = top_active(life)
    return "PENDING" if top is None else _state(life.levels[top])


def top_active(life: Life) -> int | None:
    """Return the index of the severity that an alert has; None when it has not fired."""
    top = _top(life.levels)
    return None if top < 0 else top


def advance(
    life: Life,
    severities: Sequence[Severity],
    score: float,
    value: float,
    at: int,
    *,
    may_begin: bool = True,
) -> Change | None:
    """Take one evaluation into the life, in place; return the transition it makes, if any.

    Args:
        life: changed in place.
        severities: from the lowest to the highest.
        score: what is held against the limits; more is worse. Not NaN; minus infinity is as good
            as can be.
        value: the aggregate, kept as the peak beside the worst score.
        at: the window's end, ms.
        may_begin: False lets what is true be pending for longer than its delay.
    """
    if not life.levels and score < severities[0].enter:
        return None  # nearly always
    before, before_top = phase(life), _top(life.levels)
    may_begin = may_begin or before_top >= 0
    if not life.levels:
        life.levels = [Level() for _ in severities]
        life.since, life.peak, life.peak_value = at, score, value
    elif score > life.peak:
        life.peak, life.peak_value = score, value
    for level, severity in zip(life.levels, severities, strict=True):
        _take(level, severity, score, at, may_begin=may_begin)
    _lift(life.levels)
    if any(level.true for level in life.levels):
        life.last_true = at
    top = _top(life.levels)
    change = _change(life, before, before_top, top)
    if top < 0 and life.last_true != at:
        life.levels = []
    return change


def finish(life: Life, cooldown_ms: int, at: int) -> None:
    """Note that an alert is over, at a time in ms; with a cooldown, nothing is pending either."""
    life.open = None
    if cooldown_ms:
        life.levels, life.rests_until = [], at + cooldown_ms


def holds(life: Life, severities: Sequence[Severity], score: float) -> bool:
    """Say whether a score ends nothing: no severity that is true or active is left by it."""
    return all(
        score >= severity.exit
        for level, severity in zip(life.levels, severities, strict=False)
        if level.true or level.active
    )


def _take(level: Level, severity: Severity, score: float, at: int, *, may_begin: bool) -> None:
    if score >= (severity.exit if level.true else severity.enter):
        if not level.true:
            level.true, level.since, level.seen = True, at, 0
        level.seen += 1
        level.missed = 0
        level.last_true = at
        if may_begin and _reached(severity.delay, at - level.since, level.seen):
            level.active, level.latched = True, False
        return
    level.true = False
    level.missed += 1
    if level.active and _reached(severity.keep, at - level.last_true, level.missed):
        level.active = level.latched = severity.latch


def _reached(hold: Hold, elapsed_ms: int, count: int) -> bool:
    return elapsed_ms >= hold.ms and count >= hold.count


def _lift(levels: Sequence[Level]) -> None:
    """Make active what is true below an active severity.

    Otherwise an alert would resolve when its highest severity ends while a lower one, true all
    the time, still waits for its own delay.
    """
    above = False
    for level in reversed(levels):
        if above and level.true:
            level.active = True
        above = above or level.active


def _top(levels: Sequence[Level]) -> int:
    for index in range(len(levels) - 1, -1, -1):
        if levels[index].active:
            return index
    return -1


def _state(level: Level) -> Literal["FIRING", "RECOVERING", "LATCHED"]:
    if level.latched:
        return "LATCHED"
    return "FIRING" if level.true else "RECOVERING"


def _change(life: Life, before: Phase, before_top: int, top: int) -> Change | None:
    """Return the transition: another severity, or into a latch and out of it."""
    prev: AlertState | None = None if before == "INACTIVE" else before
    if top < 0:
        return None if before_top < 0 else Change("RESOLVED", "RESOLVED", prev, before_top, None)
    state = _state(life.levels[top])
    if top == before_top:
        latches = (state == "LATCHED") != (before == "LATCHED")
        return Change("RENOTIFY", state, prev, top, top) if latches else None
    if before_top < 0:
        return Change("FIRED", state, prev, top, None)
    return Change("ESCALATED" if top > before_top else "DEESCALATED", state, prev, top, before_top)
