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
from typing import NamedTuple

from msgspec.structs import replace

from schemas.records import Alert, WindowFeatures
from stream.baselines import Fitted
from stream.conditions import Gate, When, told
from stream.derive import DerivedState, Given, derive
from stream.device_state import DeviceEntry, DeviceState, HeldPane
from stream.device_turn import Above, Device, above, begin, follow
from stream.look import Watch
from stream.panes import Pane
from stream.rollups import Rolled, roll_up
from stream.rule import Derived, Rule, Rules, Session
from stream.series_turn import Group, Holds, Out, Turn, take
from stream.session_turn import take_part
from stream.windows import Subject, WindowSpec

_MAX_PLANS = 100_000


class _Plan(NamedTuple):
    """The rules of one series, and their digests by name.

    ``conditional``: some rule of the device asks for its state. ``feeds`` are the conditions that
    ask this metric, ``awaits`` the gates that its own rules ask and another metric tells.
    ``rollups`` are the lengths of the series' roll-ups, ms, ``sessions`` those of the device, and
    so are the ``derived`` metrics. ``above`` is what the device's alerts together are held against.
    """

    groups: tuple[Group, ...]
    digests: dict[str, str]
    conditional: bool
    feeds: tuple[When, ...]
    awaits: tuple[str, ...]
    rollups: tuple[int, ...]
    sessions: tuple[Session, ...]
    above: Above
    derived: tuple[Derived, ...]


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
        metric's is followed by that.

        Args:
            state: the device's, changed in place.
            device_id: whose pane it is.
            metric: of which metric.
            site: copied to the records, and matched by rules.
            unit: copied to alerts.
            pane: in order of (end, metric) within the device.
        """
        out = Out([], [], self._watch)
        row = HeldPane(metric, site, unit, pane)
        plan = self._plans.get((device_id, metric, site))
        if plan is None:
            plan = self._plan(device_id, metric, site)
            _retire(state, device_id, plan, row, out)
        if plan.derived:
            for each in _with_derived(state, plan.derived, row):
                self._decide(state, self._plan(device_id, each.metric, site), device_id, each, out)
        else:
            self._decide(state, plan, device_id, row, out)
        return _decision(out)

    def rows(self, state: DeviceState, device_id: str, row: HeldPane) -> list[HeldPane]:
        """Return a pane with those derived from it, as :meth:`on_pane` decides on them in turn."""
        plan = self._plan(device_id, row.metric, row.site)
        return _with_derived(state, plan.derived, row) if plan.derived else [row]

    def _decide(
        self, state: DeviceState, plan: _Plan, device_id: str, row: HeldPane, out: Out
    ) -> None:
        """Take one pane, of a sensor or derived."""
        if plan.sessions:
            out.windows.extend(take_part(state, plan.sessions, device_id, row))
        if plan.conditional:
            self._in_turn(state, plan, device_id, row, out)
        else:
            _take(state, plan, device_id, row, _NO_GATES, out)

    def settle(self, state: DeviceState, device_id: str) -> Decision:
        """Take the panes that wait, with what is known of the machine's state by now."""
        out = Out([], [], self._watch)
        self._release(state, device_id, out)
        return _decision(out)

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
            _take(state, plan, device_id, arrived, entry.gates, out)

    def _release(self, state: DeviceState, device_id: str, out: Out) -> None:
        for held in state.release():
            plan = self._plan(device_id, held.metric, held.site)
            _take(state, plan, device_id, held, state.entry().gates, out)

    def _plan(self, device_id: str, metric: str, site: str) -> _Plan:
        key = (device_id, metric, site)
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= _MAX_PLANS:
                self._plans.clear()
            plan = self._plans[key] = _planned(self._rules, device_id, metric, site)
        return plan


def _decision(out: Out) -> Decision:
    windows, alerts, _ = out
    return Decision(tuple(windows), tuple(alerts)) if windows or alerts else NOTHING


def _drop(entry: DeviceEntry, names: set[str]) -> None:
    """Forget gates that no rule asks any more: told no more, they would be wrong one day."""
    for name in names:
        del entry.gates[name]
    if names:
        entry.waits = [gate for gate in entry.waits if gate not in names]


def _take(
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
    now = begin(device, row.pane.pane_end, out.alerts) if asks else set()
    first = len(out.alerts)
    of = Subject(device_id, row.metric, row.site, row.unit)
    turn = Turn(series, of, gates, Holds(over.spans, over.inhibits, now), out)
    _turn(turn, plan, row.pane)
    if asks or len(out.alerts) > first:
        follow(device, series, row.pane.pane_end, out.alerts, first)


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


def _retire(state: DeviceState, device_id: str, plan: _Plan, row: HeldPane, out: Out) -> None:
    """End what is left of derived metrics that the rules have no more: no pane ever would."""
    states = state.entry().derived
    for metric in sorted(states.keys() - {each.metric for each in plan.derived}):
        gone = plan._replace(groups=(), digests={}, rollups=())
        _take(state, gone, device_id, HeldPane(metric, row.site, None, row.pane), _NO_GATES, out)
        state.series(metric).ring = []
        del states[metric]


def _turn(turn: Turn, plan: _Plan, pane: Pane) -> None:
    if plan.rollups:
        rolled = turn.state.rolled = turn.state.rolled or Rolled()
        turn.out.windows.extend(roll_up(rolled, plan.rollups, turn.of, pane))
    elif turn.state.rolled is not None:
        turn.state.rolled = None
    take(turn, plan.groups, plan.digests, pane)


def _planned(rules: Rules, device_id: str, metric: str, site: str) -> _Plan:
    near = [rule for rule in rules.rules if rule.match.covers_device(device_id, site)]
    # Of several of one name, the first in the file that is for this device.
    made = {d.metric: d for d in reversed(rules.derived) if d.match.covers_device(device_id, site)}
    derived = tuple(d for d in rules.derived if made.get(d.metric) is d)
    covering = [rule for rule in near if rule.match.covers(device_id, metric, site)]
    series = (_of_series(rule, device_id, metric, made.get(metric)) for rule in covering)
    own = [rule for rule in series if rule is not None]
    over = above(rules, near, device_id, site)
    groups: dict[WindowSpec, list[Rule]] = {}
    for rule in sorted(own, key=lambda rule: any(rule.name in i.rules for i in over.inhibits)):
        groups.setdefault(rule.window, []).append(rule)
    asked = [rule.when for rule in near if rule.when is not None]
    feeds = {when.gate: when for when in asked if when.metric == metric}
    awaits = (w.gate for w in (rule.when for rule in own) if w and w.op and w.metric != metric)
    return _Plan(
        tuple(
            Group(spec, tuple(rules), all(rule.when for rule in rules))
            for spec, rules in groups.items()
        ),
        {rule.name: rule.digest for rule in own},
        bool(asked),
        tuple(feeds.values()),
        tuple(dict.fromkeys(awaits)),
        tuple(
            sorted({r.size_ms for r in rules.rollups if r.match.covers(device_id, metric, site)})
        ),
        tuple(s for s in rules.sessions if s.match.covers_device(device_id, site)),
        over,
        derived,
    )


def _of_series(rule: Rule, device_id: str, metric: str, derived: Derived | None) -> Rule | None:
    """Return a rule as it is for one series; None where its model does not know that.

    What is remembered is of what the model says, and of the formula of a derived metric.
    """
    if isinstance(rule.baseline, Fitted):
        said = rule.baseline.of(device_id, metric)
        if said is None:
            return None
        digest = f"{rule.digest}-{said.mean!r}-{said.std!r}"
        rule = replace(rule, baseline=said, digest=digest)
    return rule if derived is None else replace(rule, digest=f"{rule.digest}-{derived.digest}")
