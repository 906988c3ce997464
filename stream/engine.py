"""The engine: one pane in, windows and alerts out. No Flink, no clock, no randomness.

    pane ─▶ gates ─▶ (wait for the machine's state) ─▶ ring of panes ─▶ sliding windows
                 ─▶ per rule: is it in force? baseline, comparison, life of an alert

What comes out is a function of the sequence of a device's panes alone, however they arrive and
however often the state has been to disk and back.
"""

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

from schemas.records import Alert, WindowFeatures
from stream.conditions import Gate, When, told
from stream.device_state import DeviceEntry, DeviceState, HeldPane
from stream.panes import Pane
from stream.rule import Rule, Rules
from stream.sensor_checks import NoData
from stream.series_turn import Asked, Group, take
from stream.silence import listen, look_out
from stream.turn import Out, Turn
from stream.windows import Subject, WindowSpec

_MAX_PLANS = 100_000


class _Plan(NamedTuple):
    """The rules of one series.

    ``conditional``: some rule of the device asks for its state; ``listens``: some rule of it minds
    silence. ``feeds`` are the conditions that ask this metric, ``awaits`` the gates that its own
    rules ask and another metric tells.
    """

    asked: Asked
    conditional: bool
    listens: bool
    feeds: tuple[When, ...]
    awaits: tuple[str, ...]


class Decision(NamedTuple):
    """What a pane led to: in order of the panes, then of window end, then of the rules' names."""

    windows: tuple[WindowFeatures, ...]
    alerts: tuple[Alert, ...]


NOTHING = Decision((), ())
_NO_GATES: Mapping[str, Gate] = {}


class Engine:
    """Applies a set of rules; holds no state of any device."""

    def __init__(self, rules: Rules) -> None:
        """Take the rules; which of them a series has is found when it is first seen."""
        self._rules = rules.rules
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
        out = Out([], [])
        if not metric:
            self._quiet(state, plan, device_id, pane.pane_end, out)
        elif plan.conditional:
            self._in_turn(state, plan, device_id, HeldPane(metric, site, unit, pane), out)
        else:
            self._take(state, plan, device_id, HeldPane(metric, site, unit, pane), out)
        windows, alerts = out
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
            self._take(state, plan, device_id, arrived, out)

    def _release(self, state: DeviceState, device_id: str, out: Out) -> None:
        for held in state.release():
            plan = self._plan(device_id, held.metric, held.site)
            self._take(state, plan, device_id, held, out)

    def _take(
        self, state: DeviceState, plan: _Plan, device_id: str, row: HeldPane, out: Out
    ) -> None:
        of = Subject(device_id, row.metric, row.site, row.unit)
        gates = state.entry().gates if plan.conditional else _NO_GATES
        take(Turn(state.series(row.metric), of, gates, out), plan.asked, row.pane)
        if plan.listens:
            checks = partial(self._checks, device_id)
            listen(state, of, row.pane.pane_end, checks)
            look_out(state, device_id, row.pane.pane_end, checks, out)

    def _quiet(self, state: DeviceState, plan: _Plan, device_id: str, upto: int, out: Out) -> None:
        """Notice silence by a marker; where panes wait, nobody knows yet what they hold."""
        if plan.listens and not state.entry().held:
            # No pane that ends at ``upto`` is still to come, as one may behind a pane.
            look_out(state, device_id, upto + 1, partial(self._checks, device_id), out)

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


def _planned(rules: tuple[Rule, ...], device_id: str, metric: str, site: str) -> _Plan:
    near = [rule for rule in rules if rule.match.covers_device(device_id, site)]
    own = [rule for rule in near if rule.match.covers(device_id, metric, site)]
    groups: dict[WindowSpec, list[Rule]] = {}
    for rule in own:
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
    )
