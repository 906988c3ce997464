"""A series as a page: readings, windows, limits, alerts and labels, one chart for each rule.

The page is one file of HTML with drawings in SVG, and needs nothing else to be looked at.
"""

from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import NamedTuple

from schemas.records import Alert
from stream.look import Look
from stream.plot_axes import Bucket, Scale, thinned, time_ticks, value_range, value_ticks
from stream.recorded import Series, Spans
from stream.rule import Rule
from stream.why_not import asks, at_ms

_WIDTH, _LEFT, _RIGHT = 1120, 64, 12
_VALUES, _STRIP, _ALERTS, _LABELS, _AXIS = 220, 90, 14, 8, 22
_GAP_SLIDES = 4
"""After so many slides without a window, a line of windows is broken."""


class Mark(NamedTuple):
    """What is drawn of one window: its end (ms), value, statistic, and the edges of the usual."""

    end: int
    value: float
    statistic: float | None
    low: float | None
    high: float | None


class Panel(NamedTuple):
    """One rule's chart."""

    rule: Rule
    marks: Sequence[Mark]


class Page(NamedTuple):
    """One series, what its rules saw of it, its alerts' records, and its labels."""

    series: Series
    panels: Sequence[Panel]
    alerts: Sequence[Alert]
    labels: Spans


Marks = dict[tuple[str, str, str], list[Mark]]
"""By device, metric and rule."""


def marker(into: Marks) -> Callable[[Look], None]:
    """Return what the engine tells its looks to: what is to be drawn of them is noted."""

    def note(look: Look) -> None:
        verdict, window = look.verdict, look.window
        if verdict is None:
            return
        low = high = None
        if verdict.baseline_mean is not None and verdict.baseline_std is not None:
            reach = abs(look.rule.severities[0].shown_enter) * verdict.baseline_std
            low, high = verdict.baseline_mean - reach, verdict.baseline_mean + reach
        own = into.setdefault((window.device_id, window.metric, look.rule.name), [])
        own.append(Mark(window.window_end, verdict.value, verdict.statistic, low, high))

    return note


def page(of: Page) -> str:
    """Return the page of a series."""
    name = f"{of.series.device_id} {of.series.metric}"
    facts = (
        f"{len(of.series.points)} readings, {sum(a.seq == 0 for a in of.alerts)} alerts, "
        f"{len(of.labels)} labelled windows; times are UTC"
    )
    panels: Sequence[Panel | None] = of.panels or [None]
    charts = "\n".join(_chart(of, panel) for panel in panels)
    return whole(name, f"<p>{escape(facts)}</p>\n{charts}\n{_LEGEND}")


def whole(title: str, body: str) -> str:
    """Return a whole page around a body of HTML."""
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f"<style>{_STYLE}</style>\n<h1>{escape(title)}</h1>\n{body}\n</html>\n"
    )


def _chart(of: Page, panel: Panel | None) -> str:
    first, last = _span(of, panel)
    time = Scale(first, last, _LEFT, _WIDTH - _RIGHT)
    strip = panel is not None and any(mark.statistic is not None for mark in panel.marks)
    top = _ALERTS + _LABELS + 8
    bottom = top + _VALUES
    height = bottom + (_STRIP + 10 if strip else 0) + _AXIS
    parts = [
        *_times(first, last, time, height),
        *_bands(of, panel, time, height - _AXIS),
        *_values(of, panel, time, (bottom, top)),
        *(_scores(panel, time, (height - _AXIS, bottom + 10)) if panel and strip else ()),
    ]
    title = "no rule is for this series" if panel is None else f"{panel.rule.name}: "
    told = "" if panel is None else asks(panel.rule)
    drawn = "\n".join(parts)
    return (
        f"<h2>{escape(title)}<small>{escape(told)}</small></h2>\n"
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img">\n{drawn}\n</svg>'
    )


def _span(of: Page, panel: Panel | None) -> tuple[int, int]:
    """Return the times at the edges; they differ."""
    times = [at for at, _ in (of.series.points[:1] + of.series.points[-1:])]
    times += [mark.end for mark in (panel.marks if panel else ())]
    first, last = min(times, default=0), max(times, default=0)
    return first, max(last, first + 1000)


def _bands(of: Page, panel: Panel | None, time: Scale, bottom: float) -> Iterator[str]:
    """Yield alerts and labelled windows as bars above the chart, and faintly behind it."""
    for start, end in of.labels:
        if end >= time.low and start <= time.high:
            told = f"labelled: {at_ms(start)} to {at_ms(end)}"
            yield _bar("label", time, (start, end), (_ALERTS + 2, _ALERTS + 2 + _LABELS), told)
            yield _bar("label under", time, (start, end), (_ALERTS + 2 + _LABELS, bottom), told)
    if panel is None:
        return
    own = [each for each in of.alerts if each.rule == panel.rule.name]
    for index, each in enumerate(own):
        if each.event == "RESOLVED":
            continue
        later = (a for a in own[index + 1 :] if a.alert_id == each.alert_id)
        until = next((a.emitted_at for a in later), int(time.high))
        told = f"{each.severity} {at_ms(each.emitted_at)} to {at_ms(until)}: {each.value:.6g}"
        span = (each.emitted_at, until)
        yield _bar(f"alert {each.severity}", time, span, (0, _ALERTS), told)
        yield _bar(f"under {each.severity}", time, span, (_ALERTS, bottom), told)


def _bar(kind: str, time: Scale, span: tuple[int, int], y: tuple[float, float], told: str) -> str:
    left = time.at(max(span[0], time.low))
    width = max(1.5, time.at(min(span[1], time.high)) - left)
    return (
        f'<rect class="{kind}" x="{left:.1f}" y="{y[0]:.1f}" width="{width:.1f}" '
        f'height="{y[1] - y[0]:.1f}"><title>{escape(told)}</title></rect>'
    )


def _values(of: Page, panel: Panel | None, time: Scale, y: tuple[float, float]) -> Iterator[str]:
    """Yield readings, windows, and the limits or what is usual."""
    marks = panel.marks if panel else ()
    limits = _limits(panel.rule) if panel and panel.rule.to == "value" else []
    columns = _WIDTH - _LEFT - _RIGHT
    readings = thinned(of.series.points, int(time.low), int(time.high), columns)
    shown = [x for each in readings for x in (each.low, each.high)] + [m.value for m in marks]
    scale = Scale(*value_range(shown, [limit for _, limit in limits]), *y)
    yield from _grid(scale)
    usual = [mark for mark in marks if mark.low is not None]
    if usual:
        yield _band(usual, time, scale)
    yield _envelope(readings, time, scale)
    gap = _gap(panel)
    line = thinned([(m.end, m.value) for m in marks], int(time.low), int(time.high), columns)
    yield from _lines("windows", line, time, scale, gap)
    for level, limit in limits:
        yield _limit(level, limit, scale)


def _scores(panel: Panel, time: Scale, y: tuple[float, float]) -> Iterator[str]:
    """Yield what is compared with the limits, where that is not the value itself."""
    points = [(mark.end, mark.statistic) for mark in panel.marks if mark.statistic is not None]
    limits = _limits(panel.rule)
    scale = Scale(*value_range([x for _, x in [*points, *limits]], []), *y)
    yield from _grid(scale)
    line = thinned(points, int(time.low), int(time.high), _WIDTH - _LEFT - _RIGHT)
    yield from _lines("score", line, time, scale, _gap(panel))
    for level, limit in limits:
        yield _limit(level, limit, scale)


def _limits(rule: Rule) -> list[tuple[str, float]]:
    made: list[tuple[str, float]] = [(each.level, each.shown_enter) for each in rule.severities]
    return made + ([(level, -limit) for level, limit in made] if rule.op == "abs>=" else [])


def _limit(level: str, limit: float, scale: Scale) -> str:
    if not scale.holds(limit):
        edge = scale.end + 10 if limit > scale.high else scale.start - 4
        text = f"{level} at {limit:g} is off the chart"
        return f'<text class="off" x="{_WIDTH - _RIGHT - 4}" y="{edge:.1f}">{text}</text>'
    y = scale.at(limit)
    return (
        f'<line class="limit {level}" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" '
        f'y2="{y:.1f}"><title>{level} at {limit:g}</title></line>'
    )


def _grid(scale: Scale) -> Iterator[str]:
    for tick in value_ticks(scale.low, scale.high):
        y = scale.at(tick)
        yield f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text class="value" x="{_LEFT - 6}" y="{y + 4:.1f}">{tick:.6g}</text>'


def _times(first: int, last: int, time: Scale, height: float) -> Iterator[str]:
    for at, told in time_ticks(first, last):
        x = time.at(at)
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height - _AXIS}"/>'
        yield f'<text class="time" x="{x:.1f}" y="{height - 6}">{told}</text>'


def _band(marks: Sequence[Mark], time: Scale, scale: Scale) -> str:
    """Return what is usual, between the limits, cut off at the edges of the chart."""
    every = max(1, len(marks) // (_WIDTH // 2))
    chosen = marks[::every]

    def point(at: int, value: float | None) -> str:
        inside = min(max(value or 0.0, scale.low), scale.high)
        return f"{time.at(at):.1f},{scale.at(inside):.1f}"

    upper = " ".join(point(mark.end, mark.high) for mark in chosen)
    lower = " ".join(point(mark.end, mark.low) for mark in reversed(chosen))
    return f'<polygon class="usual" points="{upper} {lower}"/>'


def _envelope(buckets: Sequence[Bucket], time: Scale, scale: Scale) -> str:
    """Return readings as a stroke in each column, from the least to the greatest."""
    strokes = (
        f"M{time.at(b.at):.1f} {scale.at(b.low) + 0.6:.1f}V{scale.at(b.high) - 0.6:.1f}"
        for b in buckets
    )
    return f'<path class="readings" d="{"".join(strokes)}"/>'


def _lines(
    kind: str, buckets: Sequence[Bucket], time: Scale, scale: Scale, gap_ms: int
) -> Iterator[str]:
    """Yield a line through buckets, broken at gaps."""
    parts: list[str] = []
    before: int | None = None
    for each in buckets:
        verb = "L" if before is not None and each.at - before <= gap_ms else "M"
        x = f"{time.at(each.at):.1f}"
        parts.append(f"{verb}{x} {scale.at(each.low):.1f}")
        if each.high > each.low:
            parts.append(f"L{x} {scale.at(each.high):.1f}")
        before = each.at
    if parts:
        yield f'<path class="{kind}" d="{"".join(parts)}"/>'


def _gap(panel: Panel | None) -> int:
    """Return how far apart windows may end and still be joined; as far as columns are, at least."""
    if panel is None or not panel.marks:
        return 0
    span = panel.marks[-1].end - panel.marks[0].end
    return max(_GAP_SLIDES * panel.rule.window.slide_ms, 3 * span // (_WIDTH - _LEFT - _RIGHT))


_STYLE = """
:root{--ink:#1c2733;--paper:#fff;--faint:#e6eaee;--mid:#66727f;--reading:#9db8d2;--window:#1f5fa8;
--usual:#2f9e6a;--info:#3b82c4;--warning:#d98a00;--critical:#c62f3c;--label:#7a57c2}
@media (prefers-color-scheme:dark){:root{--ink:#e4e9ee;--paper:#161b21;--faint:#2a323b;
--mid:#95a1ae;--reading:#4d6a88;--window:#7db7f5}}
body{font:14px/1.45 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:24px auto;
max-width:1160px;padding:0 16px}
h1{font-size:20px;margin:0 0 4px}h2{font-size:15px;margin:22px 0 6px}
small{font-weight:400;color:var(--mid)}p{color:var(--mid);margin:0}
svg{width:100%;height:auto;display:block}svg text{font-size:11px;fill:var(--mid)}
.value,.off{text-anchor:end}.time{text-anchor:middle}.off{fill:var(--critical)}
.grid{stroke:var(--faint)}path{fill:none}
.readings{stroke:var(--reading);stroke-width:1.4}.windows{stroke:var(--window);stroke-width:1.5}
.score{stroke:var(--ink);stroke-width:1.1}.usual{fill:var(--usual);opacity:.14}
.limit{stroke-width:1.2;stroke-dasharray:6 4}.label{fill:var(--label)}
.INFO{stroke:var(--info)}.WARNING{stroke:var(--warning)}.CRITICAL{stroke:var(--critical)}
rect.INFO,i.INFO{fill:var(--info);background:var(--info)}
rect.WARNING,i.WARNING{fill:var(--warning);background:var(--warning)}
rect.CRITICAL,i.CRITICAL{fill:var(--critical);background:var(--critical)}
rect{stroke:none!important}.under{opacity:.1}
.legend{margin:14px 0;color:var(--mid)}.legend i{display:inline-block;width:22px;height:10px;
margin:0 6px 0 16px;vertical-align:middle}
table{border-collapse:collapse;margin-top:12px}td,th{padding:4px 14px 4px 0;text-align:left;
border-bottom:1px solid var(--faint)}a{color:var(--window)}
"""
_LEGEND = """<p class="legend"><i style="background:var(--reading)"></i>readings
<i style="background:var(--window)"></i>windows
<i style="background:var(--usual);opacity:.3"></i>usual, up to the lowest limit
<i style="background:var(--label)"></i>labelled
<i class="INFO"></i>INFO<i class="WARNING"></i>WARNING<i class="CRITICAL"></i>CRITICAL</p>"""
