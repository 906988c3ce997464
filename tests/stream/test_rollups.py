"""Roll-ups against a direct merge of all panes; what a rule file may say of them."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_builders import DAY, HOUR, MINUTE, OF, Store, asking, limit, pane, rules

from schemas.codec import encode
from schemas.config import ConfigError
from schemas.records import WindowFeatures
from stream.device_state import DeviceState, SeriesState
from stream.engine import Engine
from stream.pane_sizes import pane_sizes
from stream.panes import Pane
from stream.rule import Rules
from stream.state_size import engine_bytes
from stream.windows import Subject, features

HOURLY = """
rollups:
  - {metric: "*", size: 1h}
  - {metric: temp*, size: 1d}
"""
PANE_MS = 15 * MINUTE
# Pane numbers with gaps from none to two days, and what each holds: nothing but bad ones, too.
indexed = st.lists(
    st.tuples(
        st.one_of(st.integers(1, 3), st.integers(1, 200)),
        st.lists(st.floats(-1e6, 1e6), max_size=4),
    ),
    min_size=1,
    max_size=60,
)


def numbered(steps: list[tuple[int, list[float]]]) -> list[Pane]:
    found, index = [], 1_960_000
    for step, values in steps:
        index += step
        found.append(pane(index, *values, bad=0 if values else 1))
    return found


def fed(loaded: Rules, panes: list[Pane], *, stored: bool = False) -> list[WindowFeatures]:
    engine, state, store, made = Engine(loaded), DeviceState(), Store(), []
    for each in panes:
        state = store.load() if stored else state
        made += engine.on_pane(state, *OF, each).windows
        if stored:
            store.keep(state)
    return made


def direct(panes: list[Pane], size: int) -> list[WindowFeatures]:
    """Every roll-up that is complete by the newest pane, from all of its panes at once."""
    found = []
    for start in sorted({each.pane_start // size * size for each in panes}):
        inside = [p for p in panes if p.n and start <= p.pane_start < start + size]
        if inside and panes[-1].pane_end >= start + size:
            found.append(features(Subject(*OF), start, start + size, inside))
    return found


def exact(rows: list[WindowFeatures]) -> list[bytes]:
    return [encode(row, 1) for row in rows]


@given(indexed)
def test_a_roll_up_is_to_the_bit_the_merge_of_all_its_panes(steps):
    panes = numbered(steps)
    made = fed(asking(HOURLY), panes)
    for size in (HOUR, DAY):
        own = [row for row in made if row.window_end - row.window_start == size]
        assert exact(own) == exact(direct(panes, size))
    assert len(made) == sum(len(direct(panes, size)) for size in (HOUR, DAY))
    assert [row.window_end for row in made] == sorted(row.window_end for row in made)


@given(indexed)
def test_storing_the_state_at_every_pane_changes_no_byte(steps):
    panes = numbered(steps)
    assert exact(fed(asking(HOURLY), panes, stored=True)) == exact(fed(asking(HOURLY), panes))


def test_a_pane_that_was_seen_is_passed_over():
    panes = [pane(index, float(index)) for index in range(40)]
    assert fed(asking(HOURLY), [*panes[:20], *panes[10:20], *panes[20:]]) == fed(
        asking(HOURLY), panes
    )


def test_a_days_roll_up_of_one_second_panes_is_one_partial_merge():
    engine, state, store = Engine(asking(HOURLY)), DeviceState(), Store()
    rng = random.Random(1)
    sizes = set()
    for index in range(30_000):
        state = store.load()
        each = pane(index + 1_764_000_000, rng.gauss(20, 1), size=1000)
        engine.on_pane(state, *OF, each)
        store.keep(state)
        sizes.add(len(store.pieces["series:temperature"]))
    assert max(sizes) < 250


def test_a_rule_of_the_same_shape_gives_the_same_row():
    both = limit("[{level: WARNING, enter: 1e300}]", window="{size: 1h, slide: 1h}")
    both = Rules(both.rules, asking(HOURLY).rollups[:1])
    made = fed(both, [pane(index, float(index)) for index in range(9)])
    assert len(made) == 4
    assert exact(made[::2]) == exact(made[1::2])


def test_series_that_no_roll_up_matches_have_none():
    some = asking('rollups: [{metric: "*", size: 1h, site: other}, {metric: b, size: 1h}]')
    assert fed(some, [pane(index, 1.0) for index in range(9)]) == []


def test_what_a_roll_up_held_is_forgotten_when_it_is_no_longer_asked_for():
    state = DeviceState()
    Engine(asking(HOURLY)).on_pane(state, *OF, pane(0, 1.0))
    Engine(asking('rollups: [{metric: "*", size: 1d}]')).on_pane(state, *OF, pane(1, 1.0))
    rolled = state.series("temperature").rolled
    assert rolled is not None
    assert list(rolled.partial) == [DAY]
    Engine(asking("")).on_pane(state, *OF, pane(2, 1.0))
    assert state.series("temperature") == SeriesState()


def test_panes_divide_the_roll_ups_of_their_metric():
    plain = "{metric: a, size: 5m}, {metric: b_*, size: 15m}"
    assert pane_sizes(asking(f"rollups: [{plain}]")) == "a=300000,nothing_at_all=86400000,*=300000"
    assert pane_sizes(asking('rollups: [{metric: "*", size: 1m}]')).endswith("*=60000")


def test_a_day_that_is_only_rolled_up_is_not_one_pane_whose_readings_are_all_kept():
    sizes = dict(pair.split("=") for pair in pane_sizes(asking(HOURLY)).split(","))
    # What a rule looks at has what the rule and the roll-ups allow.
    assert sizes == {"nothing_at_all": "3600000", "*": "300000"}


@pytest.mark.parametrize(
    ("rollup", "told"),
    [
        ("{metric: '*', size: 2h}", "expected one of 1m, 5m, 15m, 1h, 1d, got 2h"),
        ("{metric: '*', size: 7}", "rollups[0].size: expected a duration"),
        ("{metric: 'a b', size: 1h}", "expected a name or a glob"),
        ("{metric: '*', size: 1h, slide: 5m}", "slide"),
    ],
)
def test_what_cannot_be_rolled_up_is_refused_with_its_line(rollup, told):
    with pytest.raises(ConfigError) as refused:
        asking(f"rollups:\n  - {rollup}")
    assert str(refused.value).startswith("test.yaml:3: ")
    assert told in str(refused.value)


def test_a_roll_up_of_short_panes_may_make_a_long_window_too_costly():
    with pytest.raises(ConfigError, match=r"makes 2880 panes of 1m.*sizes of its roll-ups"):
        rules(
            """
            - name: long
              match: {metric: a}
              window: {size: 2d, slide: 15m}
              aggregate: mean
              compare: {op: ">=", to: value}
              severities: [{level: WARNING, enter: 1}]
            """,
            header='version: 1\nrollups: [{metric: "*", size: 1m}]',
        )


STATE = """
rollups: [{metric: "*", size: 1h}, {metric: temperature, size: 1d}]
sessions: [{name: run, while: {metric: running, op: ">=", value: 0.5}, gap: 15m, of: "temp*"}]
"""


def test_a_sensors_state_is_no_larger_than_is_told():
    some = rules(
        """
        - name: hot
          match: {metric: temperature}
          window: {size: 3h, slide: 15m}
          aggregate: mean
          compare: {op: ">=", to: value}
          severities: [{level: WARNING, enter: 1e300}]
        """,
        header=f"version: 1{STATE}",
    )
    engine, state, store = Engine(some), DeviceState(), Store()
    rng, largest = random.Random(1), 0
    for index in range(1_960_000, 1_960_300):
        for metric, value in (("running", 1.0), ("temperature", rng.gauss(20, 1))):
            state = store.load()
            engine.on_pane(state, OF[0], metric, "plant", None, pane(index, value, value))
            store.keep(state)
        largest = max(largest, len(store.pieces["series:temperature"]))
    told = engine_bytes(some, "temperature")
    assert 0.6 * told < largest < told
