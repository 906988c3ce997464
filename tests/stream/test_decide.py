"""The job's Python operator, fed as the JVM feeds it: the alerts are those of the backtest."""

import random
from types import SimpleNamespace
from typing import Any

import pytest
from rule_builders import reading

from schemas.codec import decode
from schemas.records import Alert, DeadLetter, Reading, WindowFeatures
from stream.backtest import Series, run
from stream.pane_sizes import pane_ms
from stream.panes import panes_of
from stream.rules import parse_rules

pytest.importorskip("pyflink", reason="the extra [stream] is not installed")

from pyflink.common import Row

from stream.jobs.decide import Decide, Ids

RULES = """
version: 1
baselines:
  first: {kind: frozen, learn_for: 6h}
rules:
  - name: shifted
    match: {metric: "*"}
    when: {metric: running, op: ">=", value: 0.5, for: 30m, open: close}
    window: {size: 30m, slide: 15m}
    aggregate: mean
    compare: {op: "abs>=", to: zscore, baseline: first}
    severities: [{level: WARNING, enter: 1, exit: 0.5}]
  - name: hot
    match: {metric: temperature}
    window: {size: 30m, slide: 15m}
    aggregate: max
    compare: {op: ">=", to: value}
    severities: [{level: WARNING, enter: 26}]
  - name: hot_and_shifted
    pattern: {first: hot, then: shifted, within: 2h}
    severities: [{level: CRITICAL, keep_firing_for: 30m}]
  - name: again
    pattern: {times: 3, of: hot, within: 12h}
    severities: [{level: INFO}]
suppress:
  - {inhibit: hot, if_firing: hot_and_shifted}
"""


class Pieces:
    """Keyed map state: bytes by key of the stream and key of the map."""

    def __init__(self) -> None:
        self.all: dict[tuple[str, str], bytes] = {}
        self.device = ""

    def get(self, key: str) -> bytes | None:
        return self.all.get((self.device, key))

    def put(self, key: str, data: bytes) -> None:
        self.all[self.device, key] = data

    def remove(self, key: str) -> None:
        del self.all[self.device, key]


@pytest.fixture
def pieces() -> Pieces:
    return Pieces()


@pytest.fixture
def operator(pieces: Pieces) -> Decide:
    return opened(RULES, pieces)


def opened(rules: str, pieces: Pieces) -> Decide:
    made = Decide(rules, "tidegate.readings", Ids(1, 2, 3, 4, 5), ttl_days=90)
    sites = SimpleNamespace(gauge=lambda _name, _value: None)
    metrics = SimpleNamespace(add_group=lambda *_: sites)
    made.open(SimpleNamespace(get_map_state=lambda _: pieces, get_metrics_group=lambda: metrics))
    return made


SILENCE = """
version: 1
rules:
  - name: sensor
    match: {metric: "*"}
    checks: {no_data: {after: 1h}}
    every: 15m
"""


CONTEXT: Any = SimpleNamespace(
    timer_service=lambda: SimpleNamespace(current_processing_time=lambda: 0)
)


def machines() -> dict[tuple[str, str], list[tuple[int, float]]]:
    rng, found = random.Random(5), {}
    for device in ("pump-1", "pump-2"):
        running = [float(i // 40 % 3 != 2) for i in range(600)]
        for metric in ("current", "running", "temperature"):
            values = running if metric == "running" else [r * rng.gauss(20, 3) for r in running]
            found[device, metric] = [(i * 300_000, x) for i, x in enumerate(values)]
    return found


def pane_rows(readings: list[Reading]) -> list[tuple[int, Row]]:
    """Rows as the pane operator gives them, the devices' mixed by time; and each one's pane end."""
    rows = [
        (row.pane.pane_end, Row(row.device_id, "PANE", row.metric, row.site, row.unit, *fields, *[None] * 5))
        for row in panes_of(readings, pane_ms(parse_rules(RULES)))
        for fields in [[getattr(row.pane, name) for name in row.pane.__struct_fields__]]
    ]  # fmt: skip
    return sorted(rows, key=lambda pair: pair[0])


def fed(operator: Decide, pieces: Pieces, rows: list[tuple[int, Row]]) -> list[Row]:
    found = []
    for _, row in rows:
        pieces.device = row[0]
        found += operator.process_element(row, CONTEXT)
    return found


def test_it_raises_the_alerts_of_the_backtest(operator: Decide, pieces: Pieces) -> None:
    series = machines()
    readings = [
        reading(ts=at, value=x, metric=metric, device_id=device, site="offline", unit=None, device_seq=i)
        for (device, metric), points in series.items()
        for i, (at, x) in enumerate(points)
    ]  # fmt: skip
    made = fed(operator, pieces, pane_rows(readings))
    alerts = [decode(Alert, row[2]) for row in made if row[0] == "alerts"]
    offline = run(parse_rules(RULES), [Series(*of, points) for of, points in series.items()])
    assert {alert.resolve_reason for alert in offline} == {None, "VALUE", "RESET"}
    assert {alert.rule for alert in offline} == {"shifted", "hot", "hot_and_shifted", "again"}
    for device in ("pump-1", "pump-2"):
        assert [a for a in alerts if a.device_id == device] == [
            a for a in offline if a.device_id == device
        ]
    windows = [row for row in made if row[0] == "windows"]
    keys = {(row[1].decode(), decode(WindowFeatures, row[2]).metric) for row in windows}
    assert keys == {(f"{device}|{metric}", metric) for device, metric in series}


def test_state_is_kept_by_device_a_piece_for_each_metric(operator: Decide, pieces: Pieces) -> None:
    readings = [
        reading(ts=i * 300_000, value=1.0, metric=metric, device_id=device, device_seq=i)
        for device in ("pump-1", "pump-2")
        for metric in ("current", "running", "temperature")
        for i in range(12)
    ]
    fed(operator, pieces, pane_rows(readings))
    assert set(pieces.all) == {
        (device, piece)
        for device in ("pump-1", "pump-2")
        for piece in ("device", "series:current", "series:running", "series:temperature")
    }


def test_a_marker_of_a_quiet_device_says_which_of_its_metrics_are_silent(pieces: Pieces) -> None:
    operator = opened(SILENCE, pieces)
    fed(operator, pieces, pane_rows([reading(ts=0), reading(ts=0, metric="other")]))
    nothing = [0] * 18
    for upto, told in ((3_600_000, []), (7_200_000, ["other", "temperature"])):
        fields = [0, upto, *nothing[2:]]
        marker = Row("plant.pump", "MARKER", "", "plant", None, *fields, *[None] * 5)
        made = fed(operator, pieces, [(upto, marker)])
        alerts = [decode(Alert, row[2]) for row in made]
        assert [(a.event, a.metric, a.starts_at) for a in alerts] == [
            ("FIRED", metric, 3_600_000) for metric in told
        ]


def test_state_of_another_release_sets_a_pane_aside_and_says_so(
    operator: Decide, pieces: Pieces
) -> None:
    pieces.all["plant.pump", "device"] = b"\x63\x90"
    (row,) = fed(operator, pieces, pane_rows([reading()]))
    assert row[0] == "dead-letters"
    letter = decode(DeadLetter, row[2])
    assert letter.reason == "ENGINE"
    assert "state of version 99, and this program reads 1 and 2" in letter.detail
