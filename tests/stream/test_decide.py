"""The job's Python operator, fed as the JVM feeds it: the alerts are those of the backtest."""

import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from rule_builders import MINUTE, PANE, reading

from schemas.codec import decode, encode
from schemas.records import Alert, DeadLetter, Device, Reading, RuleSet, WindowFeatures
from stream.backtest import Series, run
from stream.fleet import record_key
from stream.pane_sizes import pane_ms, pane_sizes
from stream.panes import fold_points, panes_of
from stream.rule_sets import text_digest
from stream.rules import parse_rules

pytest.importorskip("pyflink", reason="the extra [stream] is not installed")

from stream.jobs.decide import Decide, Decided, Ids
from stream.jobs.feed import Feed, News
from stream.jobs.known import Given, Source
from stream.jobs.told import PaneTold, ReadingTold, Told, tell, told

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

DERIVED = RULES.replace("baselines:", """
models:
  loop: {kind: t2_q, version: 1, inputs: [current, temperature], every: 60s, mean: [20, 20],
    scale: [3, 3], components: [[0.6, 0.8]], variances: [1], t2_limit: 4, q_limit: 4, quantile: 0.99}
derive:
  - {metric: loop, model: loop}
  - {metric: ratio, expr: "current / temperature * running"}
baselines:""")  # fmt: skip


class Pieces(dict[str, bytes]):
    """Keyed map state of the one bucket that every device here is in."""

    put = dict.__setitem__
    remove = dict.__delitem__


@pytest.fixture
def pieces() -> Pieces:
    return Pieces()


class Topics(Feed):
    """The topics of rules and devices; counts how often it was asked for what is new."""

    def __init__(self) -> None:
        self.waiting: list[News] = []
        self.asked = 0

    def catch_up(self, take: Callable[[News], None]) -> None:
        self.asked += 1
        while self.waiting:
            take(self.waiting.pop(0))

    def rules(self, version: int, from_ms: int, text: str, at: int = -1) -> None:
        given = RuleSet(
            version=version, effective_from=from_ms, sha256=text_digest(text), text=text
        )
        self.waiting.append(News("r", 0, version, at, b"", encode(given, 6)))

    def device(self, **of: Any) -> None:
        device = Device(**of)
        key = record_key(device.device_id, device.valid_from)
        self.waiting.append(News("d", 0, 0, -1, key, encode(device, 7)))


SOURCE = Source("", "http://127.0.0.1:9", "r", "d", "c", rules_id=6, devices_id=7, commands_id=8)


def opened(pieces: Pieces, topics: Topics, text: str = RULES, subtask: int = 0) -> Decide:
    given = Given(text, 0, pane_sizes(parse_rules(text)))
    ids = Ids(1, 2, 3, 4, 5, 6, 7, 8)
    made = Decide(given, SOURCE, "tidegate.readings", ids, ttl_days=90, feed=lambda _: topics)
    sites = SimpleNamespace(gauge=lambda _name, _value: None)
    metrics = SimpleNamespace(add_group=lambda *_: sites, gauge=lambda _name, _value: None)
    made.open(
        SimpleNamespace(
            get_map_state=lambda _: pieces,
            get_metrics_group=lambda: metrics,
            get_index_of_this_subtask=lambda: subtask,
        )
    )
    return made


@pytest.fixture
def topics() -> Topics:
    return Topics()


@pytest.fixture(params=[RULES])
def text(request: pytest.FixtureRequest) -> str:
    """The rules: a test may ask for others."""
    return str(request.param)


@pytest.fixture
def operator(pieces: Pieces, topics: Topics, text: str) -> Decide:
    return opened(pieces, topics, text)


SILENCE = """
version: 1
rules:
  - name: sensor
    match: {metric: "*"}
    checks: {no_data: {after: 1h}}
    every: 15m
"""


CONTEXT: Any = SimpleNamespace(
    get_current_key=lambda: "0b",
    timer_service=lambda: SimpleNamespace(current_processing_time=lambda: 0),
)


def machines() -> dict[tuple[str, str], list[tuple[int, float]]]:
    rng, found = random.Random(5), {}
    for device in ("pump-1", "pump-2"):
        running = [float(i // 40 % 3 != 2) for i in range(600)]
        for metric in ("current", "running", "temperature"):
            values = running if metric == "running" else [r * rng.gauss(20, 3) for r in running]
            found[device, metric] = [(i * 300_000, x) for i, x in enumerate(values)]
    return found


def telling(*messages: Told) -> bytes:
    return tell(messages)


def pane_rows(readings: list[Reading], text: str = RULES) -> list[tuple[int, bytes]]:
    """Rows as the pane operator gives them, the devices' mixed by time; and each one's pane end."""
    rows = [
        (row.pane.pane_end, telling(PaneTold(*row)))
        for row in panes_of(readings, pane_ms(parse_rules(text)))
    ]
    return sorted(rows, key=lambda pair: pair[0])


def fed(operator: Decide, rows: list[tuple[int, bytes]]) -> list[Decided]:
    found = []
    for _, row in rows:
        found += operator.process_element(row, CONTEXT)
    return found


def together(rows: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """Rows of the same panes as the operator tells them that close at once."""
    found: dict[tuple[int, str], list[Told]] = {}
    for end, row in rows:
        (one,) = told(row)
        found.setdefault((end, one.device_id), []).append(one)
    return [(end, telling(*each)) for (end, _), each in found.items()]


@pytest.mark.parametrize("text", [RULES, DERIVED], indirect=True)
def test_it_raises_the_alerts_of_the_backtest(operator: Decide, pieces: Pieces, text: str) -> None:
    series = machines()
    readings = [
        reading(ts=at, value=x, metric=metric, device_id=device, site="offline", unit=None, device_seq=i)
        for (device, metric), points in series.items()
        for i, (at, x) in enumerate(points)
    ]  # fmt: skip
    made = fed(operator, pane_rows(readings, text))
    at_once = fed(opened(Pieces(), Topics(), text), together(pane_rows(readings, text)))
    assert sorted(at_once) == sorted(made)
    alerts = [decode(Alert, row[2]) for row in made if row[0] == "alerts"]
    offline = run(parse_rules(text), [Series(*of, points) for of, points in series.items()])
    assert {alert.resolve_reason for alert in offline} == {None, "VALUE", "RESET"}
    assert {alert.rule for alert in offline} == {"shifted", "hot", "hot_and_shifted", "again"}
    for device in ("pump-1", "pump-2"):
        assert [a for a in alerts if a.device_id == device] == [
            a for a in offline if a.device_id == device
        ]
    windows = [row for row in made if row[0] == "windows"]
    keys = {(row[1].decode(), decode(WindowFeatures, row[2]).metric) for row in windows}
    own = {"loop", "ratio"} if text == DERIVED else set()
    assert keys == {
        (f"{device}|{metric}", metric)
        for device in ("pump-1", "pump-2")
        for metric in {"current", "running", "temperature"} | own
    }


def test_state_is_kept_by_device_a_piece_for_each_metric(operator: Decide, pieces: Pieces) -> None:
    readings = [
        reading(ts=i * 300_000, value=1.0, metric=metric, device_id=device, device_seq=i)
        for device in ("pump-1", "pump-2")
        for metric in ("current", "running", "temperature")
        for i in range(12)
    ]
    fed(operator, pane_rows(readings))
    assert set(pieces) == {
        f"6:{device}/{piece}"
        for device in ("pump-1", "pump-2")
        for piece in ("device", "series:current", "series:running", "series:temperature")
    }


def test_a_marker_of_a_quiet_device_says_which_of_its_metrics_are_silent(pieces: Pieces) -> None:
    operator = opened(pieces, Topics(), SILENCE)
    fed(operator, pane_rows([reading(ts=0), reading(ts=0, metric="other")]))
    for upto, silent in ((3_600_000, []), (7_200_000, ["other", "temperature"])):
        marker = PaneTold("plant.pump", "", "plant", None, fold_points(0, upto, []))
        made = fed(operator, [(upto, telling(marker))])
        alerts = [decode(Alert, row[2]) for row in made]
        assert [(a.event, a.metric, a.starts_at) for a in alerts] == [
            ("FIRED", metric, 3_600_000) for metric in silent
        ]


def test_state_of_another_release_sets_a_pane_aside_and_says_so(
    operator: Decide, pieces: Pieces
) -> None:
    pieces["10:plant.pump/device"] = b"\x63\x90"
    (row,) = fed(operator, pane_rows([reading()]))
    assert row[0] == "dead-letters"
    letter = decode(DeadLetter, row[2])
    assert letter.reason == "ENGINE"
    assert "state of version 99, and this program reads 1 and 2" in letter.detail


HOT = """
version: 1
rules:
  - name: hot
    match: {metric: temperature}
    window: {size: 15m, slide: 15m}
    aggregate: mean
    compare: {op: ">=", to: value}
    severities: [{level: WARNING, enter: 80}]
    labels: {team: rotating}
"""
WARM = HOT.replace("80", "20")


def hot_rows(count: int) -> list[tuple[int, bytes]]:
    every_minute = [
        reading(ts=i * MINUTE, value=30.0, device_seq=i, metric="temperature")
        for i in range(15 * count)
    ]
    return pane_rows(every_minute)


FAR = (1 << 50) // PANE * PANE
"""Beyond the clock of whoever runs this."""


def far_row(device: str, end: int) -> tuple[int, bytes]:
    made = fold_points(end - PANE, end, [(end - 1, 30.0)])
    return end, telling(PaneTold(device, "temperature", "plant", None, made))


def alerts_of(made: list[Decided]) -> list[Alert]:
    return [decode(Alert, row[2]) for row in made if row[0] == "alerts"]


def test_rules_that_were_pushed_before_a_pane_ended_decide_it(
    pieces: Pieces, topics: Topics
) -> None:
    """They reach the worker only as it asks, with the pane in its hands."""
    operator = opened(pieces, topics, HOT)
    topics.rules(1, FAR + PANE, WARM)
    (fired,) = alerts_of(fed(operator, [far_row("a", FAR + i * PANE) for i in range(3)]))
    assert (fired.event, fired.window_end) == ("FIRED", FAR + PANE)


def test_the_topics_are_asked_once_for_each_end_of_a_pane(
    pieces: Pieces, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ms = FAR
    monkeypatch.setattr("stream.jobs.known.time.time_ns", lambda: now_ms * 1_000_000)
    operator = opened(pieces, topics, HOT)
    assert topics.asked == 1
    for now_ms in (FAR, FAR + PANE):
        fed(operator, [far_row(device, now_ms) for device in "abc"])
    assert topics.asked == 3
    fed(operator, hot_rows(1))
    assert topics.asked == 3
    # A pane from the future is nothing to go by: what is pushed after it must be heard of.
    fed(operator, [far_row("a", FAR + 9 * PANE), far_row("a", FAR + 8 * PANE)])
    assert topics.asked == 5


@pytest.mark.parametrize("subtask", [0, 1])
def test_rules_that_cannot_be_taken_are_set_aside_by_one_worker_and_the_old_go_on(
    pieces: Pieces, topics: Topics, subtask: int
) -> None:
    topics.rules(1, 3 * PANE, WARM.replace("mean", "meen"))
    topics.rules(2, 3 * PANE, WARM, at=3 * PANE)
    topics.waiting.append(News("r", 0, 9, 5, b"", b"rubbish"))
    operator = opened(pieces, topics, HOT, subtask)
    made = fed(operator, hot_rows(4))
    assert alerts_of(made) == []
    letters = [decode(DeadLetter, row[2]) for row in made if row[0] == "dead-letters"]
    assert [each.reason for each in letters] == ([] if subtask else ["PUSHED"] * 3)
    if letters:
        assert "did you mean" in letters[0].detail
        assert "reached the topic at 2700000" in letters[1].detail
        assert (letters[2].payload, letters[2].kafka_offset) == (b"rubbish", 9)


def test_an_alert_says_what_its_device_was_when_its_window_ended(
    pieces: Pieces, topics: Topics
) -> None:
    known = {"device_id": "plant.pump", "site": "elsewhere"}
    topics.device(**known, asset_id="P-7", iso_group="2", labels={"line": "3", "team": "x"})
    topics.device(**known, asset_id="P-8", valid_from=PANE + 1)
    operator = opened(pieces, topics, WARM)
    (fired,) = alerts_of(fed(operator, hot_rows(1)))
    assert (fired.asset_id, fired.device_id, fired.site) == ("P-7", "plant.pump", "plant")
    assert fired.labels == {"line": "3", "team": "rotating", "iso_group": "2"}


def test_an_unknown_device_is_its_own_asset(pieces: Pieces, topics: Topics) -> None:
    operator = opened(pieces, topics, WARM)
    (fired,) = alerts_of(fed(operator, hot_rows(1)))
    assert (fired.asset_id, fired.labels) == ("plant.pump", {"team": "rotating"})


def test_a_rule_for_pumps_is_for_those_that_the_topic_calls_so(
    pieces: Pieces, topics: Topics
) -> None:
    pumps = WARM.replace("match: {", "match: {class: pump, ")
    assert alerts_of(fed(opened(pieces, topics, pumps), hot_rows(1))) == []
    topics.device(device_id="plant.pump", asset_id="P-7", site="plant", device_class="pump")
    fresh = Pieces()
    (fired,) = alerts_of(fed(opened(fresh, topics, pumps), hot_rows(1)))
    assert fired.asset_id == "P-7"


AWAY = {"gateway_seq": 7, "ts": 5, "device_ts": 5, "received_ts": 6}


def turned_away(operator: Decide, why: str, **over: Any) -> Decided:
    fields = [*msgspec.structs.astuple(reading(**AWAY))]
    for name, value in over.items():
        fields[Reading.__struct_fields__.index(name)] = value
    (row,) = operator.process_element(telling(ReadingTold(why, fields, 3, 42)), CONTEXT)
    return row


def test_a_late_reading_is_passed_on_as_it_came(operator: Decide) -> None:
    row = turned_away(operator, "LATE")
    assert (row[0], row[1]) == ("late", b"plant.pump")
    assert decode(Reading, row[2]) == reading(**AWAY)


def test_a_reading_from_the_future_is_set_aside_with_its_bytes(operator: Decide) -> None:
    row = turned_away(operator, "FUTURE", ts=70_000)
    letter = decode(DeadLetter, row[2])
    assert (row[0], row[1], letter.reason) == ("dead-letters", b"plant.pump", "FUTURE")
    assert "event time 70000 is more than a minute ahead of its arrival" in letter.detail
    assert decode(Reading, letter.payload) == reading(**{**AWAY, "ts": 70_000})
    assert (letter.kafka_partition, letter.kafka_offset) == (3, 42)


def test_a_reading_that_lacks_something_is_set_aside_with_what_it_lacks(operator: Decide) -> None:
    letter = decode(DeadLetter, turned_away(operator, "INVALID", metric=None, ts=None)[2])
    assert (letter.reason, letter.detail) == ("INVALID", "without a value: metric, ts")
    assert msgspec.json.decode(letter.payload)["gateway_seq"] == 7
    ancient = decode(DeadLetter, turned_away(operator, "INVALID", ts=-(10**15))[2])
    assert ancient.detail == "event time -1000000000000000 is before the year 1"


def test_a_record_that_is_no_reading_is_set_aside_as_it_is(operator: Decide) -> None:
    unread = {
        "record": b"rubbish", "reason": "no magic byte", "kafka_partition": 1, "kafka_offset": 9
    }  # fmt: skip
    (row,) = operator.process_element(msgspec.json.encode(unread), CONTEXT)
    letter = decode(DeadLetter, row[2])
    assert (row[1], letter.reason, letter.detail) == (b"1-9", "UNDECODABLE", "no magic byte")
    assert (letter.payload, letter.kafka_offset) == (b"rubbish", 9)
