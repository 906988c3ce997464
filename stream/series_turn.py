"""One series' turn: a pane, the windows it completes, and what the rules make of them."""

from collections.abc import Mapping

import msgspec

from schemas.records import Alert, WindowFeatures
from stream.alert_record import ended
from stream.baselines import freezes, learn
from stream.conditions import enabled_since, is_out_of_question
from stream.detectors import AGGREGATES, Verdict, against_baseline, against_value
from stream.device_state import RuleState, SeriesState
from stream.lifecycle import phase
from stream.look import Held, Look
from stream.methods import CHARTS, Memory, on_chart, on_course, over, rested
from stream.panes import Pane
from stream.rule import Rule
from stream.rule_life import settle, state_of, suspend, tell
from stream.sensor_turn import look
from stream.suppress import resumed
from stream.turn import Turn
from stream.windows import Window, WindowSpec, cut, described, ends_between, kept_from

_NOT_YET = 0
"""Nothing can be forgotten while a window is open that may need it."""


class Group(msgspec.Struct, frozen=True, gc=False):
    """The rules of a series that look at the same windows; ``asks`` if each has a condition."""

    spec: WindowSpec
    rules: tuple[Rule, ...]
    asks: bool


class Asked(msgspec.Struct, frozen=True, gc=False):
    """The rules of a series: those on windows, those on the sensor, and the digests of all."""

    groups: tuple[Group, ...]
    checks: tuple[Rule, ...]
    digests: Mapping[str, str]


def take(turn: Turn, asked: Asked, pane: Pane) -> None:
    """Take a pane: the windows it completes, and what the rules make of them and of the sensor.

    Args:
        turn: whose pane it is; its state is changed in place and its output added to.
        asked: the rules of the series.
        pane: passed over when it does not follow the newest one.
    """
    state, alerts = turn.state, turn.out.alerts
    if _has_other_rules(state, asked.digests):
        alerts.extend(_reconcile(state, asked.digests, pane.pane_end))
    first = len(alerts)
    checked = asked.checks or state.health is not None
    trusted = look(turn, asked.checks, pane) if checked else 0
    seen_to = pane.pane_start if state.seen_to is None else state.seen_to
    groups = [each for each in asked.groups if not each.asks or _is_asked(each, turn)]
    if not groups or pane.pane_start < seen_to:
        return
    # Where panes are shorter than slides, most windows end between panes: by both is forgotten.
    kept = [_NOT_YET] * len(groups)
    if state.ring and seen_to < pane.pane_start:
        for missed, index in _missed(groups, state.ring[-1], seen_to, pane.pane_start):
            kept[index] = _window(turn, groups[index], missed, trusted)
    state.seen_to = end = pane.pane_end
    if pane.n > 0:
        state.ring.append(pane)
    for index, group in enumerate(groups):
        if end % group.spec.slide_ms == 0:
            kept[index] = max(kept[index], _window(turn, group, end, trusted))
    _forget(state.ring, min(kept))
    if len(alerts) > first + 1:
        alerts[first:] = sorted(alerts[first:], key=lambda each: (each.emitted_at, each.rule))


def _is_asked(group: Group, turn: Turn) -> bool:
    """Say whether some rule of a group can be in force, or has an alert to end."""
    gates, known = turn.gates, turn.state.rules
    for rule in group.rules:
        if rule.when is None or not is_out_of_question(rule.when, gates):
            return True
        own = known.get(rule.name)
        if own is not None and own.life.levels:
            return True
    return False


def _missed(groups: list[Group], newest: Pane, after: int, upto: int) -> list[tuple[int, int]]:
    """Return ends of windows without a pane of their own end, each with its group's index."""
    found = [
        (end, index)
        for index, group in enumerate(groups)
        for end in ends_between(group.spec, after, upto, newest)
    ]
    found.sort()
    return found


def _window(turn: Turn, group: Group, end: int, trusted: int | None) -> int:
    """Make the window that ends at ``end`` and apply its rules.

    Returns where windows of this kind begin from here on.
    """
    spec, rows = group.spec, turn.out.windows
    window = cut(spec, turn.state.ring, end)
    if window is None:
        return _NOT_YET
    if rows is not None:
        rows.append(_row(turn, window))
    kept = kept_from(spec, window, end)
    for rule in group.rules:
        _rule_turn(turn, rule, window, kept, trusted)
    return kept


def _row(turn: Turn, window: Window) -> WindowFeatures:
    return described(turn.of, window.window_start, window.window_end, window.moments())


def _rule_turn(turn: Turn, rule: Rule, window: Window, kept: int, trusted: int | None) -> None:
    """Let a rule learn from the panes that leave its window, and judge the window.

    It rests while a part of the window is of another state of the machine, in planned work, and
    while the sensor is not to be trusted, which says nothing of the machine.
    """
    state, holds = turn.state, turn.holds
    own = state.rules.get(rule.name) or state_of(state, rule)
    start, end = window.window_start, window.window_end
    asked = 0 if rule.when is None else enabled_since(rule.when, turn.gates, end)
    if asked is not None and asked > start:
        asked = None  # a part of the window is of another state
    since = asked
    if asked is not None and holds.spans:
        since = resumed(holds.spans.get(rule.name, ()), start, end, asked)
    works = asked is not None and since is None
    doubts = (trusted is None or trusted > start) and rule.category != "SENSOR_HEALTH"
    if doubts:
        since = None
    ring, life = state.ring, own.life
    if rule.baseline is not None and ring[0].pane_end <= kept:
        frozen = since is None or (bool(life.levels) and freezes(rule.baseline, phase(life)))
        learn(own.baseline, rule.baseline, ring, kept, frozen=frozen, since=since)
    verdict = alert = None
    if since is None:
        if rule.method is not None and own.memory is not None:
            rested(rule.method, own.memory)
        alert = suspend(rule, life, end, closes=asked is None)
    else:
        verdict = _judge(rule, own, window)
        if end < life.rests_until:
            verdict = None  # a chart has gone on
        if verdict is not None and (life.levels or verdict.score >= rule.severities[0].enter):
            alert = settle(rule, life, turn, window, verdict)
    if alert is not None:
        if alert.event == "RESOLVED" and rule.method is not None and own.memory is not None:
            over(rule.method, own.memory)
        tell(turn, rule, alert)
    if turn.out.watch is not None:
        gate = turn.gates.get(rule.when.gate) if rule.when else None
        held = Held(works, rule.name in holds.now, doubts)
        row, value = _row(turn, window), AGGREGATES[rule.aggregate](window)
        look = Look(rule, row, value, window.enough, since, gate, verdict, own, alert, held)
        turn.out.watch(look)


def _judge(rule: Rule, own: RuleState, window: Window) -> Verdict | None:
    """Compare, where there is enough to compare."""
    if not window.enough or window.count < rule.min_samples:
        return None
    value, method = AGGREGATES[rule.aggregate](window), rule.method
    middle = (window.window_start + window.window_end) // 2
    if method is not None and not isinstance(method, CHARTS):
        return on_course(method, rule.op, _memory(own), value, middle, window.window_end)
    if rule.baseline is None:
        return against_value(rule.op, value)
    verdict = against_baseline(rule.op, value, rule.baseline, own.baseline, middle, rule.to)
    if verdict is None or method is None:
        return verdict
    return on_chart(method, rule.op, _memory(own), verdict)


def _memory(own: RuleState) -> Memory:
    if own.memory is None:
        own.memory = Memory()
    return own.memory


def _has_other_rules(state: SeriesState, digests: Mapping[str, str]) -> bool:
    """Say whether something is remembered of rules that changed: hardly ever."""
    for name, own in state.rules.items():  # noqa: SIM110 - half the time of any(), for every pane
        if digests.get(name) != own.digest:
            return True
    return False


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
