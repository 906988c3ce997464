"""A device's turn, after that of its series: what its alerts together lead to.

    a series' turn ─▶ which alerts stand ─▶ first out? ─▶ rules over rules, in order

An instant is over when a pane that ends later comes. That a rule over rules holds is found at once,
for within an instant there can only come more of what it asks for; that it holds no more, when the
instant is over. So the order of the panes of an instant does not matter, and no alert waits.
"""

from collections.abc import Iterable, Mapping

import msgspec
from msgspec.structs import replace

from schemas.records import Alert
from stream.alert_record import PLACEHOLDER, ended, record
from stream.compound import Compound, Followed, Found, Ordered, Times, Votes
from stream.detectors import Verdict
from stream.device_state import DeviceEntry, DeviceState, SeriesState
from stream.globs import matches
from stream.lifecycle import Life, advance, finish, holds, phase
from stream.patterns import count_times, find_sequence, follow_steps, forget_steps
from stream.rule import Rule, Rules
from stream.standing import DEVICE_METRIC, Worse, forget, note, standing
from stream.suppress import Inhibit, Span, Spans, Suppress, held_back, resumed
from stream.turn import Holds
from stream.votes import count_votes
from stream.windows import Subject, Window


class Above(msgspec.Struct, frozen=True, gc=False):
    """What is above a device's series: rules over rules, each behind those it names, and holds.

    ``asks``: every pane of the device has to look at what stands. If none has to, ``nothing_held``
    is what holds its rules back: planned work at most.
    """

    rules: tuple[Compound, ...]
    digests: Mapping[str, str]
    inhibits: tuple[Inhibit, ...]
    spans: Spans
    asks: bool
    nothing_held: Holds


class Device(msgspec.Struct, frozen=True, gc=False):
    """Whose turn it is, and what is above its series."""

    device_id: str
    site: str
    state: DeviceState
    above: Above


def above(rules: Rules, near: Iterable[Rule], device_id: str, site: str) -> Above:
    """Return what is above a device's series.

    Args:
        rules: all.
        near: those that can be meant for some series of the device.
        device_id: the device.
        site: its site.
    """
    known = {rule.name for rule in near}
    own = []
    for each in rules.compounds:
        if each.applies(known):
            known.add(each.name)
            own.append(each)
    inhibits = tuple(each for each in rules.suppress.inhibits if each.if_firing & known)
    spans = _spans(rules.suppress, device_id, site)
    digests = {each.name: each.digest for each in own}
    asks = bool(own or inhibits)
    return Above(tuple(own), digests, inhibits, spans, asks, Holds(spans, (), set()))


def _spans(suppress: Suppress, device_id: str, site: str) -> Spans:
    """Return when which rules pause on a device."""
    found: dict[str, tuple[Span, ...]] = {}
    for each in suppress.pauses:
        if matches(each.device, device_id) and matches(each.site, site):
            for rule in each.rules:
                found[rule] = (*found.get(rule, ()), Span(each.from_ms, each.to_ms))
    return found


def begin(device: Device, pane_end: int, alerts: list[Alert]) -> set[str]:
    """Finish the instant that is over, before a series' turn.

    Args:
        device: its state is changed in place.
        pane_end: of the pane whose turn it is, ms.
        alerts: what comes of it is added.

    Returns:
        The rules that may not begin now.
    """
    entry = device.state.entry()
    at = max(entry.clock, pane_end)
    alerts.extend(_reconcile(device, entry, at))
    if entry.clock and at > entry.clock:
        alerts.extend(_ask(device, entry, [], entry.clock, over=True))
    _move(device, entry, at)
    return held_back(device.above.inhibits, entry.board, at)


def follow(
    device: Device, series: SeriesState, pane_end: int, alerts: list[Alert], first: int
) -> None:
    """Take what a series' turn has led to, and ask the rules over rules.

    Args:
        device: its state is changed in place.
        series: whose turn it was; an open alert is marked where it is the first out.
        pane_end: of its pane, ms.
        alerts: what comes of it is added.
        first: where those of the turn begin.
    """
    entry = device.state.entry()
    at = max(entry.clock, pane_end)
    new = alerts[first:]
    if new and not any(standing(entry.board, at)):
        new = _first_out(series, new)
    worse = note(entry.board, new, at)
    made = _ask(device, entry, worse, at, over=False) if new or entry.clock else []
    _move(device, entry, at)
    alerts[first:] = [*new, *made]
    series.above = bool(device.above.rules) and (series.above or bool(new))


def _first_out(series: SeriesState, new: list[Alert]) -> list[Alert]:
    """Mark the first alert that begins, in its records and where it is open."""
    mark = next((alert.alert_id for alert in new if alert.seq == 0), None)
    for own in series.rules.values():
        if own.life.open is not None and own.life.open.alert_id == mark:
            own.life.open = replace(own.life.open, first_out=True)
    return [replace(each, first_out=True) if each.alert_id == mark else each for each in new]


def _ask(
    device: Device, entry: DeviceEntry, worse: list[Worse], at: int, *, over: bool
) -> list[Alert]:
    """Ask each rule over rules once; those behind see what those before have led to."""
    made: list[Alert] = []
    held = held_back(device.above.inhibits, entry.board, at)
    for rule in device.above.rules:
        own = _followed(rule, entry, worse, at)
        found = _find(rule, own, entry, at)
        if own is None and found.score < rule.severities[0].enter:
            continue
        own = own or Followed(rule.digest)
        entry.followed[rule.name] = own
        if _rests(device, rule, own, at) or not (
            over or holds(own.life, rule.severities, found.score)
        ):
            continue
        alert = _decide(device, rule, own.life, found, at, may_begin=rule.name not in held)
        if alert is not None:
            if alert.seq == 0 and not any(standing(entry.board, at)):
                alert = own.life.open = replace(alert, first_out=True)
            made.append(alert)
            worse = [*worse, *note(entry.board, [alert], at)]
    return made


def _followed(rule: Compound, entry: DeviceEntry, worse: list[Worse], at: int) -> Followed | None:
    own = entry.followed.get(rule.name)
    if isinstance(rule.of, Votes):
        return own
    own = follow_steps(rule.of, own, entry.board, worse, at)
    if own is not None:
        own.digest = rule.digest
    return own


def _find(rule: Compound, own: Followed | None, entry: DeviceEntry, at: int) -> Found:
    match rule.of:
        case Votes() as votes:
            return count_votes(votes, entry.board, at)
        case Times() as times:
            return count_times(times, own, at)
        case Ordered() as sequence:
            return find_sequence(sequence, own, entry.board, at)


def _rests(device: Device, rule: Compound, own: Followed, at: int) -> bool:
    """Say whether a rule is not asked now; what was pending is forgotten in planned work."""
    if resumed(device.above.spans.get(rule.name, ()), at - 1, at) is None:
        if own.life.open is None:
            own.life.levels = []
        return True
    return at < own.life.rests_until


def _decide(
    device: Device, rule: Compound, life: Life, found: Found, at: int, *, may_begin: bool
) -> Alert | None:
    change = advance(life, rule.severities, found.score, found.value, at, may_begin=may_begin)
    if change is None:
        return None
    told = {key: _naming(found.rules, text) for key, text in rule.annotations.items()}
    rule = replace(rule, annotations=told)
    of = Subject(device.device_id, DEVICE_METRIC, device.site, None)
    verdict = Verdict(found.score, found.value)
    looked = Window(found.since, at, (), 0, enough=True)  # at alerts, and no reading
    alert = record(rule, of, looked, verdict, life, change)
    life.open = alert
    if change.event == "RESOLVED":
        finish(life, rule.cooldown_ms, at)
    return alert


def _naming(rules: Iterable[str], text: str) -> str:
    return PLACEHOLDER.sub(lambda at: ", ".join(rules) if at[1] == "rules" else at[0], text)


def _move(device: Device, entry: DeviceEntry, at: int) -> None:
    """Go on to a time, and forget what matters no more; without anything there is no clock.

    Steps out of reach are only so from the instant before: behind a gap of the whole device come
    first the windows that hold its last readings, and their alerts have times of before.
    """
    if at > entry.clock:
        forget(entry.board, at)
        for rule in device.above.rules:
            own = entry.followed.get(rule.name)
            if own is None:
                continue
            if not isinstance(rule.of, Votes):
                forget_steps(rule.of, own, entry.board, entry.clock, at)
            if not (own.life.levels or own.seen or own.ends or own.life.rests_until > at):
                del entry.followed[rule.name]
    entry.clock = max(at, entry.clock) if entry.board or entry.followed else 0


def _reconcile(device: Device, entry: DeviceEntry, at: int) -> list[Alert]:
    """Drop the memory of rules over rules that changed; return the records that close alerts."""
    digests, closed = device.above.digests, []
    for name in [n for n, own in entry.followed.items() if digests.get(n) != own.digest]:
        life = entry.followed.pop(name).life
        if life.open is not None:
            closed.append(ended(life.open, phase(life), at, "RULE_CHANGED"))
    note(entry.board, closed, at)
    return closed
