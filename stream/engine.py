"""The engine: one pane in, windows and alerts out. No Flink, no clock, no randomness.

    pane ─▶ gates ─▶ (wait for the machine's state) ─▶ ring of panes ─▶ sliding windows
                 ─▶ per rule: is it in force? baseline, comparison, life of an alert

What comes out is a function of the sequence of a device's panes alone, however they arrive and
however often the state has been to disk and back.
"""

from collections.abc import Mapping
from typing import NamedTuple

from schemas.records import Alert, WindowFeatures
from stream.alert_record import ended, record
from stream.baselines import freezes, learn
from stream.conditions import Gate, When, enabled_since, is_out_of_question, told
from stream.detectors import AGGREGATES, Verdict, against_baseline, against_value
from stream.device_state import DeviceState, HeldPane, RuleState, SeriesState
from stream.lifecycle import Life, advance, phase
from stream.panes import Pane
from stream.rule import Rule, Rules
from stream.windows import Subject, Window, WindowSpec, cut, ends_between, features, kept_from

_MAX_PLANS = 100_000


class _Group(NamedTuple):
    """The rules of a series that look at the same windows."""

    spec: WindowSpec
    rules: tuple[Rule, ...]


class _Plan(NamedTuple):
    """The rules of one series, and their digests by name.

    ``conditional``: some rule of the device asks for its state. ``feeds`` are the conditions that
    ask this metric, ``awaits`` the gates that its own rules ask and another metric tells.
    """

    groups: tuple[_Group, ...]
    digests: dict[str, str]
    conditional: bool
    feeds: tuple[When, ...]
    awaits: tuple[str, ...]


class Decision(NamedTuple):
    """What a pane led to: in order of the panes, then of window end, then of the rules' names."""

    windows: tuple[WindowFeatures, ...]
    alerts: tuple[Alert, ...]


NOTHING = Decision((), ())
_NOT_YET = 0
"""Nothing can be forgotten while a window is open that may need it."""
_NO_GATES: Mapping[str, Gate] = {}


class _Out(NamedTuple):
    """What a pane has led to so far."""

    windows: list[WindowFeatures]
    alerts: list[Alert]


class _Turn(NamedTuple):
    """One pane's turn: what it changes, reads and adds to."""

    state: SeriesState
    of: Subject
    gates: Mapping[str, Gate]
    out: _Out


class Engine:
    """Applies a set of rules; holds no state of any device."""

    def __init__(self, rules: Rules) -> None:
        """Take the rules; which of them a series has is found when it is first seen."""
        self._rules = rules.rules
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
        until the device has gone on; so do the panes behind it.

        Args:
            state: the device's, changed in place.
            device_id: whose pane it is.
            metric: of which metric.
            site: copied to the records, and matched by rules.
            unit: copied to alerts.
            pane: in order of (end, metric) within the device.
        """
        plan = self._plan(device_id, metric, site)
        out = _Out([], [])
        if plan.conditional:
            self._in_turn(state, plan, device_id, HeldPane(metric, site, unit, pane), out)
        else:
            of = Subject(device_id, metric, site, unit)
            _take(_Turn(state.series(metric), of, _NO_GATES, out), plan, pane)
        windows, alerts = out
        return Decision(tuple(windows), tuple(alerts)) if windows or alerts else NOTHING

    def _in_turn(
        self, state: DeviceState, plan: _Plan, device_id: str, arrived: HeldPane, out: _Out
    ) -> None:
        """Take a pane of a device whose state matters, and those that waited for it."""
        entry, end = state.entry(), arrived.pane.pane_end
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
            _conditional(state, plan, device_id, arrived, out)

    def _release(self, state: DeviceState, device_id: str, out: _Out) -> None:
        for held in state.release():
            plan = self._plan(device_id, held.metric, held.site)
            _conditional(state, plan, device_id, held, out)

    def _plan(self, device_id: str, metric: str, site: str) -> _Plan:
        key = (device_id, metric, site)
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= _MAX_PLANS:
                self._plans.clear()
            plan = self._plans[key] = _planned(self._rules, device_id, metric, site)
        return plan


def _conditional(state: DeviceState, plan: _Plan, device_id: str, row: HeldPane, out: _Out) -> None:
    of = Subject(device_id, row.metric, row.site, row.unit)
    _take(_Turn(state.series(row.metric), of, state.entry().gates, out), plan, row.pane)


def _planned(rules: tuple[Rule, ...], device_id: str, metric: str, site: str) -> _Plan:
    near = [rule for rule in rules if rule.match.covers_device(device_id, site)]
    own = [rule for rule in near if rule.match.covers(device_id, metric, site)]
    groups: dict[WindowSpec, list[Rule]] = {}
    for rule in own:
        groups.setdefault(rule.window, []).append(rule)
    asked = [rule.when for rule in near if rule.when is not None]
    feeds = {when.gate: when for when in asked if when.metric == metric}
    awaits = (w.gate for w in (rule.when for rule in own) if w and w.op and w.metric != metric)
    return _Plan(
        tuple(_Group(spec, tuple(rules)) for spec, rules in groups.items()),
        {rule.name: rule.digest for rule in own},
        bool(asked),
        tuple(feeds.values()),
        tuple(dict.fromkeys(awaits)),
    )


def _take(turn: _Turn, plan: _Plan, pane: Pane) -> None:
    """Take a pane of a series whose turn it is: its windows, and what they lead to."""
    state = turn.state
    alerts = turn.out.alerts
    alerts.extend(_reconcile(state, plan, pane.pane_end))
    seen_to = pane.pane_start if state.seen_to is None else state.seen_to
    groups = plan.groups
    if plan.conditional:
        groups = tuple(group for group in groups if not _is_idle(group, turn))
    if not groups or pane.pane_start < seen_to:
        return
    first = len(alerts)
    for end, group in _missed(groups, state.ring, seen_to, pane.pane_start):
        _window(turn, group, end)
    state.seen_to = pane.pane_end
    if pane.n > 0:
        state.ring.append(pane)
    kept = [
        _window(turn, group, pane.pane_end)
        if pane.pane_end % group.spec.slide_ms == 0
        else _NOT_YET
        for group in groups
    ]
    _forget(state.ring, min(kept))
    if len(alerts) > first + 1:
        alerts[first:] = sorted(alerts[first:], key=lambda each: (each.emitted_at, each.rule))


def _is_idle(group: _Group, turn: _Turn) -> bool:
    """Say whether no rule of a group can be in force, and none has an alert to end."""
    return all(
        rule.when is not None
        and is_out_of_question(rule.when, turn.gates)
        and not (rule.name in turn.state.rules and turn.state.rules[rule.name].life.levels)
        for rule in group.rules
    )


def _missed(
    groups: tuple[_Group, ...], ring: list[Pane], after: int, upto: int
) -> list[tuple[int, _Group]]:
    """Return windows that ended without a pane of their own end: those across a gap."""
    if not ring or after >= upto:
        return []
    found = [
        (end, group) for group in groups for end in ends_between(group.spec, after, upto, ring[-1])
    ]
    found.sort(key=lambda pair: pair[0])
    return found


def _window(turn: _Turn, group: _Group, end: int) -> int:
    """Make the window that ends at ``end`` and apply its rules.

    Returns where windows of this kind begin from here on.
    """
    window = cut(group.spec, turn.state.ring, end)
    if window is None:
        return _NOT_YET
    made = features(turn.of, window.start, end, window.panes)
    turn.out.windows.append(made)
    kept = kept_from(group.spec, window, end)
    for rule in group.rules:
        own = _state_of(turn.state, rule)
        since = 0 if rule.when is None else enabled_since(rule.when, turn.gates, end)
        if since is not None and since > window.start:
            since = None  # a part of the window is of another state
        if rule.baseline is not None:
            frozen = since is None or freezes(rule.baseline, phase(own.life))
            learn(own.baseline, rule.baseline, turn.state.ring, kept, frozen=frozen, since=since)
        if since is None:
            alert = _suspend(rule, own.life, end)
        else:
            alert = _apply(rule, own, turn.of, window, made)
        if alert is not None:
            turn.out.alerts.append(alert)
    return kept


def _state_of(state: SeriesState, rule: Rule) -> RuleState:
    found = state.rules.get(rule.name)
    if found is None:
        found = state.rules[rule.name] = RuleState(rule.digest)
    return found


def _apply(
    rule: Rule, own: RuleState, of: Subject, window: Window, made: WindowFeatures
) -> Alert | None:
    life = own.life
    if not window.enough or made.count < rule.min_samples or made.window_end < life.rests_until:
        return None
    verdict = _judge(rule, own, made)
    if verdict is None:
        return None
    change = advance(life, rule.severities, verdict.score, verdict.value, made.window_end)
    if change is None:
        return None
    alert = record(rule, of, made, verdict, life, change)
    life.open = alert
    if change.event == "RESOLVED":
        _end(rule, life, made.window_end)
    return alert


def _judge(rule: Rule, own: RuleState, made: WindowFeatures) -> Verdict | None:
    value = AGGREGATES[rule.aggregate](made)
    if rule.baseline is None:
        return against_value(rule.op, value)
    middle = (made.window_start + made.window_end) // 2
    return against_baseline(rule.op, value, rule.baseline, own.baseline, middle)


def _suspend(rule: Rule, life: Life, at: int) -> Alert | None:
    """Let a rule rest whose condition is not met.

    What only might have become an alert is forgotten; an alert stays as it is, or ends.
    """
    if life.open is None:
        life.levels = []
        return None
    if rule.when is None or rule.when.open == "hold":
        return None
    alert = ended(life.open, phase(life), at, "RESET")
    life.levels = []
    _end(rule, life, at)
    return alert


def _end(rule: Rule, life: Life, at: int) -> None:
    """Note that an alert is over; with a cooldown, nothing is pending either."""
    life.open = None
    if rule.cooldown_ms:
        life.levels, life.rests_until = [], at + rule.cooldown_ms


def _reconcile(state: SeriesState, plan: _Plan, at: int) -> list[Alert]:
    """Drop the memory of rules that changed; return the records that close their alerts."""
    changed = [name for name, own in state.rules.items() if plan.digests.get(name) != own.digest]
    closed = []
    for name in changed:
        life = state.rules.pop(name).life
        if life.open is not None:
            closed.append(ended(life.open, phase(life), at, "RULE_CHANGED"))
    return closed


def _forget(ring: list[Pane], oldest: int) -> None:
    """Drop the panes that ended by ``oldest``."""
    count = 0
    while count < len(ring) and ring[count].pane_end <= oldest:
        count += 1
    if count:
        del ring[:count]
