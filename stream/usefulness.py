"""Which alerts led to work, how soon, and whether there was a fault: alerts against maintenance.

An alert is answered by the first order on its asset that starts within the horizon of its start.
The example `time_to_action` of `jobs sql` asks much the same as an interval join.
"""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple

from schemas.records import Alert, Maintenance
from stream.kpis import DAY_MS, rings

HORIZON_MS = 7 * DAY_MS


class Outcome(NamedTuple):
    """An alert and the order that answered it, if any did."""

    alert: Alert
    order: Maintenance | None

    @property
    def action_ms(self) -> int | None:
        """Return the time from the alert's start to that of the work."""
        return None if self.order is None else self.order.started_at - self.alert.starts_at


class Worth(NamedTuple):
    """What the alerts of one rule were worth.

    ``useful`` of those answered met a fault, ``false`` met none; of the rest nobody has said.
    """

    rule: str
    alerts: int
    answered: int
    useful: int
    false: int
    median_action_ms: float | None


def newest(orders: Iterable[Maintenance]) -> list[Maintenance]:
    """Return the last record of each order, in order of their starts; records as on the topic."""
    last = {each.order_id: each for each in orders}
    return sorted(last.values(), key=lambda each: (each.started_at, each.order_id))


def outcomes(
    records: Iterable[Alert], orders: Sequence[Maintenance], horizon_ms: int = HORIZON_MS
) -> list[Outcome]:
    """Return what became of each alert that rang, in order of their starts.

    Args:
        records: of alerts, in any order.
        orders: of :func:`newest`.
        horizon_ms: work that starts later answers no more.
    """
    rang = filter(rings, records)
    of: dict[str, list[Maintenance]] = {}
    for order in orders:
        of.setdefault(order.asset_id, []).append(order)
    found = []
    for alert in sorted(rang, key=lambda each: (each.starts_at, each.fingerprint)):
        own = of.get(alert.asset_id, [])
        end = alert.starts_at + horizon_ms
        answers = (each for each in own if alert.starts_at <= each.started_at <= end)
        found.append(Outcome(alert, next(answers, None)))
    return found


def worths(every: Iterable[Outcome]) -> list[Worth]:
    """Return what each rule's alerts were worth, those with the most false ones first."""
    of: dict[str, list[Outcome]] = {}
    for each in every:
        of.setdefault(each.alert.rule, []).append(each)
    made = [_worth(rule, own) for rule, own in of.items()]
    return sorted(made, key=lambda each: (-each.false, -each.alerts, each.rule))


def _worth(rule: str, own: Sequence[Outcome]) -> Worth:
    findings = [each.order.finding for each in own if each.order is not None]
    times = [each.action_ms for each in own if each.action_ms is not None]
    return Worth(
        rule,
        len(own),
        len(findings),
        findings.count("FAULT_FOUND"),
        findings.count("NO_FAULT"),
        median(times) if times else None,
    )


def missed(
    records: Iterable[Alert], orders: Iterable[Maintenance], lookback_ms: int = HORIZON_MS
) -> list[Maintenance]:
    """Return the orders that found a fault of which no alert had told within the lookback."""
    rang: dict[str, list[int]] = {}
    for each in filter(rings, records):
        rang.setdefault(each.asset_id, []).append(each.starts_at)
    return [
        each
        for each in orders
        if each.finding == "FAULT_FOUND"
        and not any(
            each.started_at - lookback_ms <= at <= each.started_at
            for at in rang.get(each.asset_id, [])
        )
    ]
