"""Sessions against a brute-force oracle that sees all panes at once; what a file may say of them."""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import pytest
from device_runs import Device, Rows
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from rule_builders import DAY, HOUR, MINUTE, asking, pane

from schemas.codec import encode
from schemas.config import ConfigError
from schemas.records import WindowFeatures
from stream.pane_sizes import pane_sizes
from stream.panes import Pane
from stream.rule import Rules
from stream.windows import Subject, features

GAP = 10 * MINUTE


def runs(state: str = "running", gap: str = "10m", more: str = "") -> Rules:
    return asking(
        f"""
        sessions:
          - name: run
            while: {{metric: {state}, op: ">=", value: 0.5}}
            gap: {gap}
            of: [before, "temp*"]
            {more}
        """
    )


def minute(index: int, *values: float, every: int = 1) -> Pane:
    return pane(index, *values, size=every * MINUTE, bad=0 if values else 1)


class Case(NamedTuple):
    """The panes of a state that is told in minutes, and of metrics whose panes are as long or 5."""

    state: str
    rows: Rows


class _Span(NamedTuple):
    start: int
    end: int


def panes_of(numbers: list[tuple[int, list[float]]], every: int) -> Iterator[Pane]:
    index = 0
    for step, values in numbers:
        index += step
        yield minute(index, *values, every=every)


told = st.lists(
    st.tuples(
        st.sampled_from([1] * 8 + [2, 9, 10, 11, 40]),
        st.sampled_from([[0.0]] * 3 + [[1.0]] * 3 + [[0.0, 1.0], [1.0, 0.0], [1.0, 0.0, 1.0], []]),
    ),
    max_size=30,
)
measured = st.lists(
    st.tuples(st.sampled_from([1] * 9 + [5, 30]), st.lists(st.floats(-1e3, 1e3), max_size=3)),
    max_size=60,
)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    # By its name the state comes before the metrics, between them, or after them.
    state = draw(st.sampled_from(["a", "running", "zz"]))
    rows = [(state, minute(0, 0.0))]
    rows += [(state, each) for each in panes_of(draw(told), 1)]
    for metric in ("before", "temperature", "other"):
        rows += [
            (metric, each)
            for each in panes_of(draw(measured), draw(st.sampled_from([1, 5])))
            if each.pane_start >= MINUTE
        ]
    return Case(state, sorted(rows, key=lambda row: (row[1].pane_end, row[0])))


def oracle(case: Case) -> list[WindowFeatures]:
    """Rows of all runs that are over by the newest pane, from all panes at once."""
    spans = list(_spans([each for metric, each in case.rows if metric == case.state]))
    told_to = max(each.pane_end for metric, each in case.rows if metric == case.state)
    known_to = max(told_to, max(each.pane_end for _, each in case.rows) - MINUTE)
    last = [each for metric, each in case.rows if metric == case.state and each.n][-1]
    found = []
    for span in spans:
        if span is spans[-1] and (last.last_value >= 0.5 or known_to - span.end < GAP):
            continue
        for metric in ("before", "temperature"):
            inside = [
                each
                for name, each in case.rows
                if name == metric and each.n and span.start <= each.pane_start
                and each.pane_end <= span.end
            ]  # fmt: skip
            if inside:
                of = Subject("plant.pump", metric, "plant", None)
                found.append(features(of, span.start, span.end, inside))
    return found


def _spans(state: list[Pane]) -> Iterator[_Span]:
    """Yield the runs: times in which the state was met or taken to be, without the short stops."""
    met: list[_Span] = []
    on_to: int | None = None
    for each in state:
        if on_to is not None and each.n:
            met.append(_Span(on_to, each.pane_start))
        if each.hi >= 0.5:
            met.append(_Span(each.pane_start, each.pane_end))
        if each.n:
            on_to = each.pane_end if each.last_value >= 0.5 else None
    joined: list[_Span] = []
    for span in met:
        if joined and span.start - joined[-1].end < GAP:
            joined[-1] = _Span(joined[-1].start, max(joined[-1].end, span.end))
        else:
            joined.append(span)
    yield from joined


def exact(rows: list[WindowFeatures], session: str) -> list[bytes]:
    assert {row.session for row in rows} <= {session}
    return [encode(replace(row, session=""), 1) for row in rows]


@given(cases())
def test_rows_are_those_of_an_oracle_that_sees_all_panes_at_once(case):
    device = Device(runs(case.state)).feed(*case.rows)
    assert exact(device.windows, "run") == exact(oracle(case), "")


@given(cases())
def test_storing_the_state_at_every_pane_changes_no_byte(case):
    live = Device(runs(case.state)).feed(*case.rows)
    stored = Device(runs(case.state), stored=True).feed(*case.rows)
    assert stored.windows == live.windows
    assert stored.store.pieces == {k: v for k, v in live.state.changed() if v is not None}


def bounds(device: Device) -> list[tuple[str, int, int, int]]:
    return [
        (w.metric, w.window_start // MINUTE, w.window_end // MINUTE, w.count)
        for w in device.windows
    ]


def day(running: list[float | None], **others: float) -> Rows:
    """Minutes of a device; None where the state is not told."""
    return [
        (metric, minute(index, value))
        for index, state in enumerate(running)
        for metric, value in sorted({**others, "running": state}.items())
        if value is not None
    ]


def test_a_run_is_a_row_for_each_metric_once_the_stop_has_lasted_for_the_gap():
    rows = day([0] * 5 + [1] * 20 + [0] * 12, temperature=20, before=1)
    device = Device(runs()).feed(*rows)
    assert bounds(device) == [("before", 5, 25, 20), ("temperature", 5, 25, 20)]
    assert [w.session for w in device.windows] == ["run", "run"]
    early = Device(runs()).feed(*(row for row in rows if row[1].pane_end < 35 * MINUTE))
    assert early.windows == []


def test_a_stop_shorter_than_the_gap_is_part_of_the_run():
    device = Device(runs()).feed(*day([0, 1] + [0] * 9 + [1] + [0] * 10, temperature=20))
    assert bounds(device) == [("temperature", 1, 12, 11)]
    device = Device(runs()).feed(*day([0, 1] + [0] * 10 + [1] + [0] * 10, temperature=20))
    assert bounds(device) == [("temperature", 1, 2, 1), ("temperature", 12, 13, 1)]


def test_a_state_that_is_told_only_when_it_changes_lasts_until_then():
    running = [0, None, None, 1, *[None] * 60, 0, *[None] * 20]
    device = Device(runs()).feed(*day(running, temperature=20, before=1))
    assert bounds(device) == [("before", 3, 64, 61), ("temperature", 3, 64, 61)]


def test_a_run_ends_by_the_devices_own_time_though_its_state_falls_silent():
    device = Device(runs()).feed(*day([0, 1, 0], temperature=20))
    device.feed(*[("other", minute(index, 1.0)) for index in range(3, 12)])
    assert device.windows == []
    # From a pane that ends at 13 on, nothing of the state can come that begins before 12.
    device.feed(("other", minute(12, 1.0)))
    assert bounds(device) == [("temperature", 1, 2, 1)]


def test_a_device_that_never_tells_its_state_costs_nothing():
    device = Device(runs(), stored=True)
    device.feed(*[("temperature", minute(index, 1.0)) for index in range(50)])
    assert (device.windows, device.store.pieces) == ([], {})


def test_what_is_remembered_does_not_grow_with_the_run():
    device = Device(runs(), stored=True).feed(*day([0] + [1] * 100, before=1.5, temperature=20.5))
    small = sum(map(len, device.store.pieces.values()))
    device.feed(*[
        (metric, minute(index, 1.5)) for index in range(101, 2000)
        for metric in ("before", "running", "temperature")
    ])  # fmt: skip
    assert sum(map(len, device.store.pieces.values())) < small + 40


def test_a_session_that_means_something_else_begins_anew():
    device = Device(runs()).feed(*day([0] + [1] * 5, temperature=20))
    device.engine = Device(runs(gap="5m")).engine
    device.feed(*[
        (metric, minute(index, value)) for index in range(6, 15)
        for metric, value in (("running", float(index < 8)), ("temperature", 20.0))
    ])  # fmt: skip
    assert bounds(device) == [("temperature", 6, 8, 2)]


def test_sessions_are_of_the_devices_they_match():
    assert (
        Device(runs(more="device: other.*")).feed(*day([0, 1] + [0] * 20, before=1)).windows == []
    )


def test_the_panes_of_a_state_are_no_longer_than_those_it_decides():
    with_rule = asking(
        """
        sessions:
          - {name: a, gap: 15m, of: [before, "temp*"], while: {metric: running, op: ">=", value: 1}}
          - {name: b, gap: 5s, of: aux, while: {metric: temp, op: "<=", value: 1}}
        """
    )
    sizes = dict(pair.split("=") for pair in pane_sizes(with_rule).split(","))
    assert {name: int(ms) for name, ms in sizes.items()} == {
        "aux": 5000, "temp": 5000, "before": 15 * MINUTE, "running": 5000,
        "nothing_at_all": DAY, "*": 15 * MINUTE,
    }  # fmt: skip
    assert all(HOUR % int(ms) == 0 for ms in sizes.values() if int(ms) < HOUR)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("name: Run, gap: 5m, of: a, while: {metric: r, op: '>=', value: 1}", "sessions[0].name"),
        ("name: run, gap: 0s, of: a, while: {metric: r, op: '>=', value: 1}", "got 0ms"),
        ("name: run, gap: 5m, of: a, while: {metric: 'r*', op: '>=', value: 1}", "one metric"),
        ("name: run, gap: 5m, of: a, while: {metric: r, op: '>', value: 1}", "while.op"),
        ("name: run, gap: 5m, of: a, wile: {metric: r, op: '>=', value: 1}", "did you mean"),
        ("name: run, gap: 5m, of: '', while: {metric: r, op: '>=', value: 1}", "sessions[0].of"),
    ],
)
def test_what_is_no_session_is_refused_with_its_line(entry, told):
    with pytest.raises(ConfigError) as refused:
        asking(f"sessions:\n  - {{{entry}}}")
    assert "test.yaml:3: " in str(refused.value)
    assert told in str(refused.value)


def test_two_sessions_of_one_name_are_refused():
    one = "{name: run, gap: 5m, of: a, while: {metric: r, op: '>=', value: 1}}"
    with pytest.raises(ConfigError, match=r"test.yaml:4: sessions\[1\].name: 'run' is there twice"):
        asking(f"sessions:\n  - {one}\n  - {one}")


def test_the_oracle_itself_joins_what_is_less_than_the_gap_apart():
    state = [minute(0, 1.0), minute(1, 0.0), minute(10, 1.0), minute(11, 0.0), minute(21, 1.0)]
    spans = list(_spans(state))
    assert [(s.start // MINUTE, s.end // MINUTE) for s in spans] == [(0, 11), (21, 22)]
    assert all(a.end <= b.start for a, b in pairwise(spans))
