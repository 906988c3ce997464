"""One rule's alert on one series: how an evaluation, a rest or a reset moves it on."""

from schemas.records import Alert, AlertState, WindowFeatures
from stream.alert_record import ended, record
from stream.detectors import Verdict
from stream.device_state import RuleState, SeriesState
from stream.lifecycle import Change, Life, advance, phase, top_active
from stream.rule import Rule
from stream.windows import Subject


def state_of(state: SeriesState, rule: Rule) -> RuleState:
    """Return what a rule remembers of a series, to be changed in place."""
    found = state.rules.get(rule.name)
    if found is None:
        found = state.rules[rule.name] = RuleState(rule.digest)
    return found


def settle(
    rule: Rule, life: Life, of: Subject, window: WindowFeatures, verdict: Verdict
) -> Alert | None:
    """Take a verdict into the life of an alert; return the record of the transition, if any.

    Args:
        rule: whose verdict it is.
        life: changed in place.
        of: whose values they are.
        window: what was looked at; its end is the time of the evaluation.
        verdict: its score is finite.
    """
    at = window.window_end
    change = advance(life, rule.severities, verdict.score, verdict.value, at)
    change = change or _realarm(rule, life, at)
    if change is None:
        return None
    alert = record(rule, of, window, verdict, life, change)
    life.open = alert
    if change.event == "RESOLVED":
        end(rule, life, at)
    return alert


def _realarm(rule: Rule, life: Life, at: int) -> Change | None:
    """Tell again of an alert whose last record is old."""
    last, top = life.open, top_active(life)
    if not rule.realarm_ms or last is None or top is None:
        return None
    if at - last.emitted_at < rule.realarm_ms:
        return None
    state = _standing(life)
    return Change("RENOTIFY", state, state, top, top)


def _standing(life: Life) -> AlertState:
    found = phase(life)
    assert found != "INACTIVE", "an open alert has levels"
    return found


def suspend(rule: Rule, life: Life, at: int, *, hold: bool) -> Alert | None:
    """Let a rule rest: what only might have become an alert is forgotten.

    An alert that is open stays as it is, with ``hold`` or a latch, or ends.
    """
    if life.open is None:
        life.levels = []
        return None
    top = top_active(life)
    if hold or (top is not None and rule.severities[top].latch):
        return None
    alert = ended(life.open, phase(life), at, "RESET")
    life.levels = []
    end(rule, life, at)
    return alert


def end(rule: Rule, life: Life, at: int) -> None:
    """Note that an alert is over; with a cooldown, nothing is pending either."""
    life.open = None
    if rule.cooldown_ms:
        life.levels, life.rests_until = [], at + rule.cooldown_ms


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
    end(rule, life, at)
    return alert
