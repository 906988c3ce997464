"""The recomputation of a backfill, device by device: one device is in memory at a time."""

import time
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from compose.backfill_books import Books, Request, RunIn
from compose.local.endpoints import Endpoints
from compose.outbox import Outbox
from compose.told import Told
from schemas.codec import encode
from schemas.config import nearest
from schemas.contracts import contract_text
from schemas.failure import Failure
from schemas.records import Reading
from schemas.registry import Registry
from schemas.topics import subject
from simulators.clock import iso
from stream.correction import (
    AlertChanges,
    WindowChanges,
    compare_alerts,
    compare_windows,
)
from stream.engine import Engine
from stream.lake import Lake
from stream.lake_readings import Chosen, devices, read_back
from stream.recompute import DAY_MS, Recomputed, memory_ms, recompute


class _Ids(NamedTuple):
    windows: int
    alerts: int


class Run:
    """One run over the lake, device by device."""

    def __init__(
        self,
        endpoints: Endpoints,
        request: Request,
        run_in: RunIn,
        first_ms: int,
        told: Told,
        outbox: Outbox,
        books: Books,
    ) -> None:
        self._request = request
        self._run_in = run_in
        self._told = told
        self._outbox = outbox
        self._books = books
        self._engine = Engine(request.rules)
        self._versions = {rule.name: rule.version for rule in request.rules.rules}
        self._ids = _ids(endpoints.registry_url, request.prefix)
        # Where the lake has more than was taken, these baselines are not what the job has.
        past = request.from_ms - run_in.from_ms
        self._short = {
            rule.name
            for rule in request.rules.rules
            if run_in.from_ms > first_ms and memory_ms(rule) > past
        }

    def over(self, lake: Lake, scratch: Path) -> None:
        """Take all chosen devices.

        Raises:
            Failure: the lake holds no reading of the period.
        """
        request, books = self._request, self._books
        # A pane behind the period may be what brings out a window's last word.
        upto = round(time.time() * 1000) + DAY_MS
        chosen = Chosen(self._run_in.from_ms, upto, request.site, request.device)
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
        found = recompute(self._engine, request.rules, days, request.scope, before)
        windows = compare_windows(told.windows(device), found.windows)
        books.devices += 1
        books.panes += found.panes
        books.unknown += [f"{device} {metric}" for metric in sorted(found.unknown)]
        books.short_baselines += [
            f"{device} {metric} ({rule})"
            for metric, rule in sorted(found.learning)
            if rule in self._short
        ]
        old = told.alerts(device, before)
        alerts = compare_alerts(old, found.alerts, self._versions, request.scope)
        if lost := _lost(found, windows, alerts):
            books.left.append(
                f"{device}: the lake holds fewer readings than the job counted {lost}"
            )
            return
        _add(books.windows, {**_counts(windows), "ahead": found.ahead})
        _add(books.alerts, _counts(alerts))
        for window in windows.send:
            key = f"{device}|{window.metric}".encode()
            value = encode(window, self._ids.windows)
            self._outbox.put(f"{request.prefix}windows", key, value)
        for alert in alerts.send:
            value = encode(alert, self._ids.alerts)
            self._outbox.put(f"{request.prefix}alerts", alert.fingerprint.encode(), value)


def _lost(found: Recomputed, windows: WindowChanges, alerts: AlertChanges) -> str:
    """Say where the lake has less than the job had; "" where it has all: late ones only add."""
    if windows.fewer is not None:
        lost = windows.fewer
        return f"in the window of {lost.metric} that ends at {iso(lost.window_end)}"
    for alert in alerts.send:
        # Windows leave their topic long before alerts do.
        if alert.ends_at == alert.starts_at and (alert.metric, alert.window_end) not in found.met:
            return f"when it raised an alert of {alert.metric} at {iso(alert.starts_at)}"
    return ""


def _counts(changes: NamedTuple) -> dict[str, int]:
    return {name: n for name, n in changes._asdict().items() if isinstance(n, int)}


def _add(total: dict[str, int], more: dict[str, int]) -> None:
    for name, count in more.items():
        total[name] = total.get(name, 0) + count


def _midnight(reading: Reading) -> int:
    return reading.ts // DAY_MS


def _ids(registry_url: str, prefix: str) -> _Ids:
    registry = Registry(registry_url)
    return _Ids(
        registry.register(subject(f"{prefix}windows"), contract_text("window_features")),
        registry.register(subject(f"{prefix}alerts"), contract_text("alert")),
    )


def _no_readings(lake: Lake, request: Request) -> str:
    known = devices(lake, request.site)
    period = f"from {iso(request.from_ms)} to {iso(request.to_ms)}"
    if request.device is None:
        spans = list(known.values())
    elif request.device in known:
        spans = [known[request.device]]
    else:
        near = nearest(request.device, sorted(known))
        return f"the lake knows no device {request.device}{near or '; see `tidegate lake query`'}"
    first, last = min(first for first, _ in spans), max(last for _, last in spans)
    return (
        f"the lake holds no reading{request.of()} {period}; "
        f"what it holds goes from {iso(first)} to {iso(last)}"
    )
