"""The engine: one pane in, windows and alerts out. No Flink, no clock, no randomness.

    pane ─▶ those derived from it, and for each:
            runs of the machine ─▶ a row for each run and metric
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

from schemas.records import Alert, Device, WindowFeatures
from stream.commands import Said, obey_all
from stream.conditions import Gate, told
from stream.derive import DerivedState, Given, derive
from stream.device_state import DeviceState, HeldPane, drop_gates
from stream.device_turn import Device as DeviceTurn
from stream.device_turn import begin, follow
from stream.fleet import Fleet
from stream.look import Watch
from stream.panes import Pane
from stream.plans import Plan, planned
from stream.rollups import Rolled, roll_up
from stream.rule import Derived, Rule, Rules
from stream.series_turn import take
from stream.session_turn import take_part
from stream.silence import listen, look_out
from stream.turn import Holds, Out, Turn
from stream.windows import Subject

_MAX_PLANS = 100_000


class Decision(NamedTuple):
    """What a pane led to: in order of the panes, then of window end, then of the rules' names."""

    windows: tuple[WindowFeatures, ...]
    alerts: tuple[Alert, ...]


NOTHING = Decision((), ())
_NO_GATES: Mapping[str, Gate] = {}


class Engine:
    """Applies a set of rules; holds no state of any device."""

    def __init__(
        self,
        rules: Rules,
        watch: Watch | None = None,
        fleet: Fleet | None = None,
        *,
        rows: bool = True,
    ) -> None:
        """Take the rules; which of them a series has is found when it is first seen.

        ``watch`` is told what each rule made of each window; ``fleet`` knows what devices are, and
        may come to know more. Without ``rows`` no decision has windows: making their rows takes
        longer than most rules.
        """
        self._watch = watch
        self._rows = rows
        self._rules = rules
        self._fleet = fleet if rules.asks_devices else None
        self._gates = frozenset(rule.when.gate for rule in rules.rules if rule.when)
        self._plans: dict[tuple[str, str, str], tuple[Device | None, Plan]] = {}

    @property
    def has_conditions(self) -> bool:
        """Say whether any rule asks for the state of a machine."""
        return bool(self._gates)

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
        until the device has gone on; so do the panes behind it. A pane that completes a derived
        metric's is followed by that. A pane of no metric is a marker of a quiet device: those of
        all its metrics have come that end by then.

        Args:
            state: the device's, changed in place.
            device_id: whose pane it is.
            metric: of which metric; "" for a marker.
            site: copied to the records, and matched by rules.
            unit: copied to alerts.
            pane: in order of (end, metric) within the device.
        """
        out = self._out()
        row = HeldPane(metric, site, unit, pane)
        met = (device_id, metric, site) in self._plans
        plan = self._plan(device_id, metric, site, pane.pane_end)
        if not met:
            self._retire(state, device_id, plan, row, out)
        if not metric:
            self._quiet(state, plan, device_id, row, out)
        elif plan.derived:
            for each in _with_derived(state, plan.derived, row):
                own = self._plan(device_id, each.metric, site, pane.pane_end)
                self._decide(state, own, device_id, each, out)
        else:
            self._decide(state, plan, device_id, row, out)
        return _decision(out)

    def obey(
        self, state: DeviceState, device_id: str, site: str, said: list[Said], at: int
    ) -> Decision:
        """Do what people say of a device's alerts, before the pane that ends at ``at``, ms."""
        of: dict[str, list[Said]] = {}
        for each in said:
            of.setdefault(each.of.metric, []).append(each)
        alerts: list[Alert] = []
        for metric, own in of.items():
            plan = planned(self._rules, device_id, metric, site, self._device(device_id, at))
            alerts += obey_all(state, plan, device_id, own, at)
        return Decision((), tuple(alerts)) if alerts else NOTHING

    def rows(self, state: DeviceState, device_id: str, row: HeldPane) -> list[HeldPane]:
        """Return a pane with those derived from it, as :meth:`on_pane` decides on them in turn."""
        plan = self._plan(device_id, row.metric, row.site, row.pane.pane_end)
        return _with_derived(state, plan.derived, row) if plan.derived and row.metric else [row]

    def _decide(
        self, state: DeviceState, plan: Plan, device_id: str, row: HeldPane, out: Out
    ) -> None:
        """Take one pane, of a sensor or derived."""
        if plan.sessions:
            _give(out, take_part(state, plan.sessions, device_id, row))
        if plan.conditional:
            self._in_turn(state, plan, device_id, row, out)
        else:
            self._take(state, plan, device_id, row, _NO_GATES, out)

    def settle(self, state: DeviceState, device_id: str) -> Decision:
        """Take the panes that wait, with what is known of the machine's state by now."""
        out = self._out()
        self._release(state, device_id, out)
        return _decision(out)

    def _in_turn(
        self, state: DeviceState, plan: Plan, device_id: str, arrived: HeldPane, out: Out
    ) -> None:
        """Take a pane of a device whose state matters, and those that waited for it."""
        entry, end = state.entry(), arrived.pane.pane_end
        if entry.gates:
            drop_gates(entry, entry.gates.keys() - self._gates)
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
            plan = self._plan(device_id, held.metric, held.site, held.pane.pane_end)
            self._take(state, plan, device_id, held, state.entry().gates, out)

    def _take(
        self,
        state: DeviceState,
        plan: Plan,
        device_id: str,
        row: HeldPane,
        gates: Mapping[str, Gate],
        out: Out,
    ) -> None:
        """Take the turns of a series and of its device."""
        series, over, end = state.series(row.metric), plan.above, row.pane.pane_end
        asks = over.asks or series.above
        holds = over.nothing_held
        if asks:
            device = DeviceTurn(device_id, row.site, state, over)
            holds = Holds(over.spans, over.inhibits, begin(device, end, out.alerts))
        first = len(out.alerts)
        of = Subject(device_id, row.metric, row.site, row.unit)
        turn = Turn(series, of, gates, holds, out)
        if plan.rollups or series.rolled is not None:
            _roll_up(turn, plan, row.pane)
        take(turn, plan.asked, row.pane)
        if plan.listens:
            checks = partial(self._checks, device_id, end)
            listen(state, of, end, checks)
            look_out(state, device_id, end, checks, holds, out)
        if asks or len(out.alerts) > first:
            device = DeviceTurn(device_id, row.site, state, over)
            follow(device, series, end, out.alerts, first)

    def _quiet(
        self, state: DeviceState, plan: Plan, device_id: str, row: HeldPane, out: Out
    ) -> None:
        """Notice silence by a marker; where panes wait, nobody knows yet what they hold."""
        if not plan.listens or state.entry().held:
            return
        over, upto = plan.above, row.pane.pane_end
        device = DeviceTurn(device_id, row.site, state, over)
        holds = Holds(
            over.spans, over.inhibits, begin(device, upto, out.alerts) if over.asks else set()
        )
        first = len(out.alerts)
        # No pane that ends at ``upto`` is still to come, as one may behind a pane.
        checks = partial(self._checks, device_id, upto)
        look_out(state, device_id, upto + 1, checks, holds, out)
        if len(out.alerts) > first:
            series = state.series(out.alerts[first].metric)
            follow(device, series, upto, out.alerts, first)

    def _checks(self, device_id: str, at: int, metric: str, site: str) -> tuple[Rule, ...]:
        return self._plan(device_id, metric, site, at).asked.checks

    def _retire(
        self, state: DeviceState, device_id: str, plan: Plan, row: HeldPane, out: Out
    ) -> None:
        """End what is left of derived metrics that the rules have no more: no pane ever would."""
        states = state.entry().derived
        for metric in sorted(states.keys() - {each.metric for each in plan.derived}):
            last = HeldPane(metric, row.site, None, row.pane)
            self._take(state, plan.without_rules(), device_id, last, _NO_GATES, out)
            state.series(metric).ring = []
            del states[metric]

    def _plan(self, device_id: str, metric: str, site: str, at: int) -> Plan:
        key = (device_id, metric, site)
        device = self._device(device_id, at)
        known = self._plans.get(key)
        if known is not None and known[0] is device:
            return known[1]
        if len(self._plans) >= _MAX_PLANS:
            self._plans.clear()
        plan = planned(self._rules, device_id, metric, site, device)
        self._plans[key] = device, plan
        return plan

    def _out(self) -> Out:
        return Out([] if self._rows else None, [], self._watch)

    def _device(self, device_id: str, at: int) -> Device | None:
        """Return what is known of a device at an event time, ms, if any rule asks."""
        return None if self._fleet is None else self._fleet.at(device_id, at)


def _decision(out: Out) -> Decision:
    if not out.windows and not out.alerts:
        return NOTHING
    return Decision(tuple(out.windows or ()), tuple(out.alerts))


def _give(out: Out, rows: list[WindowFeatures]) -> None:
    if out.windows is not None:
        out.windows.extend(rows)


def _with_derived(
    state: DeviceState, derived: tuple[Derived, ...], row: HeldPane
) -> list[HeldPane]:
    """Return a pane with those derived from it; panes of another formula are forgotten."""
    states = state.entry().derived
    for each in derived:
        known = states.get(each.metric)
        if known is not None and known.digest != each.digest:
            states[each.metric] = DerivedState(each.digest, known.done_to)
            state.series(each.metric).ring = []
    rows = derive(states, derived, Given(row.metric, row.unit, row.pane))
    return [HeldPane(metric, row.site, unit, pane) for metric, unit, pane in rows]


def _roll_up(turn: Turn, plan: Plan, pane: Pane) -> None:
    if plan.rollups:
        rolled = turn.state.rolled = turn.state.rolled or Rolled()
        _give(turn.out, roll_up(rolled, plan.rollups, turn.of, pane))
    else:
        turn.state.rolled = None
