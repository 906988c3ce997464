"""Rules that ask for the state of the machine: several metrics of one device in one engine."""

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_builders import HOUR, PANE, Store, pane, reading, rules

from schemas.codec import encode
from schemas.records import Alert, WindowFeatures
from stream.backtest import Series, run
from stream.device_state import DeviceState
from stream.engine import Engine
from stream.pane_sizes import pane_ms
from stream.panes import Pane, panes_of
from stream.rule import Rules

Rows = list[tuple[str, Pane]]
HEADER = "version: 1\nbaselines:\n  first: {kind: frozen, learn_for: 6h, floor: 0.1}"


def hot(
    when: str = "", *, severities: str = "[{level: WARNING, enter: 50}]", more: str = ""
) -> Rules:
    """A limit on each metric but `running`, every quarter of an hour."""
    return rules(
        f"""
        - name: hot
          match: {{metric: [current, temperature, vibration]}}
          when: {{metric: running, op: ">=", value: 0.5, for: 30m{when}}}
          window: {{size: 15m, slide: 15m}}
          aggregate: mean
          compare: {{op: ">=", to: value}}
          severities: {severities}
          {more}
        """
    )


@dataclass
class Device:
    """One device and its rules; ``stored`` makes its state go to bytes and back at every pane."""

    rules: Rules
    stored: bool = False
    state: DeviceState = field(default_factory=DeviceState)
    store: Store = field(default_factory=Store)
    windows: list[WindowFeatures] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.engine = Engine(self.rules)

    def feed(self, *rows: tuple[str, Pane]) -> "Device":
        for metric, each in rows:
            if self.stored:
                self.state = self.store.load()
            made = self.engine.on_pane(self.state, "plant.pump", metric, "plant", None, each)
            if self.stored:
                self.store.keep(self.state)
            self.windows += made.windows
            self.alerts += made.alerts
        return self

    def told(self) -> list[tuple[str, int, str]]:
        """What happened, at which pane's end, to which metric."""
        return [(a.event, a.emitted_at // PANE, a.metric) for a in self.alerts]

    def evaluated(self) -> list[tuple[str, int]]:
        return [(w.metric, w.window_end // PANE) for w in self.windows]


def quarter(index: int, running: float | None = 1.0, **values: float) -> Rows:
    """A quarter of an hour of a device, in the order of the job."""
    told = values if running is None else values | {"running": running}
    return [(metric, pane(index, told[metric])) for metric in sorted(told)]


def test_a_pane_waits_for_the_state_and_then_all_come_in_order():
    device = Device(hot()).feed(*quarter(0))
    device.feed(*quarter(1, current=1)[:1])
    assert device.evaluated() == []
    device.feed(*quarter(1, temperature=2))
    assert device.evaluated() == [("current", 2), ("temperature", 2)]


def test_where_the_state_is_not_told_a_pane_waits_until_the_device_has_gone_on():
    device = Device(hot()).feed(*quarter(0))
    device.feed(*quarter(1, None, current=1, temperature=1))
    assert device.evaluated() == []
    device.feed(*quarter(2, None, current=1))
    assert device.evaluated() == [("current", 2), ("temperature", 2)]


def test_what_no_rule_asks_for_waits_behind_what_one_does():
    both = rules(
        """
        - name: gated
          match: {metric: a}
          when: {metric: running, op: ">=", value: 1}
          window: {size: 15m, slide: 15m}
          aggregate: mean
          compare: {op: ">=", to: value}
          severities: [{level: WARNING, enter: 50}]
        - name: plain
          match: {metric: b}
          window: {size: 15m, slide: 15m}
          aggregate: mean
          compare: {op: ">=", to: value}
          severities: [{level: WARNING, enter: 50}]
        """
    )
    device = Device(both).feed(*quarter(0, a=1, b=1))
    device.feed(("a", pane(1, 99.0)), ("b", pane(1, 99.0)))
    assert device.alerts == []
    device.feed(("running", pane(1, 1.0)))
    assert device.told() == [("FIRED", 2, "a"), ("FIRED", 2, "b")]


def test_nothing_fires_until_the_state_has_held():
    device = Device(hot())
    for index, running in enumerate([0, 0, 1, 1, 1, 0, 1]):
        device.feed(*quarter(index, running, current=99, vibration=99))
    # It runs from the third quarter on, and half an hour of it is over at the end of the fourth.
    assert device.told() == [("FIRED", 4, "current"), ("FIRED", 4, "vibration")]


def test_a_device_that_never_tells_its_state_is_never_evaluated_and_costs_nothing():
    device = Device(hot(), stored=True)
    for index in range(9):
        device.feed(*quarter(index, None, current=99))
    assert (device.alerts, device.windows, device.store.pieces) == ([], [], {})


def test_a_window_that_reaches_back_before_the_state_is_not_evaluated():
    hourly = rules(
        """
        - name: hot
          match: {metric: temperature}
          when: {metric: running, op: ">=", value: 0.5}
          window: {size: 1h, slide: 15m}
          aggregate: mean
          compare: {op: ">=", to: value}
          severities: [{level: WARNING, enter: 50}]
        """
    )
    device = Device(hourly)
    for index, running in enumerate([0, 0, 1, 1, 1, 1]):
        device.feed(*quarter(index, running, temperature=99))
    assert device.told() == [("FIRED", 6, "temperature")]


STOPS = [1, 1, 1, 0, 0, 1, 1, 1, 1]
"""Running from quarter 0 and 5 on, so evaluated at the ends 2, 3 and 7 and later."""


def test_while_the_state_is_another_an_alert_stays_as_it_is():
    device = Device(hot())
    for index, running in enumerate(STOPS):
        device.feed(*quarter(index, running, current=99 if index < 3 else 1))
    assert device.told() == [("FIRED", 2, "current"), ("RESOLVED", 7, "current")]
    assert device.alerts[-1].resolve_reason == "VALUE"


def test_or_ends_if_the_rule_says_so():
    device = Device(hot(", open: close"))
    for index, running in enumerate(STOPS):
        device.feed(*quarter(index, running, current=99))
    assert device.told() == [
        ("FIRED", 2, "current"), ("RESOLVED", 4, "current"), ("FIRED", 7, "current"),
    ]  # fmt: skip
    closed = device.alerts[1]
    assert (closed.resolve_reason, closed.prev_state, closed.ends_at) == (
        "RESET",
        "FIRING",
        4 * PANE,
    )
    assert closed.alert_id == device.alerts[0].alert_id


def test_what_is_pending_is_forgotten_when_the_machine_stops():
    delayed = hot(severities="[{level: WARNING, enter: 50, for: 30m}]")
    device = Device(delayed)
    for index, running in enumerate(STOPS):
        device.feed(*quarter(index, running, current=99 if index > 1 else 1))
    # Pending since 3; with the stop in between, the half hour begins anew at 7.
    assert device.told() == [("FIRED", 9, "current")]


def test_a_rule_for_devices_that_do_not_tell_ends_once_one_does():
    silent = rules(
        """
        - name: hot
          match: {metric: temperature}
          when: {absent: running}
          window: {size: 15m, slide: 15m}
          aggregate: mean
          compare: {op: ">=", to: value}
          severities: [{level: WARNING, enter: 50}]
        """
    )
    device = Device(silent)
    for index in range(6):
        device.feed(*quarter(index, None if index < 3 else 0, temperature=99))
    assert device.told() == [("FIRED", 1, "temperature"), ("RESOLVED", 4, "temperature")]
    assert device.alerts[-1].resolve_reason == "RESET"
    assert device.evaluated()[-1] == ("temperature", 4)


def test_after_an_alert_nothing_is_evaluated_for_its_cooldown():
    cooled = hot(more="cooldown: 1h")
    device = Device(cooled)
    for index, value in enumerate([1, 99, 1, 99, 99, 99, 99, 99]):
        device.feed(*quarter(index, current=value))
    assert device.told() == [
        ("FIRED", 2, "current"), ("RESOLVED", 3, "current"), ("FIRED", 7, "current"),
    ]  # fmt: skip


SHIFTED = """
- name: shifted
  match: {metric: "*"}
  when: {metric: running, op: ">=", value: 0.5, for: 1h}
  window: {size: 1h, slide: 15m}
  min_samples: 3
  aggregate: mean
  compare: {op: "abs>=", to: zscore, baseline: first}
  severities: [{level: WARNING, enter: 4, exit: 3, keep_firing_for: 1h}]
- name: unknown_state
  match: {metric: "*"}
  when: {absent: running}
  window: {size: 1h, slide: 15m}
  aggregate: mean
  compare: {op: ">=", to: value}
  severities: [{level: INFO, enter: 1000}]
- name: stands_still_hot
  match: {metric: temperature}
  when: {metric: running, op: "<=", value: 0.5, for: 15m, open: close}
  window: {size: 15m, slide: 15m}
  aggregate: max
  compare: {op: ">=", to: value}
  severities: [{level: CRITICAL, enter: 24, for: 15m}]
  cooldown: 30m
"""


def shifted() -> Rules:
    return rules(SHIFTED, header=HEADER)


def life(seed: int, quarters: int = 160) -> Rows:
    """A machine that starts and stops, with gaps, some readings bad, and shifts now and then."""
    rng, rows, running, index, offset = random.Random(seed), [], 1.0, 0, 0.0
    for _ in range(quarters):
        index += rng.choice([1] * 20 + [2, 9])
        if rng.random() < 0.06:
            running = 1.0 - running
        if rng.random() < 0.04:
            offset = rng.choice([0.0, 0.0, 6.0])
        values = {
            "current": [running * rng.gauss(20 + offset, 1) for _ in range(2)],
            "running": [running] * rng.choice([0, 1, 2, 2]),
            "temperature": [rng.gauss(20 + offset, 1) for _ in range(2)],
        }
        bad = {metric: int(rng.random() < 0.05) for metric in values}
        for metric, inside in values.items():
            if inside or bad[metric]:
                rows.append((metric, pane(index, *inside, bad=bad[metric])))
    return rows


def test_such_a_life_has_alerts_of_every_kind():
    found = {
        (a.rule, a.event, a.resolve_reason)
        for seed in range(8)
        for a in Device(shifted()).feed(*life(seed)).alerts
    }
    assert found >= {
        ("shifted", "FIRED", None), ("shifted", "RESOLVED", "VALUE"),
        ("stands_still_hot", "FIRED", None), ("stands_still_hot", "RESOLVED", "RESET"),
    }  # fmt: skip


@given(st.integers(0, 1 << 30))
def test_storing_the_state_at_every_pane_changes_no_byte(seed):
    rows = life(seed, 80)
    live, stored = (Device(shifted(), stored=s).feed(*rows) for s in (False, True))
    for one, other in ((live.windows, stored.windows), (live.alerts, stored.alerts)):
        assert [encode(each, 1) for each in one] == [encode(each, 1) for each in other]
    assert stored.store.pieces == {k: v for k, v in live.state.changed() if v is not None}


@given(st.integers(0, 1 << 30))
def test_no_rule_is_evaluated_outside_its_state(seed):
    """By a look at all readings of the state, which the engine sees only pane by pane."""
    rows = life(seed, 80)
    readings = [
        (p.first_ts if k == 0 else p.last_ts, p.first_value if k == 0 else p.last_value)
        for metric, p in rows
        for k in range(min(p.n, 2))
        if metric == "running"
    ]
    for alert in Device(shifted()).feed(*rows).alerts:
        if alert.event != "FIRED":
            continue
        held = HOUR if alert.rule == "shifted" else PANE
        since = alert.window_end - held
        before = [x for at, x in readings if at <= since]
        within = [x for at, x in readings if since < at < alert.window_end]
        wanted = 1.0 if alert.rule == "shifted" else 0.0
        assert before
        assert {before[-1], *within} == {wanted}


def test_a_machine_s_own_first_days_are_learned_only_while_it_runs():
    rows = [
        row
        for index in range(200)
        for row in quarter(index, index % 10 < 8, current=20 + index % 2 if index % 10 < 8 else 0)
    ]
    device = Device(shifted()).feed(*rows)
    assert device.alerts == []
    own = device.state.series("current").rules["shifted"].baseline
    assert own.learned_ms == 6 * HOUR
    assert own.mean == pytest.approx(20.5, abs=0.1)


@given(st.integers(0, 1 << 30))
def test_offline_gives_the_alerts_of_the_engine_on_the_panes_of_the_job(seed):
    rng = random.Random(seed)
    series = {
        ("pump", metric): [
            (
                i * 5 * 60_000,
                float(rng.random() < 0.97) if metric == "running" else rng.gauss(20, 9),
            )
            for i in range(300)
            if rng.random() < 0.9
        ]
        for metric in ("temperature", "current", "running")
    }
    readings = [
        reading(
            ts=at, value=x, metric=metric, device_id=device, site="offline", unit=None, device_seq=i
        )
        for (device, metric), points in series.items()
        for i, (at, x) in enumerate(points)
    ]
    rng.shuffle(readings)
    loaded = rules(SHIFTED.replace("enter: 4, exit: 3", "enter: 1, exit: 0.5"), header=HEADER)
    engine, state, online = Engine(loaded), DeviceState(), []
    for row in panes_of(readings, pane_ms(loaded)):
        online += engine.on_pane(state, *row).alerts
    assert run(loaded, [Series(*of, points) for of, points in series.items()]) == online


def test_alerts_come_in_order_of_end_and_metric():
    for seed in range(4):
        alerts = Device(shifted()).feed(*life(seed)).alerts
        assert [(a.emitted_at, a.metric) for a in alerts] == sorted(
            (a.emitted_at, a.metric) for a in alerts
        )


def test_a_pane_reads_and_writes_as_much_however_many_metrics_there_are():
    def touched(metrics: int) -> int:
        device = Device(shifted(), stored=True)
        names = [f"m{i:03}" for i in range(metrics)]
        for index in range(8):
            device.feed(
                *((name, pane(index, 1.0)) for name in names), ("running", pane(index, 1.0))
            )
        asked: list[str] = []

        def load(key: str) -> bytes | None:
            asked.append(key)
            return device.store.pieces.get(key)

        state = DeviceState(load)
        device.engine.on_pane(state, "plant.pump", names[-1], "plant", None, pane(8, 1.0))
        written = sum(len(data or b"") for _, data in state.changed())
        return len(asked) + written

    assert touched(200) <= touched(2) + 2


numbers = st.floats(allow_nan=True, allow_infinity=True)
any_row = st.tuples(
    st.sampled_from(["current", "running", "temperature"]),
    st.builds(
        lambda i, n, m, m2, lo, hi, a, z: Pane(
            i * PANE, (i + 1) * PANE, n, m, m2, lo, hi, a, z, i * PANE, i * PANE, 0.0, 0.0, 0.0,
            0, 0.0, 0, 0,
        ),
        st.integers(0, 40), st.integers(0, 5), *[numbers] * 6,
    ),
)  # fmt: skip


@given(st.lists(any_row, max_size=60))
def test_no_panes_in_any_order_make_the_engine_raise(rows):
    Device(shifted(), stored=True).feed(*rows)
