"""When a series reports, and whether its values are to be trusted: what its checks share."""

import msgspec

from stream.panes import Pane
from stream.sensor_checks import NoData

_GAPS, _LEAST_GAPS = 20, 5
_LEAST_SILENCE_MS = 10_000


class Reports(msgspec.Struct, array_like=True):
    """When a series reports: its newest reading, and how far apart they usually are, ms.

    ``pane_ms`` is the length of its panes, and ``watched`` says whether the device looks out for
    its silence.
    """

    last_ts: int = 0
    interval_ms: float = 0.0
    gaps: int = 0
    pane_ms: int = 0
    watched: bool = False


class Health(msgspec.Struct, array_like=True):
    """What the checks of a series remember together.

    Of the newest pane, which ended at ``seen_to``: whether its values are to be trusted
    (``gated``), and since when they are, ms.
    """

    seen_to: int = 0
    gated: bool = False
    trusted_since: int = 0
    reports: Reports = msgspec.field(default_factory=Reports)


def note(reports: Reports, pane: Pane, *, silent: bool) -> None:
    """Learn from a pane when the series reports; from the gap before it unless that was a fault.

    The interval is the mean of the first gaps and then moves by a twentieth of each. A gap counts
    for three intervals at most.
    """
    if reports.pane_ms and not silent:
        _learn_gap(reports, pane.first_ts - reports.last_ts)
    if pane.n > 1:
        _learn_gap(reports, (pane.last_ts - pane.first_ts) / (pane.n - 1))
    reports.last_ts, reports.pane_ms = pane.last_ts, pane.pane_end - pane.pane_start


def _learn_gap(reports: Reports, gap_ms: float) -> None:
    if gap_ms <= 0:
        return
    taken = min(gap_ms, 3 * reports.interval_ms) if reports.gaps else gap_ms
    reports.gaps = min(reports.gaps + 1, _GAPS)
    reports.interval_ms += (taken - reports.interval_ms) / reports.gaps


def patience_ms(check: NoData, reports: Reports) -> int | None:
    """Return how long a series may be silent; None while its interval is not known.

    In intervals, 10 s at least, and one pane: what a pane holds says nothing of the gaps inside.
    """
    if check.after_ms:
        return check.after_ms
    if reports.gaps < _LEAST_GAPS:
        return None
    return max(round(check.intervals * reports.interval_ms), _LEAST_SILENCE_MS, reports.pane_ms)
