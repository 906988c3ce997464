"""The engine: one pane in, windows and alerts out. No Flink, no clock, no randomness.

    pane ─▶ runs of the machine ─▶ a row for each run and metric
         ─▶ gates ─▶ (wait for the machine's state) ─▶ roll-ups
                 ─▶ ring of panes ─▶ sliding windows
                 ─▶ per rule: is it in force? baseline, comparison, life of an alert
                 ─▶ per device: which alerts stand, and what rules over rules make of them

What comes out is a function of the sequence of a device's panes alone, however they arrive and
however often the state has been to disk and back.
"""

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

from schemas.records import Alert, WindowFeatures
from stream.conditions import Gate, When, told
from stream.device_state import DeviceEntry, DeviceState, HeldPane
from stream.device_turn import Above, Device, above, begin, follow
from stream.look import Watch
from stream.panes import Pane
from stream.rollups import Rolled, roll_up
from stream.rule import Rule, Rules, Session
from stream.sensor_checks import NoData
from stream.series_turn import Asked, Group, take
from stream.session_turn import take_part
from stream.silence import listen, look_out
from stream.turn import Holds, Out, Turn
from stream.windows import Subject, WindowSpec

_MAX_PLANS = 100_000


class _Plan(NamedTuple):
    """The rules of one series.

    ``conditional``: some rule of the device asks for its state; ``listens``: some rule of it minds
    silence. ``feeds`` are the conditions that
    ask this metric, ``awaits`` the gates that its own rules ask and another metric tells.
    ``rollups`` are the lengths of the series' roll-ups, ms, ``sessions`` those of the device.
    ``above`` is what the device's alerts together are held against.
    """

    asked: Asked
    conditional: bool
    listens: bool
    feeds: tuple[When, ...]
    awaits: tuple[str, ...]
    rollups: tuple[int, ...]
    sessions: tuple[Session, ...]
    above: Above


class Decision(NamedTuple):
    """What a pane led to: in order of the panes, then of window end, then of the rules' names."""

    windows: tuple[WindowFeatures, ...]
    alerts: tuple[Alert, ...]


NOTHING = Decision((), ())
_NO_GATES: Mapping[str, Gate] = {}


class Engine:
    """Applies a set of rules; holds no state of any device."""

    def __init__(self, rules: Rules, watch: Watch | None = None) -> None:
        """Take the rules; which of them a series has is found when it is first seen.

        ``watch`` is told what each rule made of each window.
        """
        self._watch = watch
        self._rules = rules
        self._gates = frozenset(rule.when.gate for rule in rules.rules if rule.when)
        self._plans: dict[tuple[str, str, str], _Plan] = {}

    def on_pane(
        self,
        state: DeviceState,
        device_id: str,
        metric: str,
        site: str,
        unit: str | None,
        pane: Pane,
    ) -> Decision:
        """Take the next pane of a device; return the windows it completes and their alerts.

        A pane that does not follow the newest one of its metric is passed over: it has been seen.
        A pane whose rules ask for a state that is not told up to its end waits until it is, or
        until the device has gone on; so do the panes behind it. A pane of no metric is a marker of
        a quiet device: those of all its metrics have come that end by then.

        Args:
            state: the device's, changed in place.
            device_id: whose pane it is.
            metric: of which metric; "" for a marker.
            site: copied to the records, and matched by rules.
            unit: copied to alerts.
            pane: in order of (end, metric) within the device.
        """
        plan = self._plan(device_id, metric, site)
        out = Out([], [], self._watch)
        row = HeldPane(metric, site, unit, pane)
        if metric and plan.sessions:
            out.windows.extend(take_part(state, plan.sessions, device_id, row))
        if not metric:
            self._quiet(state, plan, device_id, row, out)
        elif plan.conditional:
            self._in_turn(state, plan, device_id, row, out)
        else:
            self._take(state, plan, device_id, row, _NO_GATES, out)
        windows, alerts, _ = out
        return Decision(tuple(windows), tuple(alerts)) if windows or alerts else NOTHING

    def _in_turn(
        self, state: DeviceState, plan: _Plan, device_id: str, arrived: HeldPane, out: Out
    ) -> None:
        """Take a pane of a device whose state matters, and those that waited for it."""
        entry, end = state.entry(), arrived.pane.pane_end
        _drop(entry, entry.gates.keys() - self._gates)
        if entry.held and end > entry.held_to:
            self._release(state, device_id, out)
        for when in plan.feeds:
            entry.gates[when.gate] = told(entry.gates.get(when.gate), when, arrived.pane)
        if entry.held and all(entry.gates[g].seen_to >= entry.held_to for g in entry.waits):
            self._release(state, device_id, out)
        for name in plan.awaits:
            gate = entry.gates.get(name)
            if gate is not None and gate.seen_to < end and name not in entry.waits:
                entry.waits.append(name)
        if entry.waits:
            state.hold(arrived)
        else:
            self._take(state, plan, device_id, arrived, entry.gates, out)

    def _release(self, state: DeviceState, device_id: str, out: Out) -> None:
        for held in state.release():
            plan = self._plan(device_id, held.metric, held.site)
            self._take(state, plan, device_id, held, state.entry().gates, out)

    def _take(
        self,
        state: DeviceState,
        plan: _Plan,
        device_id: str,
        row: HeldPane,
        gates: Mapping[str, Gate],
        out: Out,
    ) -> None:
        """Take the turns of a series and of its device."""
        series, over = state.series(row.metric), plan.above
        device = Device(device_id, row.site, state, over)
        asks = over.asks or series.above
        end = row.pane.pane_end
        holds = Holds(over.spans, over.inhibits, begin(device, end, out.alerts) if asks else set())
        first = len(out.alerts)
        of = Subject(device_id, row.metric, row.site, row.unit)
        _turn(Turn(series, of, gates, holds, out), plan, row.pane)
        if plan.listens:
            checks = partial(self._checks, device_id)
            listen(state, of, end, checks)
            look_out(state, device_id, end, checks, holds, out)
        if asks or len(out.alerts) > first:
            follow(device, series, end, out.alerts, first)

    def _quiet(
        self, state: DeviceState, plan: _Plan, device_id: str, row: HeldPane, out: Out
    ) -> None:
        """Notice silence by a marker; where panes wait, nobody knows yet what they hold."""
        if not plan.listens or state.entry().held:
            return
        over, upto = plan.above, row.pane.pane_end
        device = Device(device_id, row.site, state, over)
        holds = Holds(
            over.spans, over.inhibits, begin(device, upto, out.alerts) if over.asks else set()
        )
        first = len(out.alerts)
        # No pane that ends at ``upto`` is still to come, as one may behind a pane.
        checks = partial(self._checks, device_id)
        look_out(state, device_id, upto + 1, checks, holds, out)
        if len(out.alerts) > first:
            series = state.series(out.alerts[first].metric)
            follow(device, series, upto, out.alerts, first)

    def _checks(self, device_id: str, metric: str, site: str) -> tuple[Rule, ...]:
        return self._plan(device_id, metric, site).asked.checks

    def _plan(self, device_id: str, metric: str, site: str) -> _Plan:
        key = (device_id, metric, site)
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= _MAX_PLANS:
                self._plans.clear()
            plan = self._plans[key] = _planned(self._rules, device_id, metric, site)
        return plan


def _drop(entry: DeviceEntry, names: set[str]) -> None:
    """Forget gates that no rule asks any more: told no more, they would be wrong one day."""
    for name in names:
        del entry.gates[name]
    if names:
        entry.waits = [gate for gate in entry.waits if gate not in names]


def _turn(turn: Turn, plan: _Plan, pane: Pane) -> None:
    if plan.rollups:
        rolled = turn.state.rolled = turn.state.rolled or Rolled()
        turn.out.windows.extend(roll_up(rolled, plan.rollups, turn.of, pane))
    elif turn.state.rolled is not None:
        turn.state.rolled = None
    take(turn, plan.asked, pane)


def _planned(rules: Rules, device_id: str, metric: str, site: str) -> _Plan:
    near = [rule for rule in rules.rules if rule.match.covers_device(device_id, site)]
    own = [rule for rule in near if rule.match.covers(device_id, metric, site)]
    over = above(rules, near, device_id, site)
    groups: dict[WindowSpec, list[Rule]] = {}
    for rule in sorted(own, key=lambda rule: any(rule.name in i.rules for i in over.inhibits)):
        if rule.check is None:
            groups.setdefault(rule.window, []).append(rule)
    checks = sorted((rule for rule in own if rule.check), key=lambda rule: not rule.gates)
    asked = [rule.when for rule in near if rule.when is not None]
    feeds = {when.gate: when for when in asked if when.metric == metric}
    awaits = (w.gate for w in (rule.when for rule in own) if w and w.op and w.metric != metric)
    return _Plan(
        Asked(
            tuple(
                Group(spec, tuple(rules), all(rule.when for rule in rules))
                for spec, rules in groups.items()
            ),
            tuple(checks),
            {rule.name: rule.digest for rule in own},
        ),
        bool(asked),
        any(isinstance(rule.check, NoData) for rule in near),
        tuple(feeds.values()),
        tuple(dict.fromkeys(awaits)),
        tuple(
            sorted({r.size_ms for r in rules.rollups if r.match.covers(device_id, metric, site)})
        ),
        tuple(s for s in rules.sessions if s.match.covers_device(device_id, site)),
        over,
    )
