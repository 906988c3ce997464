"""The sensor's turn: a pane held against the checks of its series, before any window is made.

What comes back says whether the values are to be trusted: the process rules of the series rest
while they are not, and for windows that reach back to when they were not.
"""

from stream.baselines import BaselineSpec, Usual, learn, usual
from stream.conditions import enabled_since, is_out_of_question
from stream.device_state import RuleState
from stream.panes import Pane
from stream.reports import Health, note
from stream.rule import Rule
from stream.rule_life import state_of, suspend, tell
from stream.sensor_alert import empty, settle_check
from stream.sensor_checks import (
    BadSeen,
    BadShare,
    Check,
    Clock,
    Drift,
    DriftSeen,
    Finding,
    Memory,
    NoData,
    OutOfRange,
    Spike,
    SpikeSeen,
    Stuck,
    StuckSeen,
    bad_share,
    clock,
    drift,
    out_of_range,
    pass_over,
    spike,
    stuck,
)
from stream.silence import returned
from stream.suppress import resumed
from stream.turn import Turn
from stream.windows import features


def look(turn: Turn, rules: tuple[Rule, ...], pane: Pane) -> int | None:
    """Hold a pane against the checks of its series.

    Args:
        turn: whose pane it is; its state is changed in place and its output added to.
        rules: the checks; those that need values to be trusted stand behind the others.
        pane: passed over when it does not follow the newest one.

    Returns:
        Since when the values are to be trusted, ms; None while they are not.
    """
    if not rules:
        turn.state.health = None
        return 0
    health = turn.state.health
    if health is None:
        health = turn.state.health = Health(pane.pane_start)
    if pane.pane_start >= health.seen_to:
        silent = False
        for rule in rules:
            if isinstance(rule.check, NoData):
                silent = returned(turn, rule, health.reports, pane) or silent
        note(health.reports, pane, silent=silent)
        gated = _gated(turn, rules, pane)
        if health.gated and not gated:
            health.trusted_since = pane.pane_end
        health.seen_to, health.gated = pane.pane_end, gated
    return None if health.gated else health.trusted_since


def _gated(turn: Turn, rules: tuple[Rule, ...], pane: Pane) -> bool:
    """Let each check look at a pane; say whether an alert is open that says its values are none."""
    gated = False
    for rule in rules:
        idle = rule.when is not None and is_out_of_question(rule.when, turn.gates)
        if isinstance(rule.check, NoData) or (idle and rule.name not in turn.state.rules):
            continue
        own = state_of(turn.state, rule)
        _check(turn, rule, own, pane, sound=not gated)
        if rule.gates and own.life.open is not None:
            gated = gated or own.life.open.state != "LATCHED"
    return gated


def _check(turn: Turn, rule: Rule, own: RuleState, pane: Pane, *, sound: bool) -> None:
    """Hold a pane against a check that is in force for all of it; drift needs sound values."""
    at = pane.pane_end
    asked = 0 if rule.when is None else enabled_since(rule.when, turn.gates, at)
    if asked is not None and asked > pane.pane_start:
        asked = None
    since = asked
    if asked is not None and turn.holds.spans:
        since = resumed(turn.holds.spans.get(rule.name, ()), pane.pane_start, at, asked)
    sound = sound or not isinstance(rule.check, Drift)
    if rule.baseline is not None and pane.n > 0:
        learn(own.baseline, rule.baseline, [pane], at, frozen=since is None or not sound)
    if since is None or not sound:
        if isinstance(rule.check, Stuck) and isinstance(own.seen, StuckSeen) and pane.n > 0:
            pass_over(rule.check, own.seen, pane)
        alert = suspend(rule, own.life, at, closes=asked is None)
        if alert is not None:
            tell(turn, rule, alert)
    elif at >= own.life.rests_until:
        found = _find(rule, own, pane)
        if found is not None and (own.life.levels or found.score >= rule.severities[0].enter):
            start = pane.pane_start
            whole = features(turn.of, start, at, [pane]) if pane.n else empty(turn.of, start, at)
            settle_check(turn, rule, own, whole, found)


def _find(rule: Rule, own: RuleState, pane: Pane) -> Finding | None:
    """Let a check look at a pane; few have anything to see in a pane of bad readings alone."""
    if own.seen is None:
        own.seen = _fresh(rule.check)
    match rule.check, own.seen:
        case BadShare() as check, BadSeen() as seen:
            return bad_share(check, seen, pane)
        case Clock() as check, _:
            return None if pane.lag is None else clock(check, pane.lag)
        case _ if pane.n == 0:
            return None
        case OutOfRange() as check, _:
            return out_of_range(check, pane)
        case Stuck() as check, StuckSeen() as seen:
            return stuck(check, seen, pane)
        case Drift() as check, DriftSeen() as seen:
            return drift(check, seen, _usual(rule.baseline, own, pane), pane)
        case Spike() as check, SpikeSeen() as seen:
            return spike(check, seen, pane)
    return None


def _fresh(check: Check | None) -> Memory | None:
    match check:
        case Stuck():
            return StuckSeen()
        case Drift():
            return DriftSeen()
        case Spike():
            return SpikeSeen()
        case BadShare():
            return BadSeen()
    return None


def _usual(spec: BaselineSpec | None, own: RuleState, pane: Pane) -> Usual | None:
    return None if spec is None else usual(spec, own.baseline, pane.pane_start)
