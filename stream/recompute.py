"""A device's past, computed again from all its readings: the job's own engine, nothing late.

State starts empty some time before the period, the run-in, so that at the period's start it is
what the job had. How long that is, the rules say: a window needs the readings in it, a delay the
time it waits, and a baseline all that it has ever learned from. What a machine said last of its
state may be older than all of that: the metrics that conditions ask are taken from the beginning.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from typing import NamedTuple

from schemas.records import Alert, Device, Reading, WindowFeatures
from stream.commands import Commands
from stream.correction import Scope
from stream.counted import Counts
from stream.device_state import DeviceState
from stream.engine import Decision, Engine
from stream.lifecycle import phase
from stream.pane_sizes import PANES_MS
from stream.panes import PaneRow, panes_of
from stream.rule import Rules
from stream.rule_sets import Engines
from stream.run_in import longest_ms, memory_ms
from stream.standing import DEVICE_METRIC

DAY_MS = 86_400_000
"""Readings are taken a UTC day at a time: no pane reaches over midnight."""
assert all(DAY_MS % pane == 0 for pane in PANES_MS)


class Before(NamedTuple):
    """What has to be known of the job's own run over one device.

    Attributes:
        closed_to: by metric, up to where what the job says is its last word, ms: later windows
            are still to come from it. Of a metric that is missing it has said nothing.
        active: from when to when it had alerts, or rested after them; an end of infinity for one
            still open.
        bounds: by metric, where its windows of the scope, and those that its alerts were decided
            on, begin and end.
    """

    closed_to: Mapping[str, int]
    active: Sequence[tuple[int, float]]
    bounds: Mapping[str, Iterable[int]] = {}

    def has_told(self, metric: str, at: int) -> bool:
        """Say whether what the job says of alerts of a metric, or the device, at a time is told.

        That alerts of the device as a whole last no longer comes out with the next pane of any.
        """
        if metric == DEVICE_METRIC:
            return at < max(self.closed_to.values(), default=-inf)
        return at <= self.closed_to.get(metric, -inf)


class Recomputed(NamedTuple):
    """What a device's readings lead to.

    Attributes:
        windows: those that end within the scope, and where the job has been.
        alerts: every transition from the start of the run-in on, as far as the job has been.
        panes: how many were folded.
        ahead: windows within the scope that the job has still to give out.
        counts: of the readings between the bounds of the job's windows.
        learning: metrics and rules that learn from all that came before.
        unknown: metrics with rules of which the job has given nothing out.
    """

    windows: list[WindowFeatures]
    alerts: list[Alert]
    panes: int
    ahead: int
    counts: Counts
    learning: set[tuple[str, str]]
    unknown: set[str]


class _Device(NamedTuple):
    """What the engine remembers, and of which metrics: the end of the newest pane of each, ms."""

    state: DeviceState
    metrics: dict[str, int]


def makes(rules: Rules, window: WindowFeatures, device: Device | None) -> bool:
    """Say whether these rules make windows of that shape for that series.

    ``device`` is what is known of its device at its end.
    """
    length = window.window_end - window.window_start
    return any(
        rollup.size_ms == length
        and window.window_start % length == 0
        and rollup.match.covers(window.device_id, window.metric, window.site)
        for rollup in rules.rollups
    ) or any(
        rule.check is None
        and rule.window.size_ms <= length <= longest_ms(rule)
        and window.window_end % rule.window.slide_ms == 0
        and rule.match.covers(window.device_id, window.metric, window.site, device)
        for rule in rules.rules
    )


def recompute(
    engine: Engine | Engines,
    rules: Rules,
    size_of: Callable[[str], int],
    days: Iterable[Sequence[Reading]],
    scope: Scope,
    before: Before,
    resets: Commands,
) -> Recomputed:
    """Run a device's readings through the engine until nothing in the scope can change any more.

    That is at the first midnight behind the scope at which all windows of the scope are there and
    no alert of the device is active, neither by the job's own account nor by this one. Where the
    readings end, panes that still wait for the machine's state lead to nothing yet.

    Args:
        engine: of the rules, or one for each set of them.
        rules: the same.
        size_of: how long the job's panes of a metric are, ms; others differ in the last digits.
        days: the device's readings by UTC day, in order; within a day in any order.
        scope: the window ends that are asked for.
        before: what the job did.
        resets: what people said of its alerts that ends them; what is due is taken out.
    """
    device = _Device(DeviceState(), {})
    found = Recomputed([], [], 0, 0, Counts(rules, before.bounds), set(), set())
    for readings in days:
        midnight = readings[0].ts // DAY_MS * DAY_MS
        done = midnight >= scope.upto and _has_told(device, rules, scope.upto)
        if done and _quiet(device, before.active, midnight):
            break
        rows = list(panes_of(readings, size_of))
        found = _take_day(engine, resets, device, rows, scope, before, found)
    learning = {rule.name for rule in rules.rules if memory_ms(rule, rules) > 0}
    for metric in device.metrics:
        own = device.state.series(metric).rules
        found.learning.update((metric, name) for name in own if name in learning)
    return found


def _take_day(
    engine: Engine | Engines,
    resets: Commands,
    device: _Device,
    rows: Sequence[PaneRow],
    scope: Scope,
    before: Before,
    found: Recomputed,
) -> Recomputed:
    ahead = 0
    for row in rows:
        device.metrics[row.metric] = row.pane.pane_end
        found.counts.take(row.metric, row.pane)
        if said := resets.due(row.device_id, row.pane.pane_end):
            obeyed = engine.obey(device.state, row.device_id, row.site, said, row.pane.pane_end)
            _keep(obeyed, scope, before, found)
        decision = engine.on_pane(
            device.state, row.device_id, row.metric, row.site, row.unit, row.pane
        )
        ahead += _keep(decision, scope, before, found)
    for metric, state in device.state.entry().derived.items():
        device.metrics[metric] = state.done_to
    return found._replace(panes=found.panes + len(rows), ahead=found.ahead + ahead)


def _keep(decision: Decision, scope: Scope, before: Before, found: Recomputed) -> int:
    """Keep what the job has given out, too; return how many windows of the scope it has not."""
    ahead = 0
    for window in decision.windows:
        if window.session:
            continue  # runs are not repaired
        upto = before.closed_to.get(window.metric)
        if upto is None:
            found.unknown.add(window.metric)
        elif scope.after < window.window_end <= scope.upto:
            if window.window_end <= upto:
                found.windows.append(window)
            else:
                ahead += 1
    found.alerts.extend(a for a in decision.alerts if before.has_told(a.metric, a.emitted_at))
    return ahead


def _quiet(device: _Device, active: Sequence[tuple[int, float]], at: int) -> bool:
    """Say whether no alert of any metric, or of the device, is active or about to be at a time."""
    lives = [each.life for each in device.state.entry().followed.values()]
    for metric in device.metrics:
        lives += [own.life for own in device.state.series(metric).rules.values()]
    return not any(since < at < end for since, end in active) and all(
        phase(life) == "INACTIVE" for life in lives
    )


def _has_told(device: _Device, rules: Rules, upto: int) -> bool:
    """Say whether no window that ends by ``upto`` is still to come.

    Panes may wait for the machine's state, or for the other inputs of a derived metric; and the
    windows between a metric's last reading and a gap's end come out with the pane behind the gap.
    """
    entry = device.state.entry()
    if entry.held or any(each.parts and each.end <= upto for each in entry.derived.values()):
        return False
    longest = max(map(longest_ms, rules.rules))
    for metric, newest in device.metrics.items():
        series = device.state.series(metric)
        if series.ring and newest < min(upto, series.ring[-1].pane_start + longest):
            return False
        rolled = {} if series.rolled is None else series.rolled.partial
        if any(partial.start + size <= upto for size, partial in rolled.items()):
            return False
    return True
