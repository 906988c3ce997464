"""One rule's alert on one series: how an evaluation, a rest or a reset moves it on."""

from msgspec.structs import replace

from schemas.records import Alert, AlertCommand, AlertState
from stream.alert_record import Looked, ended, record, shelved
from stream.detectors import Verdict
from stream.device_state import RuleState, SeriesState
from stream.lifecycle import Change, Life, Phase, advance, finish, phase, top_active
from stream.rule import AnyRule, Rule
from stream.suppress import inhibited
from stream.turn import Turn


def state_of(state: SeriesState, rule: Rule) -> RuleState:
    """Return what a rule remembers of a series, to be changed in place."""
    found = state.rules.get(rule.name)
    if found is None:
        found = state.rules[rule.name] = RuleState(rule.digest)
    return found


def settle(rule: Rule, life: Life, turn: Turn, window: Looked, verdict: Verdict) -> Alert | None:
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
    change = change or _again(rule, life, at)
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
    if turn.holds.inhibits:
        turn.holds.now.update(inhibited(turn.holds.inhibits, {rule.name}))


def _again(rule: Rule, life: Life, at: int) -> Change | None:
    """Tell again of an alert whose last record is old, or whose time on the shelf is over."""
    last = life.open
    if last is None or not (rule.realarm_ms or last.shelved_until) or shelved(last, at):
        return None
    old = rule.realarm_ms and at - last.emitted_at >= rule.realarm_ms
    top = top_active(life)
    if top is None or (not old and last.shelved_until is None):
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


def obey(rule: AnyRule, life: Life, command: AlertCommand, at: int) -> Alert | None:
    """Take what a person says of an alert; return the record of it.

    None when there is nothing to do: the alert is over or another one, it is as they want it
    already, it is to be reset and its condition still holds, or the time on the shelf is over.

    Args:
        rule: the alert's.
        life: changed in place.
        command: what they say.
        at: event time, ms; that of the device's newest pane, not of a clock on the wall.
    """
    last = life.open
    if last is None or last.alert_id != command.alert_id:
        return None
    alert = _obeyed(last, phase(life), command, at)
    if alert is None:
        return None
    life.open = alert
    if alert.event == "RESOLVED":
        life.levels = []
        finish(life, rule.cooldown_ms, at)
    return alert


def _obeyed(last: Alert, now: Phase, command: AlertCommand, at: int) -> Alert | None:
    told = replace(last, seq=last.seq + 1, prev_state=last.state, prev_severity=None, emitted_at=at)
    match command.command:
        case "ACK" if last.acked_at is None:
            return replace(told, event="ACKED", acked_at=command.at, acked_by=command.by)
        case "SHELVE" if command.until is not None and command.until > at:
            return replace(told, event="SHELVED", shelved_until=command.until)
        case "UNSHELVE" if shelved(last, at):
            return replace(told, event="RENOTIFY", shelved_until=None, acked_at=None, acked_by=None)
        case "RESET" if now == "LATCHED":
            return ended(last, now, at, "RESET")
    return None
