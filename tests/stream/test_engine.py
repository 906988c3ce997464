"""The engine: one pane in, windows and alerts out, the same in every run."""

import random
import subprocess
import sys
from dataclasses import dataclass, field

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from rule_builders import HOUR, OF, PANE, TWO_KINDS, TWO_KINDS_HEADER, Store, limit, pane, two_kinds

from schemas.codec import encode
from stream.device_state import DeviceState, SeriesState, encode_state
from stream.engine import Engine
from stream.panes import Pane
from stream.rules import load_rules, parse_rules


@dataclass
class Run:
    """An engine that is fed; ``stored`` makes the state go to bytes and back at every pane."""

    engine: Engine
    stored: bool = False
    state: DeviceState = field(default_factory=DeviceState)
    store: Store = field(default_factory=Store)
    out: list[bytes] = field(default_factory=list)

    def feed(self, *panes: Pane) -> "Run":
        for each in panes:
            if self.stored:
                self.state = self.store.load()
            decision = self.engine.on_pane(self.state, *OF, each)
            if self.stored:
                self.store.keep(self.state)
            self.out += [encode(record, 1) for record in decision.windows + decision.alerts]
        return self


def walk(seed: int, count: int = 400) -> list[Pane]:
    """Panes of a noisy series with gaps, bursts and bad readings."""
    rng, index, found = random.Random(seed), 0, []
    for _ in range(count):
        index += rng.choice([1] * 12 + [2, 3, 30])
        level = 10 + (4 if rng.random() < 0.1 else 0)
        values = [rng.gauss(level, 1) for _ in range(rng.choice([0, 1, 3, 3, 3]))]
        found.append(pane(index, *values, bad=0 if values else 1))
    return found


@given(st.integers(0, 1 << 30))
def test_storing_the_state_at_every_pane_changes_no_byte(seed):
    panes = walk(seed, 120)
    live = Run(Engine(two_kinds())).feed(*panes)
    stored = Run(Engine(two_kinds()), stored=True).feed(*panes)
    assert stored.out == live.out
    assert stored.store.pieces == {k: v for k, v in live.state.changed() if v is not None}


def test_the_walk_raises_and_ends_alerts_of_both_rules():
    engine, state = Engine(two_kinds()), DeviceState()
    found = [a for each in walk(3) for a in engine.on_pane(state, *OF, each).alerts]
    assert {(a.rule, a.event) for a in found} >= {
        ("hot", "FIRED"), ("hot", "ESCALATED"), ("hot", "DEESCALATED"), ("hot", "RESOLVED"),
        ("odd", "FIRED"), ("odd", "RESOLVED"),
    }  # fmt: skip


def test_series_beside_each_other_do_not_meet():
    one, other = walk(1), walk(2)
    engine = Engine(two_kinds())
    first, second = Run(engine), Run(engine)
    for a, b in zip(one, other, strict=True):
        first.feed(a)
        second.feed(b)
    assert first.out == Run(Engine(two_kinds())).feed(*one).out
    assert second.out == Run(Engine(two_kinds())).feed(*other).out


def test_a_pane_that_was_seen_is_passed_over():
    panes = walk(4)
    once = Run(Engine(two_kinds())).feed(*panes)
    again = Run(Engine(two_kinds())).feed(*panes[:50], *panes[10:50], *panes[50:])
    assert again.out == once.out


def test_an_alert_record_is_complete_and_the_same_for_ever():
    engine, state = Engine(two_kinds()), DeviceState()
    found = [
        a for i, v in enumerate([10, 13, 13]) for a in engine.on_pane(state, *OF, pane(i, v)).alerts
    ]
    assert [msgspec.to_builtins(a) for a in found] == [
        {
            "alert_id": "478968cb-a2b7-5a84-8dc0-ef6f88f8d4dc",
            "fingerprint": "hot/plant.pump/temperature",
            "seq": 0,
            "rule": "hot",
            "rule_version": 1,
            "category": "PROCESS",
            "event": "FIRED",
            "state": "FIRING",
            "prev_state": "PENDING",
            "severity": "WARNING",
            "prev_severity": None,
            "asset_id": "plant.pump",
            "device_id": "plant.pump",
            "site": "plant",
            "metric": "temperature",
            "unit": "degC",
            "value": 13.0,
            "threshold_enter": 12.0,
            "threshold_exit": 11.0,
            "comparator": "value >=",
            "score": None,
            "baseline_mean": None,
            "baseline_std": None,
            "sample_count": 2,
            "peak_value": 13.0,
            "window_start": PANE,
            "window_end": 3 * PANE,
            "condition_since": 2 * PANE,
            "starts_at": 3 * PANE,
            "ends_at": None,
            "last_true_at": 3 * PANE,
            "emitted_at": 3 * PANE,
            "clock": "EVENT",
            "late": False,
            "first_out": True,
            "resolve_reason": None,
            "labels": {"team": "rotating"},
            "annotations": {"summary": "plant.pump: 13 degC, WARNING from 12"},
            "acked_at": None,
            "acked_by": None,
            "shelved_until": None,
        }
    ]


def test_too_few_samples_are_a_window_and_no_evaluation():
    loaded = limit("[{level: WARNING, enter: 1}]", min_samples=2)
    engine, state = Engine(loaded), DeviceState()
    decision = engine.on_pane(state, *OF, pane(0, 5.0))
    assert (len(decision.windows), decision.alerts) == (1, ())
    assert engine.on_pane(state, *OF, pane(1, 5.0, 5.0)).alerts[0].event == "FIRED"


def test_a_series_without_rules_gives_and_keeps_nothing():
    engine, state = Engine(limit("[{level: WARNING, enter: 1}]", metric="other")), DeviceState()
    for i in range(10):
        assert engine.on_pane(state, *OF, pane(i, 5.0)) == ((), ())
    assert list(state.changed()) == []


def test_an_alert_whose_rule_is_gone_is_closed_as_such():
    state = DeviceState()
    old, new = "[{level: WARNING, enter: 1}]", "[{level: WARNING, enter: 2}]"
    (fired,) = Engine(limit(old)).on_pane(state, *OF, pane(0, 5.0)).alerts
    closed, again = Engine(limit(new)).on_pane(state, *OF, pane(1, 5.0)).alerts
    assert (closed.event, closed.resolve_reason, closed.prev_state) == (
        "RESOLVED", "RULE_CHANGED", "FIRING",
    )  # fmt: skip
    assert (closed.alert_id, closed.seq, closed.ends_at) == (fired.alert_id, 1, 2 * PANE)
    assert again.event == "FIRED"
    assert again.alert_id != fired.alert_id


def test_other_words_of_a_rule_leave_its_alert_open():
    state = DeviceState()
    severities = "[{level: WARNING, enter: 1}]"
    Engine(limit(severities)).on_pane(state, *OF, pane(0, 5.0))
    renamed = limit(severities, metric="temperature")
    assert Engine(renamed).on_pane(state, *OF, pane(1, 5.0)).alerts == ()


numbers = st.floats(allow_nan=True, allow_infinity=True)
counts = st.integers(0, 5)
any_pane = st.builds(
    lambda i, n, m, m2, lo, hi, a, z, t, t2, tc: Pane(
        i * PANE, (i + 1) * PANE, n, m, m2, lo, hi, a, z, i * PANE, i * PANE, t, t2, tc, 0, 0.0, 0, 0
    ),
    st.integers(0, 60), counts, *[numbers] * 9,
)  # fmt: skip


@given(st.lists(any_pane, max_size=40))
def test_no_pane_makes_the_engine_raise(panes):
    Run(Engine(two_kinds()), stored=True).feed(*panes)


def test_state_stays_small_however_long_a_series_is():
    run = Run(Engine(load_rules("generic")))
    sizes = []
    for each in walk(5, 3000):
        run.feed(each)
        sizes.append(len(encode_state(run.state.series(OF[1]))))
    assert max(sizes[1000:]) <= 6000
    assert len(run.state.series(OF[1]).ring) <= 12 * HOUR // PANE


def test_panes_none_of_which_ends_with_a_window_are_forgotten_too():
    run = Run(Engine(load_rules("generic")))
    rng = random.Random(5)
    # A reading every five minutes, in panes of one as a rule about sensors has them.
    for index in range(0, 5000, 5):
        run.feed(pane(index, rng.gauss(10, 1), size=PANE // 15))
    assert len(run.out) > 300
    assert len(run.state.series(OF[1]).ring) <= 15


def test_fresh_states_share_nothing():
    one, other = DeviceState(), DeviceState()
    Engine(two_kinds()).on_pane(one, *OF, pane(0, 20.0))
    assert other.series(OF[1]) == SeriesState()


def test_the_engine_imports_no_flink():
    code = (
        "import sys, stream.engine, stream.backtest, stream.rules;"
        "print([m for m in sys.modules if m.split('.')[0] in "
        "('pyflink', 'py4j', 'apache_beam', 'pandas', 'pyarrow', 'numpy')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_rules_read_twice_give_equal_digests():
    text = f"{TWO_KINDS_HEADER}\nrules:{TWO_KINDS}"
    assert [r.digest for r in parse_rules(text).rules] == [r.digest for r in two_kinds().rules]
