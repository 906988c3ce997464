"""The engine: one pane in, windows and alerts out, the same in every run."""

import random
import subprocess
import sys
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_builders import HOUR, PANE, limit, pane, rules

from schemas.codec import encode
from stream.engine import Engine, SeriesState, decode_state, encode_state
from stream.panes import Pane
from stream.rule import Rules
from stream.rules import load_rules, parse_rules

OF = ("plant.pump", "temperature", "plant", "degC")
TWO_KINDS = """
- name: hot
  match: {metric: temperature}
  window: {size: 30m, slide: 15m}
  aggregate: max
  compare: {op: ">=", to: value}
  severities:
    - {level: WARNING, enter: 12, exit: 11, for: 15m, keep_firing_for: 30m}
    - {level: CRITICAL, enter: 14, exit: 13}
  annotations: {summary: "{{device_id}}: {{value}} {{unit}}, {{level}} from {{limit}}"}
  labels: {team: rotating}
- name: odd
  match: {metric: "*"}
  window: {size: 1h, slide: 15m, grow_to: 4h}
  min_samples: 4
  aggregate: mean
  compare: {op: "abs>=", to: zscore, baseline: short}
  severities: [{level: WARNING, enter: 2, keep_firing_for: 1h}]
"""
HEADER = "version: 1\nbaselines:\n  short: {kind: decayed, n0: 200, warmup: 20}"


@dataclass
class Run:
    """An engine that is fed; ``stored`` makes the state go to bytes and back at every pane."""

    engine: Engine
    stored: bool = False
    state: SeriesState = field(default_factory=SeriesState)
    out: list[bytes] = field(default_factory=list)

    def feed(self, *panes: Pane) -> "Run":
        for each in panes:
            if self.stored:
                self.state = decode_state(encode_state(self.state))
            decision = self.engine.on_pane(self.state, *OF, each)
            self.out += [encode(record, 1) for record in decision.windows + decision.alerts]
        return self


def two_kinds() -> Rules:
    return rules(TWO_KINDS, header=HEADER)


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
    assert encode_state(stored.state) == encode_state(live.state)


def test_the_walk_raises_and_ends_alerts_of_both_rules():
    engine, state = Engine(two_kinds()), SeriesState()
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
    engine, state = Engine(two_kinds()), SeriesState()
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
            "first_out": False,
            "resolve_reason": None,
            "labels": {"team": "rotating"},
            "annotations": {"summary": "plant.pump: 13 degC, WARNING from 12"},
        }
    ]


def test_too_few_samples_are_a_window_and_no_evaluation():
    loaded = limit("[{level: WARNING, enter: 1}]", min_samples=2)
    engine, state = Engine(loaded), SeriesState()
    decision = engine.on_pane(state, *OF, pane(0, 5.0))
    assert (len(decision.windows), decision.alerts) == (1, ())
    assert engine.on_pane(state, *OF, pane(1, 5.0, 5.0)).alerts[0].event == "FIRED"


def test_a_series_without_rules_gives_and_keeps_nothing():
    engine, state = Engine(limit("[{level: WARNING, enter: 1}]", metric="other")), SeriesState()
    for i in range(10):
        assert engine.on_pane(state, *OF, pane(i, 5.0)) == ((), ())
    assert state == SeriesState()


def test_an_alert_whose_rule_is_gone_is_closed_as_such():
    state = SeriesState()
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
    state = SeriesState()
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
        sizes.append(len(encode_state(run.state)))
    assert max(sizes[1000:]) <= 6000
    assert len(run.state.ring) <= 12 * HOUR // PANE


def test_state_of_an_unknown_version_is_refused():
    with pytest.raises(ValueError, match="state of version 99, expected 1"):
        decode_state(b"\x63" + encode_state(SeriesState())[1:])


def test_no_state_is_a_fresh_one():
    assert decode_state(None) == decode_state(b"") == SeriesState()


def test_state_written_by_this_version_can_be_read_for_ever():
    frozen = bytes.fromhex(
        "0193ce001b774092dc001200ce000dbba002cb4025000000000000cb3fe0000000000000cb402400"
        "0000000000cb4026000000000000cb4024000000000000cb402600000000000000ce0006ddd0cb40"
        "6c200000000000cb40f8b82000000000cb406c20000000000001cb3ff00000000000000000dc0012"
        "ce000dbba0ce001b774001cb402e000000000000cb0000000000000000cb402e000000000000cb40"
        "2e000000000000cb402e000000000000cb402e000000000000ce000dbba0ce000dbba0cb00000000"
        "00000000cb0000000000000000cb000000000000000001cb0000000000000000000082a3686f7493"
        "ac346662316339353537303962969296c3ce001b774001ce001b774000c396c3ce001b774001ce00"
        "1b774000c3ce001b7740ce001b7740cb402e000000000000cb402e000000000000de0026a8616c65"
        "72745f6964d92438353861386163312d303165392d353430652d623563362d633833623461363261"
        "643062ab66696e6765727072696e74ba686f742f706c616e742e70756d702f74656d706572617475"
        "7265a373657100a472756c65a3686f74ac72756c655f76657273696f6e01a863617465676f7279a7"
        "50524f43455353a56576656e74a54649524544a57374617465a6464952494e47aa707265765f7374"
        "617465c0a87365766572697479a8435249544943414cad707265765f7365766572697479c0a86173"
        "7365745f6964aa706c616e742e70756d70a96465766963655f6964aa706c616e742e70756d70a473"
        "697465a5706c616e74a66d6574726963ab74656d7065726174757265a4756e6974a464656743a576"
        "616c7565cb402e000000000000af7468726573686f6c645f656e746572cb402c000000000000ae74"
        "68726573686f6c645f65786974cb402a000000000000aa636f6d70617261746f72a876616c756520"
        "3e3da573636f7265c0ad626173656c696e655f6d65616ec0ac626173656c696e655f737464c0ac73"
        "616d706c655f636f756e7403aa7065616b5f76616c7565cb402e000000000000ac77696e646f775f"
        "737461727400aa77696e646f775f656e64ce001b7740af636f6e646974696f6e5f73696e6365ce00"
        "1b7740a97374617274735f6174ce001b7740a7656e64735f6174c0ac6c6173745f747275655f6174"
        "ce001b7740aa656d69747465645f6174ce001b7740a5636c6f636ba54556454e54a46c617465c2a9"
        "66697273745f6f7574c2ae7265736f6c76655f726561736f6ec0a66c6162656c7381a47465616da8"
        "726f746174696e67ab616e6e6f746174696f6e7381a773756d6d617279d925706c616e742e70756d"
        "703a20313520646567432c20435249544943414c2066726f6d20313494cb0000000000000000cb00"
        "00000000000000cb0000000000000000c0a36f646493ac35616535333763646662313896900000cb"
        "0000000000000000cb0000000000000000c094cb0000000000000000cb0000000000000000cb0000"
        "000000000000c0"
    )
    assert encode_state(Run(Engine(two_kinds())).feed(*GOLDEN_PANES).state) == frozen
    assert encode_state(decode_state(frozen)) == frozen


GOLDEN_PANES = (pane(0, 10.0, 11.0), pane(1, 15.0))


def test_fresh_states_share_nothing():
    one, other = SeriesState(), SeriesState()
    Engine(two_kinds()).on_pane(one, *OF, pane(0, 20.0))
    assert other == SeriesState()


def test_the_engine_imports_no_flink():
    code = (
        "import sys, stream.engine, stream.backtest, stream.rules;"
        "print([m for m in sys.modules if m.split('.')[0] in "
        "('pyflink', 'py4j', 'apache_beam', 'pandas', 'pyarrow', 'numpy')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_rules_read_twice_give_equal_digests():
    text = f"{HEADER}\nrules:{TWO_KINDS}"
    assert [r.digest for r in parse_rules(text).rules] == [r.digest for r in two_kinds().rules]
