"""How alerts meet failures, on recordings of machines that end with theirs."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from schemas.records import Alert
from stream.recorded import Series


class Lead(NamedTuple):
    """What one rule told of ``devices`` failures.

    ``alerted`` is how many of them had an alert; the lead is the time from the reading that raised
    the first one to the last reading, ms: its tenth, half and nine tenths.
    """

    devices: int
    alerted: int
    onsets_per_device: float
    lead_p10_ms: float | None
    lead_median_ms: float | None
    lead_p90_ms: float | None


def leads(
    series: Iterable[Series], alerts: Sequence[Alert], rules: Iterable[str]
) -> dict[str, Lead]:
    """Return how early and how often each rule fired, by its name."""
    times: dict[str, set[int]] = {}
    for each in series:
        times.setdefault(each.device_id, set()).update(at for at, _ in each.points)
    rows = {device: sorted(own) for device, own in times.items() if own}
    fired = [alert for alert in alerts if alert.event == "FIRED"]
    return {rule: _lead(rows, fired, rule) for rule in rules}


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return a quantile of numbers in order, linear between the two next to it."""
    at = share * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (at - low) * (ordered[high] - ordered[low])


def _lead(rows: dict[str, list[int]], fired: Sequence[Alert], rule: str) -> Lead:
    own = [alert for alert in fired if alert.rule == rule and alert.device_id in rows]
    first: dict[str, int] = {}
    for alert in own:
        first[alert.device_id] = min(alert.window_end, first.get(alert.device_id, alert.window_end))
    found = []
    for device, end in first.items():
        at = rows[device]
        found.append(float(at[-1] - at[max(bisect_left(at, end) - 1, 0)]))
    found.sort()
    shares = (quantile(found, share) if found else None for share in (0.1, 0.5, 0.9))
    return Lead(len(rows), len(first), len(own) / max(len(rows), 1), *shares)
