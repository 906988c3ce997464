"""What late readings changed: what was given out before, held against what is recomputed.

Pure: records in, records to send out. What is sent is the newest state of each thing that differs,
so that the same comparison afterwards finds nothing to send.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from math import inf
from typing import Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from schemas.records import Alert, WindowFeatures

_LIFE = frozenset({"FIRED", "ESCALATED", "DEESCALATED", "RESOLVED", "CORRECTED"})
"""Events that say how an alert stands; the others say what people or clocks did about it."""


class Scope(NamedTuple):
    """Ends of the windows to repair, in (after, upto], ms."""

    after: int
    upto: int


class WindowChanges(NamedTuple):
    """What became of a device's windows.

    ``fewer`` is a window given out before that now holds fewer readings, or none: late readings
    only ever add, so something is missing of what the job saw. Nothing should be sent then.
    """

    send: list[WindowFeatures]
    changed: int
    new: int
    withdrawn: int
    unchanged: int
    fewer: WindowFeatures | None


class AlertChanges(NamedTuple):
    """What became of a device's alerts.

    ``open`` differ, but are not over before or now: the job may still write their next record.
    ``left`` are of another version of their rule, or ended as their rule changed.
    """

    send: list[Alert]
    corrected: int
    new: int
    withdrawn: int
    unchanged: int
    open: int
    left: int


def compare_windows(
    before: Iterable[WindowFeatures],
    now: Iterable[WindowFeatures],
    readings: Callable[[str, int, int], int],
) -> WindowChanges:
    """Compare the windows of one device.

    A window is known by metric, start and end. One that may grow for want of readings can start
    elsewhere once late ones have come, and one whose rules ask for a state need not be once that
    is known; the former is then withdrawn: sent again with a count of 0.

    Args:
        before: as given out, of the shapes that the rules make, in the order of the topic.
        now: as recomputed.
        readings: how many of a metric there are from a window's start to its end.
    """
    held = {_key(each): each for each in before}
    held = {key: each for key, each in held.items() if each.count > 0}
    changed, new, unchanged = [], [], 0
    fewer: WindowFeatures | None = None
    # Rules that differ in whether windows grow give some out twice.
    for each in {_key(each): each for each in now}.values():
        old = held.pop(_key(each), None)
        if old is None:
            new.append(each)
        elif _bytes(old) == _bytes(each):
            unchanged += 1
        else:
            changed.append(each)
            lost = each.count < old.count and readings(*_key(old)) < old.count
            fewer = fewer or (old if lost else None)
    for old in held.values():
        if readings(*_key(old)) < old.count:
            fewer = fewer or old
    gone = [_emptied(old) for old in held.values()]
    return WindowChanges(
        [*changed, *new, *gone], len(changed), len(new), len(gone), unchanged, fewer
    )


def _key(window: WindowFeatures) -> tuple[str, int, int]:
    return window.metric, window.window_start, window.window_end


def _bytes(window: WindowFeatures) -> bytes:
    """Return what is compared: bytes, since a NaN differs from itself.

    What is known of the device is no reading's doing.
    """
    bare = replace(window, asset_id="", device_class="", iso_group=None)
    return msgspec.msgpack.encode(bare)


def _emptied(window: WindowFeatures) -> WindowFeatures:
    return replace(
        window, count=0, min=0.0, max=0.0, mean=0.0, stddev=0.0, rms=0.0, first=0.0, last=0.0,
        slope=0.0,
    )  # fmt: skip


class _Stand(NamedTuple):
    """How one alert stood before: its newest record, and the highest number of any."""

    last: Alert
    seq: int


_Fate = Literal["corrected", "new", "withdrawn", "unchanged", "open", "left"]


def compare_alerts(
    before: Iterable[Alert], now: Iterable[Alert], versions: Mapping[str, int], scope: Scope
) -> AlertChanges:
    """Compare the alerts of one device that touch the scope.

    An alert counts as changed when its newest record would be another one, what only tells of a
    baseline left aside. In scope is an alert that is active within it, and one of the same rule
    and metric that begins before such a one ends.

    Args:
        before: every record of the device's alerts, in the order of the topic.
        now: all transitions as recomputed, in order of time, as far as the job has come.
        versions: the rules' versions by name.
        scope: the windows that are repaired.
    """
    old = _stands(each for each in before if each.rule in versions)
    new = {each.alert_id: each for each in now}
    send: list[Alert] = []
    fates: dict[_Fate, int] = {}
    for alert_id in _in_scope(old, new, scope):
        fate = _fate(old.get(alert_id), new.get(alert_id), versions)
        fates[fate] = fates.get(fate, 0) + 1
        if fate in ("corrected", "new"):
            send.append(_corrected(new[alert_id], old.get(alert_id)))
        elif fate == "withdrawn":
            send.append(_withdrawn(old[alert_id]))
    return AlertChanges(
        send,
        fates.get("corrected", 0),
        fates.get("new", 0),
        fates.get("withdrawn", 0),
        fates.get("unchanged", 0),
        fates.get("open", 0),
        fates.get("left", 0),
    )


def is_open(alert: Alert) -> bool:
    """Say whether an alert goes on after this record."""
    return alert.state != "RESOLVED"


def _stands(records: Iterable[Alert]) -> dict[str, _Stand]:
    found: dict[str, _Stand] = {}
    for each in records:
        known = found.get(each.alert_id)
        seq = each.seq if known is None else max(each.seq, known.seq)
        if each.event in _LIFE:
            found[each.alert_id] = _Stand(each, seq)
        elif known is not None:
            found[each.alert_id] = known._replace(seq=seq)
    return found


def _in_scope(old: Mapping[str, _Stand], new: Mapping[str, Alert], scope: Scope) -> Iterator[str]:
    """Yield the ids of the alerts in scope, by rule and metric, then by start.

    What one view has as one long alert the other may have as several: all of them are looked at.
    """
    spans: dict[str, list[tuple[int, float, str]]] = {}
    for each in [*(stand.last for stand in old.values()), *new.values()]:
        end = inf if each.ends_at is None else each.ends_at
        spans.setdefault(each.fingerprint, []).append((each.starts_at, end, each.alert_id))
    for own in spans.values():
        upto: float = scope.upto
        told: set[str] = set()
        for start, end, alert_id in sorted(own):
            if start <= upto and max(end, start) > scope.after:
                upto = max(upto, end)
                if alert_id not in told:
                    told.add(alert_id)
                    yield alert_id


def _fate(old: _Stand | None, new: Alert | None, versions: Mapping[str, int]) -> _Fate:
    if old is None:
        assert new is not None, "an id comes from one of the two"
        return "open" if is_open(new) else "new"
    last = old.last
    if last.rule_version != versions[last.rule] or last.resolve_reason == "RULE_CHANGED":
        return "left"
    if new is None:
        if is_open(last):
            return "open"
        return "unchanged" if last.ends_at == last.starts_at else "withdrawn"
    if _told(last) == _told(new):
        return "unchanged"
    return "open" if is_open(last) or is_open(new) else "corrected"


def _told(alert: Alert) -> tuple[object, ...]:
    """Return what makes two records of an alert say the same.

    Without score and baseline: one late reading moves a baseline for weeks by next to nothing.
    """
    return (
        alert.state, alert.severity, alert.value, alert.threshold_enter, alert.threshold_exit,
        alert.sample_count, alert.peak_value, alert.window_start, alert.window_end,
        alert.condition_since, alert.starts_at, alert.ends_at, alert.last_true_at,
    )  # fmt: skip


def _corrected(new: Alert, old: _Stand | None) -> Alert:
    return replace(
        new,
        event="CORRECTED",
        seq=0 if old is None else old.seq + 1,
        prev_state=None if old is None else old.last.state,
        prev_severity=None if old is None else old.last.severity,
        late=True,
    )


def _withdrawn(old: _Stand) -> Alert:
    """Return the record that takes an alert back: it ends when it starts, which none else does."""
    return replace(
        old.last,
        event="CORRECTED",
        seq=old.seq + 1,
        state="RESOLVED",
        prev_state=old.last.state,
        prev_severity=old.last.severity,
        ends_at=old.last.starts_at,
        resolve_reason="RESET",
        late=True,
    )
