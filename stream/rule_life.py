"""One rule's alert on one series: how an evaluation, a rest or a reset moves it on."""

from schemas.records import Alert, AlertState, WindowFeatures
from stream.alert_record import ended, record
from stream.detectors import Verdict
from stream.device_state import RuleState, SeriesState
from stream.lifecycle import Change, Life, advance, finish, phase, top_active
from stream.rule import Rule
from stream.suppress import inhibited
from stream.turn import Turn


def state_of(state: SeriesState, rule: Rule) -> RuleState:
    """Return what a rule remembers of a series, to be changed in place."""
    found = state.rules.get(rule.name)
    if found is None:
        found = state.rules[rule.name] = RuleState(rule.digest)
    return found


def settle(
    rule: Rule, life: Life, turn: Turn, window: WindowFeatures, verdict: Verdict
) -> Alert | None:
    """Take a verdict into the life of an alert; return the record of the transition, if any.

    Args:
        rule: whose verdict it is; it may not begin if something holds it back.
        life: changed in place.
        turn: whose values they are, and what holds rules back.
        window: what was looked at; its end is the time of the evaluation.
        verdict: its score is finite.
    """
    at = window.window_end
    change = advance(
        life, rule.severities, verdict.score, verdict.value, at,
        may_begin=rule.name not in turn.holds.now,
    )  # fmt: skip
    change = change or _realarm(rule, life, at)
    if change is None:
        return None
    alert = record(rule, turn.of, window, verdict, life, change)
    life.open = alert
    if change.event == "RESOLVED":
        finish(life, rule.cooldown_ms, at)
    return alert


def tell(turn: Turn, rule: Rule, alert: Alert) -> None:
    """Give an alert's record out; what it inhibits may not begin from here on."""
    turn.out.alerts.append(alert)
    turn.holds.now.update(inhibited(turn.holds.inhibits, {rule.name}))


def _realarm(rule: Rule, life: Life, at: int) -> Change | None:
    """Tell again of an alert whose last record is old."""
    if not rule.realarm_ms:
        return None
    last, top = life.open, top_active(life)
    if last is None or top is None:
        return None
    if at - last.emitted_at < rule.realarm_ms:
        return None
    state = _standing(life)
    return Change("RENOTIFY", state, state, top, top)


def _standing(life: Life) -> AlertState:
    found = phase(life)
    assert found != "INACTIVE", "an open alert has levels"
    return found


def suspend(rule: Rule, life: Life, at: int, *, closes: bool) -> Alert | None:
    """Let a rule rest whose condition is not met (``closes``), or for another reason.

    What only might have become an alert is forgotten; an alert stays as it is, or ends with the
    condition, unless it is one that latches.
    """
    if life.open is None:
        life.levels = []
        return None
    top = top_active(life)
    latches = top is not None and rule.severities[top].latch
    if not closes or latches or rule.when is None or rule.when.open == "hold":
        return None
    alert = ended(life.open, phase(life), at, "RESET")
    life.levels = []
    finish(life, rule.cooldown_ms, at)
    return alert


def reset(rule: Rule, life: Life, at: int) -> Alert | None:
    """End a latched alert by hand; return the record that says so, with the reason RESET.

    None when there is nothing to reset: no alert, or one whose condition still holds.

    Args:
        rule: the alert's.
        life: changed in place.
        at: event time, ms; that of the device's newest window, not of a clock on the wall.
    """
    if life.open is None or phase(life) != "LATCHED":
        return None
    alert = ended(life.open, "LATCHED", at, "RESET")
    life.levels = []
    finish(life, rule.cooldown_ms, at)
    return alert
