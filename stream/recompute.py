"""A device's past, computed again from all its readings: the job's own engine, nothing late.

State starts empty some time before the period, the run-in, so that at the period's start it is
what the job had. How long that is, the rules say: a window needs the readings in it, a delay the
time it waits, and a baseline all that it has ever learned from.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from schemas.records import Alert, Reading, WindowFeatures
from stream.correction import Scope
from stream.engine import Engine, SeriesState
from stream.lifecycle import Hold, phase
from stream.pane_sizes import PANES_MS, pane_ms
from stream.panes import panes_of
from stream.rule import Rule, Rules

DAY_MS = 86_400_000
"""Readings are taken a UTC day at a time: no pane reaches over midnight."""
assert all(DAY_MS % pane == 0 for pane in PANES_MS)


class Before(NamedTuple):
    """What has to be known of the job's own run over one device.

    Attributes:
        closed_to: by metric, up to where what the job says is its last word, ms: later windows
            are still to come from it. Of a metric that is missing it has said nothing.
        active: from when to when it had alerts; an end of infinity for one still open.
        ends: metrics and window ends that its alerts were decided at.
    """

    closed_to: Mapping[str, int]
    active: Sequence[tuple[int, float]]
    ends: frozenset[tuple[str, int]] = frozenset()


class Recomputed(NamedTuple):
    """What a device's readings lead to.

    Attributes:
        windows: those that end within the scope, and where the job has been.
        alerts: every transition from the start of the run-in on, as far as the job has been.
        panes: how many were folded.
        ahead: windows within the scope that the job has still to give out.
        met: at those of the job's window ends, the most readings in any window.
        learning: metrics and rules that compare with a baseline.
        unknown: metrics with rules of which the job has given nothing out.
    """

    windows: list[WindowFeatures]
    alerts: list[Alert]
    panes: int
    ahead: int
    met: dict[tuple[str, int], int]
    learning: set[tuple[str, str]]
    unknown: set[str]


def reach_ms(rules: Rules) -> int:
    """Return how far back the longest window looks: how long a reading can matter to windows."""
    return max(_longest(rule) for rule in rules.rules)


def settling_ms(rules: Rules) -> int:
    """Return the run-in that windows and delays need, without alerts already active: ms."""
    return max(
        _longest(rule)
        + max(_lasts(severity.delay, rule.window.slide_ms) for severity in rule.severities)
        for rule in rules.rules
    )


def memory_ms(rule: Rule) -> int:
    """Return how long a rule's baseline takes to forget all but a third: 0 without one."""
    if rule.baseline is None:
        return 0
    return round(rule.baseline.n0 * rule.baseline.counted_every_ms)


def learns(rules: Rules) -> bool:
    """Say whether any rule compares with a baseline."""
    return any(rule.baseline is not None for rule in rules.rules)


def makes(rules: Rules, window: WindowFeatures) -> bool:
    """Say whether these rules make windows of that shape for that series."""
    length = window.window_end - window.window_start
    return any(
        rule.window.size_ms <= length <= _longest(rule)
        and window.window_end % rule.window.slide_ms == 0
        and rule.match.covers(window.device_id, window.metric, window.site)
        for rule in rules.rules
    )


def recompute(
    engine: Engine, rules: Rules, days: Iterable[Sequence[Reading]], scope: Scope, before: Before
) -> Recomputed:
    """Run a device's readings through the engine until nothing in the scope can change any more.

    That is at the first midnight behind the scope at which no alert is active, neither by the
    job's own account nor by this one.

    Args:
        engine: of the rules.
        rules: the same.
        days: the device's readings by UTC day, in order; within a day in any order.
        scope: the window ends that are asked for.
        before: what the job did.
    """
    states: dict[str, SeriesState] = {}
    size_of = pane_ms(rules)
    found = Recomputed([], [], 0, 0, {}, set(), set())
    for readings in days:
        midnight = readings[0].ts // DAY_MS * DAY_MS
        if midnight >= scope.upto and _quiet(states, before.active, midnight):
            break
        found = _take_day(engine, size_of, states, readings, scope, before, found)
    baselines = {rule.name for rule in rules.rules if rule.baseline is not None}
    for metric, state in states.items():
        found.learning.update((metric, name) for name in state.rules if name in baselines)
    return found


def _take_day(
    engine: Engine,
    size_of: Callable[[str], int],
    states: dict[str, SeriesState],
    readings: Sequence[Reading],
    scope: Scope,
    before: Before,
    found: Recomputed,
) -> Recomputed:
    panes = ahead = 0
    for row in panes_of(readings, size_of):
        panes += 1
        state = states.setdefault(row.metric, SeriesState())
        decision = engine.on_pane(state, row.device_id, row.metric, row.site, row.unit, row.pane)
        closed_to = before.closed_to.get(row.metric)
        if closed_to is None:
            if decision.windows:
                found.unknown.add(row.metric)
            continue
        asked = [w for w in decision.windows if scope.after < w.window_end <= scope.upto]
        told = [w for w in asked if w.window_end <= closed_to]
        ahead += len(asked) - len(told)
        found.windows.extend(told)
        for each in decision.windows:
            place = (row.metric, each.window_end)
            if place in before.ends:
                found.met[place] = max(found.met.get(place, 0), each.count)
        found.alerts.extend(a for a in decision.alerts if a.emitted_at <= closed_to)
    return found._replace(panes=found.panes + panes, ahead=found.ahead + ahead)


def _quiet(states: Mapping[str, SeriesState], active: Sequence[tuple[int, float]], at: int) -> bool:
    """Say whether no alert is active or about to be at a time."""
    return not any(since < at < end for since, end in active) and all(
        phase(own.life) == "INACTIVE" for state in states.values() for own in state.rules.values()
    )


def _longest(rule: Rule) -> int:
    return max(rule.window.size_ms, rule.window.grow_to_ms)


def _lasts(hold: Hold, slide_ms: int) -> int:
    return max(hold.ms, hold.count * slide_ms)
