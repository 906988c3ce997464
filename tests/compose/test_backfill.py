"""A backfill without servers: a lake in a folder, what the job told of it, what is sent."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rule_builders import DAY, HOUR, MINUTE, reading, rules

from compose.backfill import run_in_of, with_pushed
from compose.backfill_books import Books, Request
from compose.backfill_run import Ids, Run, known_device
from compose.outbox import Outbox
from compose.rule_topic import Pushed
from compose.told import Told, Whose
from schemas.codec import decode
from schemas.failure import Failure
from schemas.records import Alert, AlertCommand, Device, Reading, RuleSet, WindowFeatures
from stream.commands import Commands, Said, said
from stream.device_state import DeviceState
from stream.engine import Engine
from stream.fleet import placed
from stream.lake import Lake, open_lake
from stream.lake_readings import first_day_ms
from stream.pane_sizes import pane_ms
from stream.panes import panes_of
from stream.rule import Rules
from stream.rule_sets import Dated, Engines

START = 20_000 * DAY
LIMITS = """
- name: hot
  match: {metric: temperature}
  window: {size: 30m, slide: 15m}
  aggregate: max
  compare: {op: ">=", to: value}
  severities:
    - {level: WARNING, enter: 12, exit: 11, for: 15m, keep_firing_for: 30m}
    - {level: CRITICAL, enter: 14, exit: 13}
"""
GROWING = """
- name: odd
  match: {metric: "*"}
  window: {size: 1h, slide: 15m, grow_to: 4h}
  min_samples: 4
  aggregate: mean
  compare: {op: "abs>=", to: zscore, baseline: short}
  severities: [{level: WARNING, enter: 2, keep_firing_for: 1h}]
"""
GATED = """
- name: runs_hot
  match: {metric: temperature}
  when: {metric: running, op: ">=", value: 0.5, for: 1h}
  window: {size: 30m, slide: 15m}
  aggregate: mean
  compare: {op: ">=", to: value}
  severities: [{level: WARNING, enter: 11, for: 15m, keep_firing_for: 30m}]
  cooldown: 3h
"""
AT_FIRST = """
- name: unlike_at_first
  match: {metric: temperature}
  when: {metric: running, op: ">=", value: 0.5, for: 15m, open: close}
  window: {size: 1h, slide: 15m}
  aggregate: mean
  compare: {op: "abs>=", to: zscore, baseline: first}
  severities: [{level: WARNING, enter: 1.5, keep_firing_for: 1h}]
"""
UNTOLD = """
- name: hot_of_unknown_state
  match: {metric: temperature}
  when: {absent: running}
  window: {size: 2h, slide: 30m}
  aggregate: max
  compare: {op: ">=", to: value}
  severities: [{level: WARNING, enter: 12}]
"""
DERIVED = """
- name: hot_at_load
  match: {metric: excess}
  when: {metric: idle, op: "<=", value: 0.5}
  window: {size: 1h, slide: 15m}
  aggregate: max
  compare: {op: ">=", to: value}
  severities: [{level: WARNING, enter: 1.6, exit: 1.2, for: 15m}]
- name: worn
  match: {metric: life}
  window: {size: 1h, slide: 15m}
  aggregate: last
  compare: {op: "<=", to: value}
  severities: [{level: CRITICAL, enter: 80, exit: 90}]
"""
DERIVED_HEADER = """version: 1
models:
  pump: {kind: rul, version: 1, inputs: [excess], every: 15m, mean: [0], scale: [1],
    weights: [1], offset: 0, fast: 0.5, slow: 0.1, polynomial: [[0, 0, 110], [1, 0, -12],
    [0, 1, -6]], fast_range: [0, 9], slow_range: [0, 9], cap: 125}
derive:
  - {metric: excess, expr: "sqrt(temperature - 9.5) * (running + 1)"}
  - {metric: idle, expr: "running < 0.5"}
  - {metric: life, model: pump}
"""
ABOVE = """
- name: hot_again
  pattern: {times: 2, of: hot, within: 6h}
  severities: [{level: WARNING}]
- name: hot_by_both
  votes: {of: [hot, runs_hot], k: 2}
  severities: [{level: CRITICAL, for: 15m, keep_firing_for: 1h}]
- name: hot_then_runs_hot
  pattern: {first: hot, then: runs_hot, within: 3h}
  severities: [{level: WARNING}]
"""
ALL = LIMITS + GATED + AT_FIRST + UNTOLD + GROWING
HEADER = """version: 1
baselines:
  short: {kind: decayed, n0: 200, warmup: 20}
  first: {kind: frozen, learn_for: 12h}"""
ROLLED = f"""{HEADER}
rollups: [{{metric: "*", size: 1h}}, {{metric: temp*, size: 1d}}]
sessions:
  - {{name: run, while: {{metric: running, op: ">=", value: 0.5}}, gap: 30m, of: temperature}}"""
TIMES = ("ts", "device_ts", "received_ts")


class Topics:
    """What the job has told, and what a backfill adds to it."""

    def __init__(
        self,
        laws: Rules,
        on_time: Sequence[Reading],
        late: Sequence[Reading],
        panes: str | None = None,
        engines: Engines | None = None,
        said: Sequence[Said] = (),
    ) -> None:
        self.laws = laws
        self.late = late
        self.windows: list[tuple[WindowFeatures, bool]] = []
        self.alerts: list[Alert] = []
        for window, alerts in ((w, a) for w, a in run(laws, on_time, panes, engines, said)):
            self.windows += [(placed(each, None), False) for each in window]
            self.alerts += alerts

    def told(self, path: Path, request: Request) -> Told:
        whose = Whose(request.site, request.device)
        size_of = pane_ms(self.laws, request.panes)
        told = Told(path, self.laws, request.scope, whose, size_of, request.fleet)
        for window, corrected in self.windows:
            told.add_window(window, corrected=corrected)
        for each in self.late:
            told.add_late(each)
        for alert in self.alerts:
            told.add_alert(alert)
        told.index()
        return told

    def believed(self, after: int, upto: int) -> set[WindowFeatures]:
        """The windows that a reader has who keeps the newest of each; runs are not repaired."""
        newest = {
            (w.device_id, w.metric, w.window_start, w.window_end): w
            for w, _ in self.windows
            if not w.session
        }
        return {w for w in newest.values() if w.count and after < w.window_end <= upto}

    def closed_to(self) -> dict[str, int]:
        """By metric, up to where the job has come."""
        found: dict[str, int] = {}
        for window, corrected in self.windows:
            if not corrected and not window.session:
                found[window.metric] = max(found.get(window.metric, 0), window.window_end)
        return found

    def has_told(self, record: WindowFeatures | Alert) -> bool:
        if record.metric == "*":
            return record.window_end < max(self.closed_to().values())
        return record.window_end <= self.closed_to().get(record.metric, 0)


def run(
    laws: Rules,
    readings: Iterable[Reading],
    panes: str | None = None,
    engines: Engines | None = None,
    said: Sequence[Said] = (),
) -> Iterable[tuple[tuple[WindowFeatures, ...], tuple[Alert, ...]]]:
    engine, states, commands = engines or Engine(laws), defaultdict(DeviceState), waiting(said)
    for row in panes_of(readings, pane_ms(laws, panes)):
        of = states[row.device_id], row.device_id
        if due := commands.due(row.device_id, row.pane.pane_end):
            yield engine.obey(*of, row.site, due, row.pane.pane_end)
        yield engine.on_pane(*of, row.metric, row.site, row.unit, row.pane)


def waiting(said: Sequence[Said]) -> Commands:
    commands = Commands()
    for each in said:
        commands.know(each)
    return commands


def lake_of(folder: Path, readings: Sequence[Reading]) -> Lake:
    """Write readings as the lake job lays them out."""
    lake = open_lake(str(folder))
    parts: dict[tuple[int, str], list[Reading]] = {}
    for each in readings:
        parts.setdefault((each.ts // DAY, each.site), []).append(each)
    for (day, site), own in parts.items():
        name = str(pa.scalar(day, pa.date32()).as_py())
        target = Path(lake.root) / f"dt={name}" / f"site={site}"
        target.mkdir(parents=True, exist_ok=True)
        rows = [msgspec.structs.asdict(each) for each in own]
        columns = {
            key: pa.array([row[key] for row in rows], pa.int64() if key in TIMES else None)
            for key in rows[0]
            if key not in ("site", "kind")
        }
        for key in TIMES:
            columns[key] = columns[key].cast(pa.timestamp("ms"))
        for key, kind in (("device_boot", pa.string()), ("device_seq", pa.int64())):
            columns[key] = columns[key].cast(kind)
        columns["kafka_partition"] = pa.array([0] * len(own), pa.int32())
        columns["kafka_offset"] = pa.array(list(range(len(own))), pa.int64())
        pq.write_table(pa.table(columns), target / "part-0.parquet")
    return lake


def backfill(topics: Topics, lake: Lake, folder: Path, request: Request) -> Books:
    """Run once; what is sent goes onto the topics."""
    folder.mkdir(parents=True)
    first_ms = first_day_ms(lake)
    assert first_ms is not None
    books = Books()
    with (
        closing(topics.told(folder / "told", request)) as told,
        closing(Outbox(folder / "outbox")) as outbox,
    ):
        run_in = run_in_of(request, told, first_ms)
        books.run_in_why = run_in.why
        Run(request, run_in, first_ms, Ids(1, 2), told, outbox, books).over(lake, folder)
        for topic, key, value in outbox:
            if topic == "tidegate.windows":
                window = decode(WindowFeatures, value)
                assert key == f"{window.device_id}|{window.metric}".encode()
                topics.windows.append((window, True))
            else:
                alert = decode(Alert, value)
                assert topic == "tidegate.alerts"
                assert key == alert.fingerprint.encode()
                assert alert.late
                assert alert.event == "CORRECTED"
                topics.alerts.append(alert)
        books.sent = len(outbox)
    return books


def series(seed: int, days: int = 6, device: str = "plant.pump") -> list[Reading]:
    """A noisy series with gaps and spells of heat, a reading every few minutes."""
    rng, ts, level, found = Random(seed), START, 10.0, []
    while ts < START + days * DAY:
        ts += rng.choice([5 * MINUTE] * 30 + [20 * MINUTE, 3 * HOUR])
        if rng.random() < 0.02:
            level = rng.choice([10.0, 10.0, 12.5, 15.0])
        found.append(reading(device_id=device, ts=ts, value=rng.gauss(level, 0.5)))
    return found


def states(seed: int, days: int = 6) -> list[Reading]:
    """Whether the machine of that series runs: told for hours, and then for a day or so not."""
    rng, ts, running, found = Random(seed), START + seed % 2 * DAY, 0.0, []
    while ts < START + days * DAY:
        found.append(reading(metric="running", unit=None, ts=ts, value=running))
        ts += rng.choice([10 * MINUTE] * 60 + [7 * HOUR, 30 * HOUR])
        if rng.random() < 0.05:
            running = 1.0 - running
    return found


def split(readings: list[Reading], seed: int) -> tuple[list[Reading], list[Reading]]:
    """Take some stretches of the middle days out, as if they had come late."""
    rng = Random(seed)
    first = START + 3 * DAY + rng.randrange(DAY)
    spans = [(first, first + rng.randrange(6 * HOUR))]
    spans.append((spans[0][1] + HOUR, spans[0][1] + HOUR + rng.randrange(HOUR)))
    metrics = rng.choice([("temperature", "running"), ("temperature",), ("running",)])
    if {each.metric for each in readings} == {"temperature"}:
        metrics = ("temperature",)
    late = [
        each
        for each in readings
        if each.metric in metrics and any(a <= each.ts < b for a, b in spans)
    ]
    return [each for each in readings if each not in late], late


def middle(laws: Rules) -> Request:
    """Ask for all that can be late there: days behind the lake's first, and a day before its end."""
    return Request(from_ms=START + 3 * DAY, to_ms=START + 4 * DAY + 9 * HOUR, rules=laws)


def over(topics: Sequence[Alert], upto: int) -> dict[str, tuple[object, ...]]:
    """How each alert that began by then stands, by its newest record, without those taken back."""
    newest = {each.alert_id: each for each in topics if each.starts_at <= upto}
    return {
        name: (each.state, each.severity, each.starts_at, each.ends_at, each.value, each.peak_value)
        for name, each in newest.items()
        if each.ends_at != each.starts_at
    }


@settings(max_examples=12, deadline=None)
@given(
    st.integers(0, 1 << 30),
    st.sampled_from(
        [LIMITS, LIMITS + GROWING, GATED, GATED + AT_FIRST, DERIVED, ALL, LIMITS + GATED + ABOVE]
    ),
    st.sampled_from([HEADER, ROLLED]),
)
def test_a_backfill_leaves_what_an_undisturbed_run_gives_and_a_second_sends_nothing(
    tmp_path_factory, seed, text, header
):
    tmp_path = tmp_path_factory.mktemp("run")
    laws = rules(text, header=DERIVED_HEADER if text == DERIVED else header)
    readings = series(seed) + (states(seed) if "running" in text or text == DERIVED else [])
    on_time, late = split(readings, seed)
    topics, whole = Topics(laws, on_time, late), Topics(laws, readings, [])
    lake = lake_of(tmp_path / "lake", readings)
    request = middle(laws)
    books = backfill(topics, lake, tmp_path / "first", request)
    assert books.left == []
    believed = topics.believed(*request.scope)
    undisturbed = {each for each in whole.believed(*request.scope) if topics.has_told(each)}
    assert believed == undisturbed
    if not books.alerts["open"]:
        alerts = [each for each in whole.alerts if topics.has_told(each)]
        # Behind the scope a baseline that has learned more may judge otherwise.
        assert over(topics.alerts, request.scope.upto) == over(alerts, request.scope.upto)
    again = backfill(topics, lake, tmp_path / "second", request)
    assert again.sent == 0
    assert again.windows["unchanged"] == len(believed)


def test_what_the_walk_meets(tmp_path):
    """The test above would prove little if nothing were ever corrected, new or withdrawn."""
    laws = rules(ALL + ABOVE, header=HEADER)
    total: dict[str, int] = {}
    changed: set[str] = set()
    for seed in range(12):
        readings = series(seed) + states(seed)
        on_time, late = split(readings, seed)
        topics = Topics(laws, on_time, late)
        lake = lake_of(tmp_path / f"lake{seed}", readings)
        books = backfill(topics, lake, tmp_path / f"run{seed}", middle(laws))
        changed |= {each.rule for each in topics.alerts if each.event == "CORRECTED"}
        for kind, counts in (("windows", books.windows), ("alerts", books.alerts)):
            for name, count in counts.items():
                total[f"{kind} {name}"] = total.get(f"{kind} {name}", 0) + count
    for name in ("changed", "new", "withdrawn", "unchanged"):
        assert total[f"windows {name}"] > 0, total
    for name in ("corrected", "new", "withdrawn", "unchanged"):
        assert total[f"alerts {name}"] > 0, total
    assert changed >= {"hot", "runs_hot", "unlike_at_first"}
    assert changed & {"hot_again", "hot_by_both", "hot_then_runs_hot"}


@pytest.fixture
def steady() -> Rules:
    return rules(LIMITS, header=HEADER)


def steps(*levels: float, start: int = START, **over: object) -> list[Reading]:
    """A reading every five minutes, an hour of each level."""
    return [
        reading(ts=start + hour * HOUR + five * 5 * MINUTE, value=level, **over)
        for hour, level in enumerate(levels)
        for five in range(12)
    ]


def test_roll_ups_are_repaired_and_runs_are_left_alone(tmp_path):
    laws = rules(GATED, header=ROLLED)
    running = [float(8 < hour < 30) for hour in range(60)]
    readings = steps(*[10.0] * 60) + steps(*running, metric="running")
    late = [each for each in readings if each.ts // HOUR % 24 == 11 and each.metric != "running"]
    topics = Topics(laws, [each for each in readings if each not in late], late)
    assert any(w.session for w, _ in topics.windows)
    lake = lake_of(tmp_path / "lake", readings)
    request = Request(from_ms=START, to_ms=START + DAY, rules=laws)
    before = len(topics.windows)
    backfill(topics, lake, tmp_path / "run", request)
    sent = [w for w, _ in topics.windows[before:]]
    lengths = {(w.window_end - w.window_start) // HOUR for w in sent if not w.session}
    assert {1, 24} <= lengths
    assert not any(w.session for w in sent)
    assert backfill(topics, lake, tmp_path / "again", request).sent == 0


def test_a_run_says_nothing_of_how_far_its_metric_has_come(tmp_path):
    laws = rules(GATED, header=ROLLED)
    topics = Topics(laws, steps(0, 1, 0, 0, metric="running") + steps(0, 10.0, 10.0, 10.0), [])
    topics.windows = [pair for pair in topics.windows if pair[0].session]
    assert topics.windows
    with closing(topics.told(tmp_path / "told", middle(laws))) as told:
        assert told.nothing()


def test_the_run_in_reaches_back_to_where_an_open_alert_began(tmp_path, steady):
    readings = steps(*[10.0] * 5, *[12.5] * 60, *[10.0] * 10)
    late = readings[40 * 12 : 41 * 12]
    topics = Topics(steady, [each for each in readings if each not in late], late)
    request = Request(from_ms=late[0].ts, to_ms=late[-1].ts + 1, rules=steady)
    lake = lake_of(tmp_path / "lake", readings)
    books = backfill(topics, lake, tmp_path / "run", request)
    assert books.run_in_why == "an alert was active since"
    assert books.run_in_readings == 40 * 12
    # Nothing about the alert has changed, heat among heat; it ends a day behind the scope.
    assert books.alerts["unchanged"] == 1
    assert books.alerts["corrected"] + books.alerts["new"] + books.alerts["withdrawn"] == 0


def test_without_the_run_in_the_alert_would_begin_at_another_time(tmp_path, steady, monkeypatch):
    readings = steps(*[10.0] * 5, *[12.5] * 60, *[10.0] * 10)
    late = readings[40 * 12 : 41 * 12]
    topics = Topics(steady, [each for each in readings if each not in late], late)
    request = Request(from_ms=late[0].ts, to_ms=late[-1].ts + 1, rules=steady)
    monkeypatch.setattr(Told, "active_since", lambda self, at: None)
    books = backfill(topics, lake_of(tmp_path / "lake", readings), tmp_path / "run", request)
    assert books.alerts["new"] + books.alerts["withdrawn"] > 0


def test_a_backfill_takes_for_each_window_the_rules_of_its_time(tmp_path, steady, monkeypatch):
    change = START + 30 * HOUR
    text = LIMITS.replace("enter: 12, exit: 11", "enter: 9, exit: 8")
    dated = Dated(1, change, rules(text, header=HEADER))
    pushed = RuleSet(version=1, effective_from=change, sha256="", text="")
    pump = Device(device_id="plant.pump", asset_id="P-7", site="plant")
    monkeypatch.setattr("compose.backfill.pushed", lambda *_: [Pushed(pushed, b"", 0, dated)])
    monkeypatch.setattr("compose.backfill.devices_of", lambda *_: [pump])
    monkeypatch.setattr("compose.backfill.resets_of", lambda *_: Commands())
    readings = steps(*[10.0] * 40, *[5.0] * 30)
    late = readings[28 * 12 : 32 * 12]
    asked = Request(from_ms=late[0].ts, to_ms=late[-1].ts + 1, rules=steady, after=0)
    request = with_pushed(None, asked)
    topics = Topics(
        steady, [each for each in readings if each not in late], late, engines=request.engines
    )
    missed = over(topics.alerts, request.scope.upto)
    backfill(topics, lake_of(tmp_path / "lake", readings), tmp_path / "run", request)
    whole = Topics(steady, readings, [], engines=request.engines)
    believed = topics.believed(*request.scope)
    ours = {msgspec.structs.replace(each, asset_id="plant.pump") for each in believed}
    assert ours == whole.believed(*request.scope)
    right = over(whole.alerts, request.scope.upto)
    assert over(topics.alerts, request.scope.upto) == right != missed
    assert [starts for _, _, starts, *_ in right.values()] == [change + 15 * MINUTE]
    assert {each.asset_id for each in topics.alerts if each.event == "CORRECTED"} == {"P-7"}
    assert with_pushed(None, replace(asked, after=1)).engines is None


def test_what_was_reset_by_hand_is_over_and_what_came_after_stays(tmp_path):
    laws = rules("""
        - name: trip
          match: {metric: temperature}
          window: {size: 15m, slide: 15m}
          aggregate: max
          compare: {op: ">=", to: value}
          severities: [{level: CRITICAL, enter: 12, latch: true}]
    """)
    readings = steps(*[10.0] * 20, 13.0, *[10.0] * 20, 14.0, *[10.0] * 20)
    late = readings[14 * 12 : 15 * 12]
    on_time = [each for each in readings if each not in late]
    told: list[Said] = []
    for at in (START + 30 * HOUR, START + 50 * HOUR):
        alert = Topics(laws, on_time, late, said=told).alerts[-1]
        command = AlertCommand(
            command="RESET", alert_id=alert.alert_id, fingerprint=alert.fingerprint, at=at, by="mia"
        )
        told.append(said(at, command))
    topics = Topics(laws, on_time, late, said=told)
    once = [("FIRED", None), ("RENOTIFY", None), ("RESOLVED", "RESET")]
    assert [(each.event, each.resolve_reason) for each in topics.alerts] == once * 2
    lake = lake_of(tmp_path / "lake", readings)
    request = Request(from_ms=late[0].ts, to_ms=readings[-1].ts, rules=laws, resets=waiting(told))
    books = backfill(topics, lake, tmp_path / "run", request)
    assert (books.alerts["unchanged"], books.sent, books.windows["new"]) == (2, 4, 4)
    deaf = backfill(topics, lake, tmp_path / "deaf", replace(request, resets=waiting([])))
    assert deaf.alerts["withdrawn"] == 1  # the test can tell


def told_late(
    tmp_path: Path,
    laws: Rules,
    readings: list[Reading],
    late: list[Reading],
    to_ms: int | None = None,
) -> tuple[Topics, Books]:
    """Backfill the time of the late ones, or on to a time, and see that windows come out right."""
    topics = Topics(laws, [each for each in readings if each not in late], late)
    request = Request(from_ms=late[0].ts, to_ms=to_ms or late[-1].ts + 1, rules=laws)
    books = backfill(topics, lake_of(tmp_path / "lake", readings), tmp_path / "run", request)
    assert books.left == []
    undisturbed = Topics(laws, readings, []).believed(*request.scope)
    assert topics.believed(*request.scope) == undisturbed
    return topics, books


def test_a_state_that_was_told_long_before_the_run_in_is_known(tmp_path):
    laws = rules(GATED, header=HEADER)
    heat = steps(*[10.0] * 74, 12.5, 12.5, *[10.0] * 10)
    readings = [*heat, reading(metric="running", unit=None, ts=START, value=1.0)]
    topics, books = told_late(tmp_path, laws, readings, heat[74 * 12 + 6 : 75 * 12])
    assert books.run_in_why == "windows and delays need it"
    # Half an hour more of heat: the alert of the second hour began in the first.
    assert (books.alerts["new"], books.alerts["withdrawn"]) == (0, 0)
    assert books.alerts["corrected"] + books.alerts["unchanged"] == 1
    assert len(topics.alerts) >= 2


def test_a_rule_that_rests_at_the_period_s_start_goes_on_resting(tmp_path):
    laws = rules(f"{LIMITS}  cooldown: 9h\n", header=HEADER)
    readings = steps(*[10.0] * 44, 12.5, *[10.0] * 4, *[12.5] * 3, *[10.0] * 9)
    _, books = told_late(tmp_path, laws, readings, readings[50 * 12 : 51 * 12])
    assert books.run_in_why == "an alert was active since"
    assert books.alerts["new"] == 0


def test_windows_that_come_with_the_pane_behind_a_gap_over_midnight_are_waited_for(
    tmp_path, steady
):
    heat = steps(*[10.0] * 23)
    readings = [*heat, *steps(*[10.0] * 3, start=START + 2 * DAY)]
    _, books = told_late(tmp_path, steady, readings, heat[-4:-1])
    assert (books.windows["changed"], books.windows["withdrawn"]) == (3, 0)


def test_what_waits_for_a_state_at_midnight_is_waited_for(tmp_path):
    laws = rules(GATED, header=HEADER)
    heat = steps(*[10.0] * 48)
    # It falls silent an hour before midnight; the scope ends then.
    told = [reading(metric="running", unit=None, ts=START + n * HOUR, value=1.0) for n in range(23)]
    late = heat[23 * 12 : 23 * 12 + 5]
    half_past = START + 23 * HOUR + 30 * MINUTE
    _, books = told_late(tmp_path, laws, [*heat, *told], late, half_past)
    assert (books.windows["changed"], books.windows["unchanged"]) == (3, 1)


def test_a_state_that_only_comes_late_takes_back_what_was_said_without_it(tmp_path):
    laws = rules(UNTOLD, header=HEADER)
    heat = steps(*[10.0] * 3, *[12.5] * 3, *[10.0] * 6)
    late = [reading(metric="running", unit=None, ts=START + HOUR, value=1.0)]
    late.append(reading(metric="running", unit=None, ts=START + 9 * HOUR, value=1.0))
    topics, books = told_late(tmp_path, laws, [*heat, *late], late)
    assert books.windows["withdrawn"] > 0
    assert books.alerts["withdrawn"] == 1
    assert topics.alerts[-1].ends_at == topics.alerts[-1].starts_at


def test_a_shortened_run_in_names_the_baselines_it_cuts_off(tmp_path):
    laws = rules(GROWING, header=HEADER.replace("200", "400"))
    readings = series(1)
    on_time, late = split(readings, 1)
    lake = lake_of(tmp_path / "lake", readings)
    whole = middle(laws)
    short = replace(whole, run_in_ms=12 * HOUR)
    books = backfill(Topics(laws, on_time, late), lake, tmp_path / "whole", whole)
    assert books.run_in_why == "baselines learn from the first reading on"
    assert books.short_baselines == []
    books = backfill(Topics(laws, on_time, late), lake, tmp_path / "short", short)
    assert books.run_in_why == "as asked, for the baselines"
    # 400 readings at 5 min are 33 h; the run-in, from midnight on, has 24.
    assert books.short_baselines == ["plant.pump temperature (odd)"]


def test_a_lake_that_has_lost_readings_takes_nothing_back(tmp_path, steady):
    readings = steps(10.0, 12.5, 12.5, 10.0, 10.0, 10.0, 10.0)
    topics = Topics(steady, readings, [])
    other = steps(*[10.0] * 7, device_id="plant.other")
    lake = lake_of(tmp_path / "lake", [*readings[:12], *readings[40:], *other])
    request = Request(from_ms=START, to_ms=START + 6 * HOUR, rules=steady)
    before = list(topics.windows), list(topics.alerts)
    books = backfill(topics, lake, tmp_path / "run", request)
    assert (topics.windows, topics.alerts) == before
    assert len(books.left) == 1
    assert books.left[0].startswith(
        "plant.pump: the lake holds fewer readings than the job counted in the window"
    )
    # The windows gone from their topic, the alert is what is left to tell by.
    topics.windows = [pair for pair in topics.windows if pair[0].window_end > START + 5 * HOUR]
    books = backfill(topics, lake, tmp_path / "aged", request)
    assert "plant.pump: the lake holds fewer readings than the job counted when" in books.left[0]
    assert topics.alerts == before[1]


def test_a_lake_that_has_lost_an_input_takes_no_derived_window_back(tmp_path):
    laws = rules(DERIVED, header=DERIVED_HEADER)
    heat = steps(*[10.0] * 3, *[12.5] * 6)
    told = [reading(metric="running", unit=None, ts=each.ts, value=1.0) for each in heat]
    topics = Topics(laws, [*heat, *told], [])
    lake = lake_of(tmp_path / "lake", [*heat, *told[:36], *told[60:]])
    request = Request(from_ms=START, to_ms=START + 6 * HOUR, rules=laws)
    before = list(topics.windows), list(topics.alerts)
    books = backfill(topics, lake, tmp_path / "run", request)
    assert "fewer readings than the job counted in the window of excess" in books.left[0]
    assert (topics.windows, topics.alerts) == before


def test_an_input_that_came_late_may_take_a_derived_value_away(tmp_path):
    laws = rules(DERIVED, header=DERIVED_HEADER)
    heat = steps(*[12.5] * 12)
    told = [reading(metric="running", unit=None, ts=each.ts, value=1.0) for each in heat]
    # With these the quarter's mean is below what has a root.
    cold = [reading(ts=START + 6 * HOUR + n * MINUTE, value=-20.0) for n in (1, 2, 16, 17)]
    _, books = told_late(tmp_path, laws, [*heat, *told, *cold], cold)
    assert books.left == []
    assert books.windows["changed"] > 0


def test_a_job_that_kept_smaller_panes_is_followed(tmp_path, steady):
    readings = series(2)
    request = replace(middle(steady), panes="*=300000")
    topics = Topics(steady, readings, [], panes="*=300000")
    books = backfill(topics, lake_of(tmp_path / "lake", readings), tmp_path / "run", request)
    assert books.windows["unchanged"] > 0
    assert books.sent == 0


def test_a_metric_that_only_ever_came_late_gets_all_its_windows(tmp_path, steady):
    readings = steps(10.0, 12.5, 12.5, 10.0, 10.0)
    topics = Topics(steady, [], readings)
    request = Request(from_ms=START, to_ms=START + 5 * HOUR, rules=steady)
    lake = lake_of(tmp_path / "lake", readings)
    books = backfill(topics, lake, tmp_path / "run", request)
    assert books.windows["new"] == 20
    assert books.alerts["new"] == 1
    assert backfill(topics, lake, tmp_path / "again", request).sent == 0
    # The next day's come late, too: what was sent for the first does not count as the job's word.
    more = [*readings, *steps(10.0, 10.0, start=START + DAY)]
    topics.late = more
    lake = lake_of(tmp_path / "lake2", more)
    request = Request(from_ms=START, to_ms=START + 2 * DAY, rules=steady)
    assert backfill(topics, lake, tmp_path / "more", request).windows["new"] == 9


def test_what_the_job_has_still_to_tell_is_left_to_it(tmp_path, steady):
    readings = steps(*[10.0] * 6)
    topics = Topics(steady, readings[:39], [])
    request = Request(from_ms=START, to_ms=START + 6 * HOUR, rules=steady)
    books = backfill(topics, lake_of(tmp_path / "lake", readings), tmp_path / "run", request)
    assert books.sent == 0
    assert books.windows["ahead"] == 24 - len(topics.windows)


def test_alerts_that_came_while_windows_were_read_are_none_to_take_back(tmp_path, steady):
    readings = steps(*[10.0] * 4, 12.5, 12.5, 10.0, 10.0, 10.0)
    topics = Topics(steady, readings, [])
    assert len(topics.alerts) == 2
    topics.windows = [pair for pair in topics.windows if pair[0].window_end <= START + 4 * HOUR]
    request = Request(from_ms=START, to_ms=START + 9 * HOUR, rules=steady)
    lake = lake_of(tmp_path / "lake", readings)
    assert backfill(topics, lake, tmp_path / "run", request).sent == 0


def test_a_metric_of_which_nothing_is_told_is_named_and_left(tmp_path, steady):
    readings = [*steps(*[10.0] * 3), *steps(*[10.0] * 3, device_id="plant.young")]
    topics = Topics(steady, [each for each in readings if each.device_id == "plant.pump"], [])
    request = Request(from_ms=START, to_ms=START + 3 * HOUR, rules=steady)
    books = backfill(topics, lake_of(tmp_path / "lake", readings), tmp_path / "run", request)
    assert books.sent == 0
    assert books.unknown == ["plant.young temperature"]


def test_one_device_can_be_chosen(tmp_path, steady):
    readings = [*steps(*[10.0] * 4), *steps(*[10.0] * 4, device_id="plant.other")]
    late = [each for each in readings if START + HOUR <= each.ts < START + 2 * HOUR]
    topics = Topics(steady, [each for each in readings if each not in late], late)
    lake = lake_of(tmp_path / "lake", readings)
    request = Request(
        from_ms=START, to_ms=START + 2 * HOUR, rules=steady, device="plant.other", site="plant"
    )
    books = backfill(topics, lake, tmp_path / "run", request)
    assert (books.devices, books.readings) == (1, 24)
    assert {w.device_id for w, corrected in topics.windows if corrected} == {"plant.other"}


def test_an_unknown_device_and_an_empty_period_are_told_apart(tmp_path, steady):
    lake = lake_of(tmp_path / "lake", steps(*[10.0] * 4))
    request = Request(from_ms=START, to_ms=START + HOUR, rules=steady, device="plant.pmup")
    with pytest.raises(Failure, match=r'no device plant.pmup; did you mean "plant.pump"\?'):
        known_device(lake, request)
    late = Request(from_ms=START + 7 * HOUR, to_ms=START + 8 * HOUR, rules=steady)
    topics = Topics(steady, steps(*[10.0] * 4), [])
    with pytest.raises(Failure, match="goes from 2024-10-04T00:00:00Z to 2024-10-04T03:55:00Z"):
        backfill(topics, lake, tmp_path / "run", late)


def test_readings_are_read_back_once_each_whatever_file_they_are_in(tmp_path, steady):
    readings = steps(*[10.0] * 4)
    doubled = [*readings, *(msgspec.structs.replace(e, gateway_epoch=9) for e in readings)]
    request = Request(from_ms=START, to_ms=START + 4 * HOUR, rules=steady)
    topics = Topics(steady, readings, [])
    books = backfill(topics, lake_of(tmp_path / "lake", doubled), tmp_path / "run", request)
    assert books.readings == 48
    assert books.sent == 0
