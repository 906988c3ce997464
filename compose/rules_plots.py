"""Pages of what rules made of series: one for each series, and one that lists them."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from schemas.failure import Failure
from schemas.records import Alert
from stream.plots import Marks, Page, Panel, page, whole
from stream.recorded import Series, Spans
from stream.rule import Rules

_STRANGE = re.compile(r"[^A-Za-z0-9._-]")
_LONGEST = 100


def write_plots(
    folder: Path,
    rules: Rules,
    series: Sequence[Series],
    marks: Marks,
    alerts: Sequence[Alert],
    labels: Mapping[str, Spans],
) -> Path:
    """Write a page for each series and an index of them; return the index's path.

    Raises:
        Failure: the folder cannot be written to.
    """
    pages = _pages(rules, series, marks, alerts, labels)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for each in pages:
            (folder / _file(each)).write_text(page(each), "utf-8")
        index = folder / "index.html"
        index.write_text(_index(pages), "utf-8")
    except OSError as error:
        raise Failure(f"--plot {folder}: cannot be written: {error.strerror}") from error
    return index


def _pages(
    rules: Rules,
    series: Sequence[Series],
    marks: Marks,
    alerts: Sequence[Alert],
    labels: Mapping[str, Spans],
) -> list[Page]:
    """Return a page for each series that was read, or that rules saw."""
    names = dict.fromkeys([(each.device_id, each.metric) for each in series])
    names |= dict.fromkeys((device, metric) for device, metric, _ in marks)
    read = {(each.device_id, each.metric): each for each in series}
    own: dict[tuple[str, str], list[Alert]] = {}
    for alert in alerts:
        own.setdefault((alert.device_id, alert.metric), []).append(alert)
    return [
        Page(
            read.get(name, Series(*name, [])),
            [
                Panel(rule, marks[(*name, rule.name)])
                for rule in rules.rules
                if (*name, rule.name) in marks
            ],
            own.get(name, []),
            labels.get(name[0], []),
        )
        for name in names
    ]


def _index(pages: Sequence[Page]) -> str:
    ordered = sorted(pages, key=lambda each: (-_alerts(each), each.series[:2]))
    rows = "\n".join(
        f'<tr><td><a href="{_file(each)}">{escape(each.series.device_id)} '
        f"{escape(each.series.metric)}</a></td><td>{len(each.series.points)}</td>"
        f"<td>{_alerts(each)}</td><td>{len(each.labels)}</td></tr>"
        for each in ordered
    )
    head = "<tr><th>series</th><th>readings</th><th>alerts</th><th>labelled windows</th></tr>"
    return whole("Rules on recorded series", f"<table>{head}\n{rows}</table>")


def _alerts(of: Page) -> int:
    return len({each.alert_id for each in of.alerts})


def _file(of: Page) -> str:
    """Return a page's file name; what a name cannot hold is replaced, and told apart by a mark."""
    name = f"{of.series.device_id}.{of.series.metric}"
    plain = _STRANGE.sub("_", name)[:_LONGEST]
    if plain == name:
        return f"{plain}.html"
    return f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}.html"
