"""Silence: a metric that says nothing for too long, though its device goes on.

A pane of any metric tells how far the device's time has come: where it ends, the other metrics have
had the same time to speak. So each pane asks, in O(1) unless it is so, whether the next metric has
been silent for too long; what is asked for is kept in a piece of the device's own. Of a device
that is silent as a whole its gateway's markers tell the time; without any, its silence is noticed
when it speaks again. Either way the alert starts when patience ended.

    metric  ●──●──●─────────────|deadline──────────●──
    device  ──●──●──●──●──●──●──●──●▲ FIRED, starts_at = deadline
"""

from collections.abc import Callable, Iterable, Sequence

from schemas.records import WindowFeatures
from stream.alert_record import ended
from stream.conditions import enabled_since
from stream.device_state import DeviceState, RuleState, Watched
from stream.lifecycle import Life, advance, phase
from stream.panes import Pane
from stream.reports import Health, Reports, patience_ms
from stream.rule import Rule
from stream.rule_life import state_of, tell
from stream.sensor_alert import empty, settle_check
from stream.sensor_checks import Finding, NoData
from stream.suppress import resumed
from stream.turn import Holds, Out, Turn
from stream.windows import Subject

RulesOf = Callable[[str, str], Sequence[Rule]]
"""The checks of a metric at a site."""


def returned(turn: Turn, rule: Rule, reports: Reports, pane: Pane) -> bool:
    """Say whether a series has been silent up to its newest pane; its alert may end with that.

    Args:
        turn: whose pane it is; its state is changed in place and its output added to.
        rule: one whose check is :class:`stream.sensor_checks.NoData`.
        reports: the series' until now.
        pane: its newest.
    """
    own = state_of(turn.state, rule)
    patience = _known_patience(rule, reports)
    silent = _is_silent(own.life)
    if not silent and patience is not None:
        deadline = _deadline(turn, rule, reports, patience, pane.pane_end)
        if deadline is not None and deadline < pane.first_ts:
            silent = _fall_silent(turn, rule, own, deadline, patience)
    if own.life.levels:
        lasted = max(pane.first_ts - reports.last_ts, 0) / 1000
        if silent:  # it has been so until now
            advance(own.life, rule.severities, 1.0 + lasted, lasted, pane.first_ts)
        limit = (patience or 0) / 1000
        here = empty(turn.of, pane.pane_start, pane.pane_end)
        _settle(turn, rule, own, here, Finding(0.0, lasted, limit, limit))
    return silent


def look_out(
    state: DeviceState, device_id: str, end: int, rules_of: RulesOf, holds: Holds, out: Out
) -> None:
    """After a pane of a device, notice which of its metrics have been silent for too long.

    Args:
        state: the device's, changed in place.
        device_id: whose.
        end: where the pane ended, ms.
        rules_of: the checks of any metric.
        holds: what holds rules back.
        out: what is found is added here.
    """
    entry = state.entry()
    if not entry.silence_due or end < entry.silence_due:
        return
    watch = state.watch()
    for metric in sorted(watch.metrics):
        watched = watch.metrics[metric]
        if watched.look_at > end:
            continue
        series = state.series(metric)
        turn = Turn(series, Subject(device_id, metric, watched.site, watched.unit),
                    entry.gates, holds, out)  # fmt: skip
        look_at = _look(turn, rules_of(metric, watched.site), end, fire=True)
        if look_at is not None:
            watched.look_at = look_at
        else:
            del watch.metrics[metric]
            if series.health is not None:
                series.health.reports.watched = False
    entry.silence_due = min((each.look_at for each in watch.metrics.values()), default=0)


def listen(state: DeviceState, of: Subject, end: int, rules_of: RulesOf) -> None:
    """Begin to look out for a metric that has spoken, in a pane up to ``end``, ms."""
    series, entry = state.series(of.metric), state.entry()
    health = series.health
    if health is None or health.reports.watched:
        return
    turn = Turn(series, of, entry.gates, Holds({}, (), set()), Out(None, []))
    look_at = _look(turn, rules_of(of.metric, of.site), end, fire=False)
    if look_at is not None:
        state.watch().metrics[of.metric] = Watched(of.site, of.unit, look_at)
        entry.silence_due = min(entry.silence_due or look_at, look_at)
        health.reports.watched = True


def _look(turn: Turn, rules: Iterable[Rule], end: int, *, fire: bool) -> int | None:
    """Note whom silence has lasted too long for; return when to look again, None for not at all.

    Panes that end at ``end`` may still be to come, so nothing is known from the last whole pane of
    the metric on.
    """
    health = turn.state.health or Health()
    reports = health.reports
    looks = []
    for rule in rules:
        patience = _known_patience(rule, reports)
        own = state_of(turn.state, rule) if patience is not None else None
        if own is None or patience is None or own.digest != rule.digest or _is_silent(own.life):
            continue
        deadline = _deadline(turn, rule, reports, patience, end)
        if deadline is None or _is_held(turn, rule, end):
            looks.append(end + patience)
        elif not fire or deadline >= (end - 1) // reports.pane_ms * reports.pane_ms:
            looks.append((deadline // reports.pane_ms + 1) * reports.pane_ms + 1)
        else:
            _fall_silent(turn, rule, own, deadline, patience)
    return min(looks, default=None)


def _known_patience(rule: Rule, reports: Reports) -> int | None:
    """Return how long a rule lets a series be silent, ms; None if it does not say or know yet."""
    if not isinstance(rule.check, NoData) or not reports.pane_ms:
        return None
    return patience_ms(rule.check, reports)


def _deadline(turn: Turn, rule: Rule, reports: Reports, patience: int, at: int) -> int | None:
    """Return when patience ends, ms; None while the rule is not in force."""
    since = 0 if rule.when is None else enabled_since(rule.when, turn.gates, at)
    return None if since is None else max(reports.last_ts, since) + patience


def _is_held(turn: Turn, rule: Rule, end: int) -> bool:
    """Say whether a stronger alert or planned work holds a rule back."""
    spans = turn.holds.spans.get(rule.name, ())
    return rule.name in turn.holds.now or resumed(spans, end - 1, end) is None


def _is_silent(life: Life) -> bool:
    return bool(life.levels) and life.levels[0].true


def _fall_silent(turn: Turn, rule: Rule, own: RuleState, deadline: int, patience: int) -> bool:
    if deadline < own.life.rests_until:
        return False
    health = turn.state.health
    last_ts = deadline - patience if health is None else health.reports.last_ts
    limit = patience / 1000
    window = empty(turn.of, min(last_ts, deadline), deadline)
    _settle(turn, rule, own, window, Finding(1.0, limit, limit, limit))
    return True


def _settle(turn: Turn, rule: Rule, own: RuleState, window: WindowFeatures, found: Finding) -> None:
    """Raise or end the alert of silence, or end that of the rule that it is about."""
    ends = rule.check.ends if isinstance(rule.check, NoData) else ""
    if not ends:
        settle_check(turn, rule, own, window, found)
        return
    at = window.window_end
    advance(own.life, rule.severities, found.score, found.value, at)
    about = turn.state.rules.get(ends)
    if found.score >= 1 and about is not None:
        alert = about.life.open
        if alert is not None:
            tell(turn, rule, ended(alert, phase(about.life), at, "NO_DATA"))
        about.life.levels, about.life.open = [], None
