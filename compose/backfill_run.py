"""The recomputation of a backfill, device by device: one device is in memory at a time."""

import time
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from compose.backfill_books import Books, Request, RunIn
from compose.outbox import Outbox
from compose.told import Told
from schemas.codec import encode
from schemas.config import nearest
from schemas.failure import Failure
from schemas.records import Alert, Reading
from simulators.clock import iso
from stream.correction import (
    AlertChanges,
    WindowChanges,
    compare_alerts,
    compare_windows,
)
from stream.engine import Engine
from stream.fleet import enriched, placed
from stream.lake import Lake
from stream.lake_readings import Chosen, Whole, has_device, read_back, spans
from stream.pane_sizes import pane_ms
from stream.recompute import DAY_MS, Recomputed, recompute
from stream.run_in import asked_metrics, memory_ms, reach_ms


class Ids(NamedTuple):
    """Schema ids of what is sent."""

    windows: int
    alerts: int


class Run:
    """One run over the lake, device by device."""

    def __init__(
        self,
        request: Request,
        run_in: RunIn,
        first_ms: int,
        ids: Ids,
        told: Told,
        outbox: Outbox,
        books: Books,
    ) -> None:
        """Take what is read and what is filled: ``outbox`` and ``books``.

        ``first_ms`` is when the lake begins.
        """
        self._request = request
        self._run_in = run_in
        self._first_ms = first_ms
        self._told = told
        self._outbox = outbox
        self._books = books
        self._engine = request.engines or Engine(request.rules, fleet=request.fleet)
        self._size_of = pane_ms(request.rules, request.panes)
        self._versions = {rule.name: rule.version for rule in request.rules.every}
        self._ids = ids
        cut = run_in.from_ms > first_ms
        self._whole_from = run_in.from_ms + reach_ms(request.rules) if cut else 0
        # Where the lake has more than was taken, these baselines are not what the job has.
        past = request.from_ms - run_in.from_ms
        laws = request.rules
        self._short = {r.name for r in laws.rules if cut and memory_ms(r, laws) > past}

    def over(self, lake: Lake, scratch: Path) -> None:
        """Take all chosen devices.

        Raises:
            Failure: the lake holds no reading of the period.
        """
        request, books = self._request, self._books
        # A pane behind the period may be what brings out a window's last word.
        upto = round(time.time() * 1000) + DAY_MS
        asked = asked_metrics(request.rules)
        whole = Whole(asked, self._first_ms) if asked else None
        chosen = Chosen(self._run_in.from_ms, upto, request.site, request.device, whole)
        for device, readings in groupby(read_back(lake, chosen, scratch), lambda r: r.device_id):
            counted = self._counted(readings)
            self._device(device, (list(day) for _, day in groupby(counted, _midnight)))
        if not books.readings:
            raise Failure(_no_readings(lake, request))

    def _counted(self, readings: Iterator[Reading]) -> Iterator[Reading]:
        first, last = self._request.from_ms, self._request.to_ms
        for reading in readings:
            if first <= reading.ts < last:
                self._books.readings += 1
            elif reading.ts < first:
                self._books.run_in_readings += 1
            yield reading

    def _device(self, device: str, days: Iterator[list[Reading]]) -> None:
        request, books, told = self._request, self._books, self._told
        before = told.before(device)
        found = recompute(
            self._engine, request.rules, self._size_of, days, request.scope, before, request.resets
        )
        windows = compare_windows(told.windows(device), found.windows, found.counts.readings)
        books.devices += 1
        books.panes += found.panes
        books.unknown += [f"{device} {metric}" for metric in sorted(found.unknown)]
        books.short_baselines += [
            f"{device} {metric} ({rule})"
            for metric, rule in sorted(found.learning)
            if rule in self._short
        ]
        old = list(told.alerts(device, before))
        alerts = compare_alerts(old, found.alerts, self._versions, request.scope)
        # Before that the lake may have more than was taken.
        seen = [each for each in old if each.window_end > self._whole_from]
        if lost := _lost(seen, found, windows, alerts):
            books.left.append(
                f"{device}: the lake holds fewer readings than the job counted {lost}"
            )
            return
        _add(books.windows, {**_counts(windows), "ahead": found.ahead})
        _add(books.alerts, _counts(alerts))
        for window in windows.send:
            key = f"{device}|{window.metric}".encode()
            known = request.fleet.at(device, window.window_end)
            value = encode(placed(window, known), self._ids.windows)
            self._outbox.put(f"{request.prefix}windows", key, value)
        for alert in alerts.send:
            known = request.fleet.at(device, alert.window_end)
            value = encode(enriched(alert, known), self._ids.alerts)
            self._outbox.put(f"{request.prefix}alerts", alert.fingerprint.encode(), value)


def _lost(
    old: Iterable[Alert],
    found: Recomputed,
    windows: WindowChanges,
    alerts: AlertChanges,
) -> str:
    """Say where the lake has less than the job had; "" where it has all: late ones only add."""
    if windows.fewer is not None:
        lost = windows.fewer
        return f"in the window of {lost.metric} that ends at {iso(lost.window_end)}"
    # Windows leave their topic long before alerts do.
    sent = {each.alert_id for each in alerts.send}
    for record in old:
        if record.alert_id not in sent or record.event == "CORRECTED":
            continue
        has = found.counts.readings(record.metric, record.window_start, record.window_end)
        if has < record.sample_count:
            return f"when it raised an alert of {record.metric} at {iso(record.window_end)}"
    return ""


def _counts(changes: NamedTuple) -> dict[str, int]:
    return {name: n for name, n in changes._asdict().items() if isinstance(n, int)}


def _add(total: dict[str, int], more: dict[str, int]) -> None:
    for name, count in more.items():
        total[name] = total.get(name, 0) + count


def _midnight(reading: Reading) -> int:
    return reading.ts // DAY_MS


def known_device(lake: Lake, request: Request) -> None:
    """See that the lake has heard of the device, if one is asked for.

    Raises:
        Failure: it has not; the message has the device that is most like it.
    """
    if request.device is None or has_device(lake, request.device, request.site):
        return
    near = nearest(request.device, sorted(spans(lake, request.site)))
    where = "" if request.site is None else f" of site {request.site}"
    told = near or "; `tidegate lake query 'SELECT DISTINCT device_id FROM readings'` lists them"
    raise Failure(f"the lake knows no device {request.device}{where}{told}")


def _no_readings(lake: Lake, request: Request) -> str:
    known = spans(lake, request.site)
    own = list(known.values()) if request.device is None else [known[request.device]]
    first, last = min(first for first, _ in own), max(last for _, last in own)
    return (
        f"the lake holds no reading{request.of()} from {iso(request.from_ms)} to "
        f"{iso(request.to_ms)}; what it holds goes from {iso(first)} to {iso(last)}"
    )
