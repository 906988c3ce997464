"""Why nothing fired: what a rule compared, window by window, and what kept it from an alert.

The engine tells of each look (:class:`stream.look.Look`); here a look becomes a line that a
person can read, and looks in a row with the same outcome become one span.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import groupby
from typing import Literal, NamedTuple

from schemas.records import AlertEvent, Device
from stream.baselines import Baseline, BaselineSpec, Decayed, Frozen, Seasonal
from stream.conditions import When
from stream.globs import matches
from stream.lifecycle import Hold, phase
from stream.look import Look
from stream.rule import Rule
from stream.traits import lacks

Outcome = Literal[
    "condition",
    "work",
    "sensor",
    "few",
    "rests",
    "unknown",
    "below",
    "pending",
    "inhibited",
    "active",
    "event",
]
"""Why a window raised nothing, in the order in which the engine asks; ``event`` is a transition."""


class Seen(NamedTuple):
    """What a rule made of one window; times in ms.

    ``statistic`` is what is compared with the baseline, None for the value itself. ``short`` is by
    how much the score misses the lowest severity's limit (more is further off), if it was compared.
    """

    rule: str
    metric: str
    window_start: int
    window_end: int
    readings: int
    value: float
    statistic: float | None
    baseline_mean: float | None
    baseline_std: float | None
    short: float | None
    phase: str
    outcome: Outcome
    event: AlertEvent | None
    told: str


class Span(NamedTuple):
    """Windows in a row with one outcome; ``seen`` is the one that came nearest to the limit."""

    first: Seen
    last: Seen
    windows: int
    seen: Seen


def seen(look: Look) -> Seen:
    """Return what a look says, with the reason in words."""
    verdict, made = look.verdict, look.window
    outcome, told = _outcome(look)
    lowest = look.rule.severities[0]
    return Seen(
        look.rule.name,
        made.metric,
        made.window_start,
        made.window_end,
        made.count,
        look.value,
        verdict.statistic if verdict else None,
        verdict.baseline_mean if verdict else None,
        verdict.baseline_std if verdict else None,
        lowest.enter - verdict.score if verdict else None,
        phase(look.own.life),
        outcome,
        look.alert.event if look.alert else None,
        told,
    )


def spans(every: Iterable[Seen]) -> Iterator[Span]:
    """Yield what one rule saw of one series as spans; each transition is one of its own."""
    for key, group in groupby(enumerate(every), key=_turn):
        own = [each for _, each in group]
        compared = [each for each in own if each.short is not None]
        nearest = min(compared, key=lambda each: each.short or 0.0) if compared else own[-1]
        telling = nearest if key[0] == "below" else own[-1]
        yield Span(own[0], own[-1], len(own), telling)


def _turn(pair: tuple[int, Seen]) -> tuple[str, int]:
    index, each = pair
    return each.outcome, index if each.outcome == "event" else -1


def mismatch(
    rule: Rule, device_id: str, metric: str, site: str, device: Device | None = None
) -> str | None:
    """Say what of a rule leaves a series out; None when it is meant.

    ``device`` is what is known of its device now: it may have been another.
    """
    asked = [
        ("metric", rule.match.metric, metric),
        ("device", rule.match.device, device_id),
        ("site", rule.match.site, site),
    ]
    wrong = [f"{name} {', '.join(globs)}" for name, globs, own in asked if not matches(globs, own)]
    wrong += [] if rule.match.traits is None else lacks(rule.match.traits, device)
    return f"is for {'; '.join(wrong)}" if wrong else None


def silence(when: When | None, *, told: bool) -> str:
    """Say why a rule that is meant has made no window at all.

    Args:
        when: its condition.
        told: whether the device has told the metric of the condition.
    """
    if when is not None and when.op is None and told:
        return f"is for devices that never tell {when.metric}, and this one does"
    if when is not None and when.op is not None and not told:
        return f"asks for {_condition(when)}, and this device has never told {when.metric}"
    return "has no complete window: the readings are shorter than its slide, or all are bad"


def asks(rule: Rule) -> str:
    """Say what a rule compares, in words."""
    grown = f", growing to {span_of(rule.window.grow_to_ms)}" if rule.window.grow_to_ms else ""
    limits = ", ".join(
        f"{each.level} {rule.op} {each.shown_enter:g}"
        + (f" for {delay}" if (delay := _hold(each.delay)) else "")
        for each in rule.severities
    )
    kind = (
        ""
        if rule.baseline is None
        else f" against a {type(rule.baseline).__name__.lower()} baseline"
    )
    return (
        f"{rule.aggregate} over {span_of(rule.window.size_ms)} every "
        f"{span_of(rule.window.slide_ms)}{grown}, {rule.to}{kind}: {limits}"
        + ("" if rule.when is None else f"; while {_condition(rule.when)}")
    )


def at_ms(ms: int) -> str:
    """Return a time for a person, UTC; milliseconds are cut off."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S").removesuffix(":00")


def span_of(ms: int) -> str:
    """Return a length of time in its two largest units, such as 6h45m."""
    parts: list[str] = []
    for size, unit in ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")):
        if ms >= size and len(parts) < 2:
            parts.append(f"{ms // size}{unit}")
            ms %= size
    return "".join(parts) or "0s"


def _outcome(look: Look) -> tuple[Outcome, str]:
    """Return the first thing that kept a window from an alert, in the engine's own order."""
    rule, life, end = look.rule, look.own.life, look.window.window_end
    if look.alert is not None:
        return "event", f"{look.alert.event} {look.alert.severity}: {_compared(look)}"
    if look.since is None:
        held = "; the open alert is held" if life.open is not None else ""
        if look.held.works:
            return "work", f"planned work{held}"
        if look.held.doubted:
            return "sensor", f"its sensor is not to be trusted, or was not for all of it{held}"
        return "condition", f"{_unmet(look)}{held}"
    if not look.enough or look.window.count < rule.min_samples:
        return "few", f"{look.window.count} readings in the window, {rule.min_samples} are needed"
    if end < life.rests_until:
        return "rests", f"cooldown until {at_ms(life.rests_until)}"
    if look.verdict is None:
        middle = (look.window.window_start + end) // 2
        return "unknown", _unknown(rule.baseline, look.own.baseline, middle)
    name = phase(life)
    if name == "PENDING" and look.held.inhibited:
        return "inhibited", f"a stronger alert stands; {_compared(look)}"
    if name == "PENDING":
        return "pending", f"{_waits(look)}; {_compared(look)}"
    if name in ("FIRING", "RECOVERING"):
        return "active", f"{name} since {at_ms(_began(look))}; {_compared(look)}"
    return "below", _compared(look)


def _unmet(look: Look) -> str:
    """Say how far a condition is from being met for the whole window."""
    when, gate = look.rule.when, look.gate
    if when is None or when.op is None or gate is None:
        return "its condition is not met" if when is None else f"not met: {_condition(when)}"
    if gate.since is None:
        return f"not met: {_condition(when)}"
    return (
        f"{when.metric} {when.op} {when.value:g} only since {at_ms(gate.since)}; it counts from "
        f"{at_ms(gate.since + when.held_ms)} on, for windows wholly inside"
    )


def _began(look: Look) -> int:
    opened = look.own.life.open
    return look.own.life.since if opened is None else opened.starts_at


def _waits(look: Look) -> str:
    waiting = [
        f"{each.level} true since {at_ms(level.since)}, {_hold(each.delay)} are needed"
        for level, each in zip(look.own.life.levels, look.rule.severities, strict=True)
        if level.true and not level.active
    ]
    return "; ".join(waiting) or "below enter and not yet below exit"


def _compared(look: Look) -> str:
    rule, verdict = look.rule, look.verdict
    if verdict is None:
        return "not compared"
    limits = ", ".join(f"{each.level} {rule.op} {each.shown_enter:g}" for each in rule.severities)
    if verdict.statistic is None:
        return f"{rule.aggregate} {verdict.value:.6g} ({limits})"
    usual = (
        ""
        if verdict.baseline_mean is None
        else f" where {verdict.baseline_mean:.6g} ± {verdict.baseline_std or 0:.3g} is usual"
    )
    return (
        f"{rule.to} {verdict.statistic:+.4g} ({limits}): {rule.aggregate} "
        f"{verdict.value:.6g}{usual}"
    )


def _unknown(spec: BaselineSpec | None, known: Baseline, at: int) -> str:
    match spec:
        case Decayed():
            if known.weight < spec.warmup:
                return f"warm-up: the baseline has {known.weight:.0f} of {spec.warmup:g} readings"
        case Seasonal(hourly):
            hour = known.hours.get(at // 3_600_000 % 24)
            weight = hour.weight if hour else 0.0
            if weight < hourly.warmup:
                return (
                    f"warm-up: the baseline has {weight:.0f} of {hourly.warmup:g} readings of "
                    "this hour of the day"
                )
        case Frozen():
            if known.learned_ms < spec.done_ms:
                done = f"{known.learned_ms / 3_600_000:.1f} of {spec.done_ms / 3_600_000:.1f} h"
                skipped = span_of(spec.skip_first_ms)
                return f"still learning: {done}" + (
                    f", of which the first {skipped} are skipped" if spec.skip_first_ms else ""
                )
        case _:
            pass
    return "nothing to compare: too little is known yet, there is no spread, or it is not finite"


def _condition(when: When) -> str:
    if when.op is None:
        return f"{when.metric} is never told"
    held = f" for {span_of(when.held_ms)}" if when.held_ms else ""
    return f"{when.metric} {when.op} {when.value:g}{held}"


def _hold(hold: Hold) -> str:
    if hold.count:
        return f"{hold.count} evaluations"
    return span_of(hold.ms) if hold.ms else ""


Watcher = Callable[[Look], None]


def watcher(into: list[Seen], *, metric: str | None = None) -> Watcher:
    """Return what the engine tells its looks to: they are noted at once, of one metric or all."""

    def note(look: Look) -> None:
        if metric in (None, look.window.metric):
            into.append(seen(look))

    return note
