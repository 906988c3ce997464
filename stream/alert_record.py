"""Alert records: a transition of one rule on one series, as it goes to the alerts topic."""

import re
from typing import Any, Protocol
from uuid import UUID, uuid5

from msgspec.structs import replace

from schemas.records import Alert, ResolveReason
from stream.detectors import Verdict
from stream.lifecycle import Change, Life, Phase, Severity
from stream.rule import AnyRule
from stream.windows import Subject

# uuid5(NAMESPACE_URL, "urn:tidegate:alert"), fixed for ever: alert ids hang on it.
_NAMESPACE = UUID("9a27adb5-063b-558c-94be-6e8acfb2457a")
FIELDS = ("device_id", "metric", "site", "unit", "value", "score", "level", "limit")
"""What an annotation may name in double braces."""
PLACEHOLDER = re.compile(r"\{\{\s*(.*?)\s*\}\}")


class Looked(Protocol):
    """What a record says was looked at: readings between two times, ms."""

    @property
    def window_start(self) -> int:
        """Where it began."""
        ...

    @property
    def window_end(self) -> int:
        """Where it ended: the time of the evaluation."""
        ...

    @property
    def count(self) -> int:
        """How many readings."""
        ...


def alert_id(fingerprint: str, starts_at: int) -> str:
    """Return the id of the alert of a rule and key that started then: the same in every run."""
    return str(uuid5(_NAMESPACE, f"{fingerprint}@{starts_at}"))


def fingerprint(rule_name: str, of: Subject) -> str:
    """Return what names a rule and a key; none of the parts can hold a slash."""
    return f"{rule_name}/{of.device_id}/{of.metric}"


def record(
    rule: AnyRule, of: Subject, window: Looked, verdict: Verdict, life: Life, change: Change
) -> Alert:
    """Return the record of a transition that ``window`` caused; all its times are event time.

    ``life`` is that after the transition, still with the alert's last record if there was one.
    """
    severity = rule.severities[change.top]
    prev = None if change.prev_top is None else rule.severities[change.prev_top]
    at, before = window.window_end, life.open
    starts_at = at if before is None else before.starts_at
    mark = fingerprint(rule.name, of)
    return Alert(
        alert_id=alert_id(mark, starts_at),
        fingerprint=mark,
        seq=0 if before is None else before.seq + 1,
        rule=rule.name,
        rule_version=rule.version,
        category=rule.category,
        event=change.event,
        state=change.state,
        prev_state=change.prev_state,
        severity=severity.level,
        prev_severity=prev.level if prev else None,
        asset_id=of.device_id,
        device_id=of.device_id,
        site=of.site,
        metric=of.metric,
        unit=of.unit,
        value=verdict.value,
        threshold_enter=severity.shown_enter,
        threshold_exit=severity.shown_exit,
        comparator=f"{rule.to} {rule.op}",
        score=verdict.statistic,
        baseline_mean=verdict.baseline_mean,
        baseline_std=verdict.baseline_std,
        sample_count=window.count,
        peak_value=life.peak_value,
        window_start=window.window_start,
        window_end=at,
        condition_since=life.since,
        starts_at=starts_at,
        ends_at=at if change.event == "RESOLVED" else None,
        last_true_at=life.last_true,
        emitted_at=at,
        resolve_reason="VALUE" if change.event == "RESOLVED" else None,
        labels=rule.labels,
        annotations=_filled(rule.annotations, of, verdict, severity),
        **_carried(before, change, at),
    )


def _carried(before: Alert | None, change: Change, at: int) -> dict[str, Any]:
    """Return what a record has from the one before it, by field."""
    if before is None:
        return {}
    carried: dict[str, Any] = {
        "first_out": before.first_out,
        "shelved_until": shelved(before, at),
    }
    # What has got worse is to be looked at again, and so is what is told anew (OPC UA Part 9).
    anew = change.event == "RENOTIFY" and change.state == change.prev_state
    if not anew and change.event != "ESCALATED":
        carried |= {"acked_at": before.acked_at, "acked_by": before.acked_by}
    return carried


def shelved(alert: Alert, at: int) -> int | None:
    """Return until when nobody wants to be told of an alert, ms; None when that is over."""
    until = alert.shelved_until
    return until if until is not None and until > at else None


def ended(last: Alert, phase: Phase, at: int, reason: ResolveReason) -> Alert:
    """Return the record that closes an alert for another reason than its value.

    Args:
        last: the alert's newest record.
        phase: where it was.
        at: the end of the pane or window that met the new rules or the new state, ms.
        reason: RULE_CHANGED when the rule is gone or means something else now, RESET when the
            machine's state has ended what the rule is for.
    """
    return replace(
        last,
        seq=last.seq + 1,
        event="RESOLVED",
        state="RESOLVED",
        prev_state=None if phase == "INACTIVE" else phase,
        prev_severity=None,
        ends_at=at,
        emitted_at=at,
        resolve_reason=reason,
    )


def _filled(
    texts: dict[str, str], of: Subject, verdict: Verdict, severity: Severity
) -> dict[str, str]:
    known = {
        "device_id": of.device_id,
        "metric": of.metric,
        "site": of.site,
        "unit": of.unit or "",
        "value": f"{verdict.value:.6g}",
        "score": "" if verdict.statistic is None else f"{verdict.statistic:.3g}",
        "level": severity.level,
        "limit": f"{severity.shown_enter:.6g}",
    }
    return {
        key: PLACEHOLDER.sub(lambda found: known.get(found[1], found[0]), text)
        for key, text in texts.items()
    }
