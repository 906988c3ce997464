"""One series' turn: a pane, the windows it completes, and what the rules make of them."""

from collections.abc import Mapping
from typing import NamedTuple

from schemas.records import Alert, WindowFeatures
from stream.alert_record import ended, record
from stream.baselines import freezes, learn
from stream.conditions import Gate, enabled_since, is_out_of_question
from stream.detectors import AGGREGATES, Verdict, against_baseline, against_value
from stream.device_state import RuleState, SeriesState
from stream.lifecycle import advance, finish, phase
from stream.look import Look, Watch
from stream.methods import CHARTS, Memory, on_chart, on_course, over, rested
from stream.panes import Pane
from stream.rule import Rule
from stream.suppress import Inhibit, Spans, inhibited, resumed
from stream.windows import Subject, Window, WindowSpec, cut, ends_between, features, kept_from

_NOT_YET = 0
"""Nothing can be forgotten while a window is open that may need it."""


class Group(NamedTuple):
    """The rules of a series that look at the same windows; ``asks`` if each has a condition."""

    spec: WindowSpec
    rules: tuple[Rule, ...]
    asks: bool


class Out(NamedTuple):
    """What a pane has led to so far; ``watch``, if any, is told of every look."""

    windows: list[WindowFeatures]
    alerts: list[Alert]
    watch: Watch | None = None


class Holds(NamedTuple):
    """What holds rules back: planned work, and stronger alerts.

    ``now`` are the rules that may not begin; those are added that an alert of this turn inhibits.
    """

    spans: Spans
    inhibits: tuple[Inhibit, ...]
    now: set[str]


class Turn(NamedTuple):
    """What a series' turn changes, reads and adds to."""

    state: SeriesState
    of: Subject
    gates: Mapping[str, Gate]
    holds: Holds
    out: Out


def take(turn: Turn, all_groups: tuple[Group, ...], digests: Mapping[str, str], pane: Pane) -> None:
    """Take a pane: the windows it completes, and what the rules make of them.

    Args:
        turn: whose pane it is; its state is changed in place and its output added to.
        all_groups: the rules of the series.
        digests: theirs, by name.
        pane: passed over when it does not follow the newest one.
    """
    state, alerts = turn.state, turn.out.alerts
    alerts.extend(_reconcile(state, digests, pane.pane_end))
    seen_to = pane.pane_start if state.seen_to is None else state.seen_to
    groups = tuple(group for group in all_groups if not _is_idle(group, turn))
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


def _is_idle(group: Group, turn: Turn) -> bool:
    """Say whether no rule of a group can be in force, and none has an alert to end."""
    return group.asks and all(
        rule.when is not None
        and is_out_of_question(rule.when, turn.gates)
        and not (rule.name in turn.state.rules and turn.state.rules[rule.name].life.levels)
        for rule in group.rules
    )


def _missed(
    groups: tuple[Group, ...], ring: list[Pane], after: int, upto: int
) -> list[tuple[int, Group]]:
    """Return windows that ended without a pane of their own end: those across a gap."""
    if not ring or after >= upto:
        return []
    found = [
        (end, group) for group in groups for end in ends_between(group.spec, after, upto, ring[-1])
    ]
    found.sort(key=lambda pair: pair[0])
    return found


def _window(turn: Turn, group: Group, end: int) -> int:
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
        asked = _asked_since(rule, turn, window.start, end)
        since = asked
        if asked is not None and turn.holds.spans:
            since = resumed(turn.holds.spans.get(rule.name, ()), window.start, end, asked)
        if rule.baseline is not None:
            frozen = since is None or freezes(rule.baseline, phase(own.life))
            learn(own.baseline, rule.baseline, turn.state.ring, kept, frozen=frozen, since=since)
        verdict = alert = None
        if since is None:
            alert = _suspend(rule, own, end, closes=asked is None)
        else:
            verdict = _verdict(rule, own, window, made)
            if verdict is not None:
                alert = _apply(rule, own, turn, made, verdict)
        if alert is not None:
            turn.out.alerts.append(alert)
            turn.holds.now.update(inhibited(turn.holds.inhibits, {rule.name}))
        if turn.out.watch is not None:
            gate = turn.gates.get(rule.when.gate) if rule.when else None
            works, inhibits = asked is not None and since is None, rule.name in turn.holds.now
            turn.out.watch(
                Look(rule, made, window.enough, since, gate, verdict, own, alert, works, inhibits)
            )
    return kept


def _asked_since(rule: Rule, turn: Turn, start: int, end: int) -> int | None:
    """Return since when the machine's state has been what a rule asks, ms; None if too short."""
    since = 0 if rule.when is None else enabled_since(rule.when, turn.gates, end)
    # Otherwise a part of the window is of another state.
    return since if since is not None and since <= start else None


def _state_of(state: SeriesState, rule: Rule) -> RuleState:
    found = state.rules.get(rule.name)
    if found is None:
        found = state.rules[rule.name] = RuleState(rule.digest)
    return found


def _verdict(rule: Rule, own: RuleState, window: Window, made: WindowFeatures) -> Verdict | None:
    """Compare, where there is enough to compare and the rule does not rest."""
    if not window.enough or made.count < rule.min_samples:
        return None
    verdict = _judge(rule, own, made)  # a chart goes on while the rule rests
    return None if made.window_end < own.life.rests_until else verdict


def _apply(
    rule: Rule, own: RuleState, turn: Turn, made: WindowFeatures, verdict: Verdict
) -> Alert | None:
    life = own.life
    change = advance(
        life, rule.severities, verdict.score, verdict.value, made.window_end,
        may_begin=rule.name not in turn.holds.now,
    )  # fmt: skip
    if change is None:
        return None
    alert = record(rule, turn.of, made, verdict, life, change)
    life.open = alert
    if change.event == "RESOLVED":
        _end(rule, own, made.window_end)
    return alert


def _judge(rule: Rule, own: RuleState, made: WindowFeatures) -> Verdict | None:
    value = AGGREGATES[rule.aggregate](made)
    middle = (made.window_start + made.window_end) // 2
    if rule.method is not None and not isinstance(rule.method, CHARTS):
        return on_course(rule.method, rule.op, _memory(own), value, middle, made.window_end)
    if rule.baseline is None:
        return against_value(rule.op, value)
    verdict = against_baseline(rule.op, value, rule.baseline, own.baseline, middle, rule.to)
    if verdict is None or rule.method is None:
        return verdict
    return on_chart(rule.method, rule.op, _memory(own), verdict)


def _memory(own: RuleState) -> Memory:
    if own.memory is None:
        own.memory = Memory()
    return own.memory


def _suspend(rule: Rule, own: RuleState, at: int, *, closes: bool) -> Alert | None:
    """Let a rule rest whose condition is not met (``closes``), or in planned work.

    What only might have become an alert is forgotten; an alert stays as it is, or ends with the
    condition.
    """
    life = own.life
    if rule.method is not None and own.memory is not None:
        rested(rule.method, own.memory)
    if life.open is None:
        life.levels = []
        return None
    if not closes or rule.when is None or rule.when.open == "hold":
        return None
    alert = ended(life.open, phase(life), at, "RESET")
    life.levels = []
    _end(rule, own, at)
    return alert


def _end(rule: Rule, own: RuleState, at: int) -> None:
    finish(own.life, rule.cooldown_ms, at)
    if rule.method is not None and own.memory is not None:
        over(rule.method, own.memory)


def _reconcile(state: SeriesState, digests: Mapping[str, str], at: int) -> list[Alert]:
    """Drop the memory of rules that changed; return the records that close their alerts."""
    changed = [name for name, own in state.rules.items() if digests.get(name) != own.digest]
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
