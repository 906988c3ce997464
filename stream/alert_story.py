"""One alert as a story: its records in order, and the readings that led to it."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from schemas.failure import Failure
from schemas.records import Alert
from stream.backtest import panes
from stream.pane_sizes import PANES_MS
from stream.panes import Pane
from stream.recorded import Series
from stream.why_not import at_ms, span_of

_MOST_ROWS = 60
_SHORTEST = 6
"""Of an id's beginning: fewer characters name too many alerts."""


class LedTo(NamedTuple):
    """The time whose readings led to an alert, [start, end) in ms."""

    start: int
    end: int


def records_of(records: Sequence[Alert], asked: str) -> list[Alert]:
    """Return the records of an alert in order, each once.

    Args:
        records: of any alerts.
        asked: an alert's id, or its beginning if that names but one.

    Raises:
        Failure: there is no such alert, or more than one.
    """
    if len(asked) < _SHORTEST:
        raise Failure(
            f"{asked!r}: too short for an alert's id; give at least its first {_SHORTEST} "
            "characters, as `tidegate alerts list` shows them"
        )
    ids = {each.alert_id for each in records if _is_meant(each.alert_id, asked)}
    if len(ids) > 1:
        some = ", ".join(sorted(ids)[:5])
        raise Failure(f"{asked}: begins the ids of {len(ids)} alerts: {some}; give more of it")
    if not ids:
        latest = sorted(records, key=lambda each: (each.emitted_at, each.fingerprint), reverse=True)
        newest = list(dict.fromkeys(each.alert_id for each in latest))[:3]
        known = f"the newest are {', '.join(newest)}" if newest else "there is no alert at all"
        raise Failure(
            f"{asked}: no alert has this id among {len(records)} records; {known}. An id's first "
            f"{_SHORTEST} characters are enough; `tidegate alerts tail --json` shows them"
        )
    own = {(each.seq, each.event): each for each in records if each.alert_id in ids}
    return [own[key] for key in sorted(own)]


def story(records: Sequence[Alert]) -> Iterator[str]:
    """Yield an alert's life in lines; ``records`` as of :func:`records_of`."""
    first, last = records[0], records[-1]
    yield f"Alert {first.alert_id}"
    yield (
        f"{first.rule} (version {first.rule_version}, {first.category}) on {first.device_id} "
        f"{first.metric}, site {first.site}"
    )
    for name, text in {**first.annotations, **first.labels}.items():
        yield f"{name}: {text}"
    yield ""
    if first.condition_since < first.emitted_at:
        yield f"{at_ms(first.condition_since)}  the condition became true"
    for each in records:
        yield f"{at_ms(each.emitted_at)}  {_transition(each)}"
        for line in _evidence(each):
            yield f"{'':18}{line}"
    yield ""
    yield _state(first, last)


def led_to(first: Alert) -> LedTo:
    """Return what time's readings led to an alert: the windows from its condition's start on."""
    length = first.window_end - first.window_start
    since = min(first.condition_since, first.window_end)
    return LedTo(since - length, first.window_end)


def leading_panes(series: Sequence[Series], first: Alert) -> list[Pane]:
    """Return the readings that led to an alert as panes, in so many rows as a person reads.

    Raises:
        Failure: the series hold none of the alert's metric in that time.
    """
    span = led_to(first)
    points = [
        point
        for each in series
        if (each.device_id, each.metric) == (first.device_id, first.metric)
        for point in each.points
        if span.start <= point[0] < span.end
    ]
    if not points:
        raise Failure(
            f"the readings hold none of {first.device_id} {first.metric} from "
            f"{at_ms(span.start)} to {at_ms(span.end)}, which led to the alert"
        )
    fits = (size for size in PANES_MS if (span.end - span.start) / size <= _MOST_ROWS)
    return list(panes(points, next(fits, PANES_MS[-1])))


def _is_meant(alert_id: str, asked: str) -> bool:
    return alert_id == asked or (len(asked) >= _SHORTEST and alert_id.startswith(asked))


def _transition(of: Alert) -> str:
    change = f"{of.prev_severity} to {of.severity}" if of.prev_severity else of.severity
    reason = f" (reason {of.resolve_reason})" if of.resolve_reason else ""
    late = ", found by a backfill" if of.late else ""
    return f"{of.event} {change}{reason}{late}"


def _evidence(of: Alert) -> Iterator[str]:
    unit = f" {of.unit}" if of.unit else ""
    yield (
        f"value {of.value:.6g}{unit} of {of.sample_count} readings from {at_ms(of.window_start)} "
        f"to {at_ms(of.window_end)}"
    )
    score = f"score {of.score:+.4g}, " if of.score is not None else ""
    yield (
        f"{score}compared: {of.comparator} {of.threshold_enter:g} enters, "
        f"{of.threshold_exit:g} leaves"
    )
    if of.baseline_mean is not None:
        yield f"usual: {of.baseline_mean:.6g} ± {of.baseline_std or 0:.4g}"
    if of.event == "FIRED" and of.starts_at > of.condition_since:
        yield f"{span_of(of.starts_at - of.condition_since)} after the condition became true"
    if of.event == "ACKED":
        yield f"acknowledged by {of.acked_by}"
    if of.shelved_until is not None:
        yield f"on the shelf until {at_ms(of.shelved_until)}"
    if of.event == "RESOLVED":
        kept = span_of(max(0, of.emitted_at - of.last_true_at))
        worst = f"at its worst {of.peak_value:.6g}"
        yield f"last true at {at_ms(of.last_true_at)}, {kept} before; {worst}"


def _state(first: Alert, last: Alert) -> str:
    if last.ends_at is None:
        return f"It is {last.state} with {last.severity} as of its newest record."
    length = span_of(max(0, last.ends_at - last.starts_at))
    return f"It lasted {length}, from {at_ms(first.starts_at)} to {at_ms(last.ends_at)} UTC."
