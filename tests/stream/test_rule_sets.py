"""Pushed rules: which set holds for a window, and what becomes of what was going on."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rule_builders import HOUR, MINUTE, PANE, Store, limit, pane, rules

from schemas.records import Alert, RuleSet, WindowFeatures
from stream.engine import Engine
from stream.pane_sizes import beyond, pane_sizes
from stream.panes import Pane
from stream.rule_sets import Dated, Engines, Refused, admitted, in_turn, text_digest

OF = ("plant.pump", "temperature", "plant", None)
LOW = limit("[{level: WARNING, enter: 10}]")
HIGH = limit("[{level: WARNING, enter: 50}]")
TEXT = """version: 1
rules:
  - name: hot
    match: {metric: temperature}
    window: {size: 15m, slide: 15m}
    aggregate: mean
    compare: {op: ">=", to: value}
    severities: [{level: WARNING, enter: 80}]
"""


def run(
    engines: Engines | Engine, panes: Sequence[Pane], metric: str = "temperature"
) -> tuple[list[WindowFeatures], list[Alert]]:
    store, windows, alerts = Store(), list[WindowFeatures](), list[Alert]()
    for each in panes:
        state = store.load()
        made = engines.on_pane(state, "plant.pump", metric, "plant", None, each)
        store.keep(state)
        windows += made.windows
        alerts += made.alerts
    return windows, alerts


def published(version: int, from_ms: int, text: str = TEXT) -> RuleSet:
    return RuleSet(version=version, effective_from=from_ms, sha256=text_digest(text), text=text)


def test_a_set_holds_from_its_time_on_and_a_later_version_replaces_one_that_is_to_come() -> None:
    sets = [Dated(v, at, LOW) for v, at in ((0, 0), (1, 100), (2, 300), (3, 200), (4, 200))]
    assert [(each.version, each.from_ms) for each in in_turn(sets)] == [(0, 0), (1, 100), (4, 200)]


def test_the_window_that_ends_at_the_time_is_the_first_of_the_new_rules() -> None:
    engines = Engines(HIGH)
    engines.know(Dated(1, 4 * PANE, LOW))
    _, alerts = run(engines, [pane(i, 20.0) for i in range(8)])
    assert [(each.event, each.window_end // PANE) for each in alerts] == [("FIRED", 4)]
    assert engines.version_at(4 * PANE - 1) == 0
    assert engines.version_at(4 * PANE) == 1


def test_an_alert_of_a_rule_that_changed_ends_where_the_new_rules_begin() -> None:
    engines = Engines(LOW)
    engines.know(Dated(1, 4 * PANE, HIGH))
    _, alerts = run(engines, [pane(i, 20.0) for i in range(8)])
    assert [(each.event, each.resolve_reason, each.emitted_at // PANE) for each in alerts] == [
        ("FIRED", None, 1),
        ("RESOLVED", "RULE_CHANGED", 4),
    ]


def test_what_ended_in_a_gap_before_the_change_is_decided_by_the_rules_of_then() -> None:
    """The pane after the gap is the first word of the time before it."""
    long = "{size: 1h, slide: 15m}"
    engines = Engines(limit("[{level: WARNING, enter: 10}]", window=long))
    engines.know(Dated(1, 7 * PANE, limit("[{level: CRITICAL, enter: 10}]", window=long)))
    fed = [pane(i, 5.0) for i in range(4)] + [pane(4, 40.0), pane(12, 40.0)]
    windows, alerts = run(engines, fed)
    assert [each.window_end // PANE for each in windows] == [1, 2, 3, 4, 5, 6, 7, 8, 13]
    assert [(a.event, a.severity, a.window_end // PANE, a.emitted_at // PANE) for a in alerts] == [
        ("FIRED", "WARNING", 5, 5),
        ("RESOLVED", "WARNING", 5, 13),
        ("FIRED", "CRITICAL", 7, 7),
    ]


MACHINE = """
- name: hot
  match: {metric: temperature}
  when: {metric: vibration, op: ">=", value: 1}
  window: {size: 15m, slide: 15m}
  aggregate: mean
  compare: {op: ">=", to: value}
  severities: [{level: %s, enter: 10}]
"""


def test_panes_that_wait_for_the_machines_state_are_taken_by_the_rules_of_their_end() -> None:
    engines = Engines(rules(MACHINE % "WARNING"))
    engines.know(Dated(1, 3 * PANE, rules(MACHINE % "CRITICAL")))
    store, alerts = Store(), list[Alert]()
    fed = [
        ("temperature", pane(0, 20.0)),
        ("vibration", pane(0, 2.0)),
        ("temperature", pane(1, 20.0)),  # waits for the state, which comes late
        ("vibration", pane(3, 2.0)),
        ("temperature", pane(4, 20.0)),
    ]
    for metric, each in fed:
        state = store.load()
        alerts += engines.on_pane(state, "plant.pump", metric, "plant", None, each).alerts
        store.keep(state)
    assert [(each.event, each.severity, each.window_end // PANE) for each in alerts] == [
        ("FIRED", "WARNING", 2)
    ]


@st.composite
def pushes(draw: st.DrawFn) -> list[Dated]:
    """Sets in the order of the topic, each with the event time before which it must be known."""
    count = draw(st.integers(1, 4))
    limits = (10, 20, 30, 40)
    return [
        Dated(
            version,
            draw(st.integers(0, 30)) * 5 * MINUTE,
            limit(
                f"[{{level: WARNING, enter: {draw(st.sampled_from(limits))}}}]",
                window=draw(st.sampled_from(("{size: 15m, slide: 15m}", "{size: 1h, slide: 15m}"))),
            ),
        )
        for version in range(1, count + 1)
    ]


@given(
    sets=pushes(),
    values=st.lists(st.sampled_from((None, 5.0, 15.0, 25.0, 35.0, 45.0)), min_size=1, max_size=12),
    data=st.data(),
)
@settings(max_examples=150, deadline=None)
def test_whenever_a_worker_hears_of_a_set_in_time_it_decides_alike(
    sets: list[Dated], values: list[float | None], data: st.DataObject
) -> None:
    panes = [pane(i, value) for i, value in enumerate(values) if value is not None]
    known = Engines(HIGH)
    for each in sets:
        known.know(each)
    told = run(known, panes)
    worker, store = Engines(HIGH), Store()
    windows, alerts, waiting = list[WindowFeatures](), list[Alert](), list(sets)
    for each in panes:
        # In time: before the first pane that ends when it holds. Those before it come first.
        due = [i for i, one in enumerate(waiting) if one.from_ms <= each.pane_end]
        count = max(max(due, default=-1) + 1, data.draw(st.integers(0, len(waiting))))
        for one in waiting[:count]:
            worker.know(one)
        del waiting[:count]
        state = store.load()
        made = worker.on_pane(state, *OF, each)
        store.keep(state)
        windows += made.windows
        alerts += made.alerts
    assert (windows, alerts) == told


@given(
    values=st.lists(st.sampled_from((None, 5.0, 15.0, 60.0)), min_size=1, max_size=14),
    change=st.integers(0, 14 * 3),
)
@settings(max_examples=150, deadline=None)
def test_before_the_change_all_is_as_if_there_were_none(
    values: list[float | None], change: int
) -> None:
    panes = [pane(i, value) for i, value in enumerate(values) if value is not None]
    at = change * 5 * MINUTE
    old = limit("[{level: WARNING, enter: 10}]", window="{size: 1h, slide: 15m}")
    engines = Engines(old)
    engines.know(Dated(1, at, HIGH))
    windows, alerts = run(engines, panes)
    alone = Engine(old)
    old_windows, old_alerts = run(alone, panes)
    assert [each for each in alerts if each.emitted_at < at] == [
        each for each in old_alerts if each.emitted_at < at
    ]
    # Its windows are longer than the new ones, so those across a gap tell which rules made them.
    assert [each for each in windows if each.window_end < at] == [
        each for each in old_windows if each.window_end < at
    ]


def test_the_same_rules_pushed_again_change_nothing() -> None:
    values = [5.0, 20.0, 20.0, 70.0, 70.0, 5.0, 5.0, 60.0]
    engines = Engines(LOW)
    engines.know(Dated(1, 3 * PANE, LOW))
    assert run(engines, [pane(i, x) for i, x in enumerate(values)]) == run(
        Engine(LOW), [pane(i, x) for i, x in enumerate(values)]
    )


def test_a_set_is_taken_when_it_is_in_time_and_whole() -> None:
    taken = admitted(published(4, HOUR), HOUR - 1, 3, "*=900000")
    assert (taken.version, taken.from_ms, len(taken.rules.rules)) == (4, HOUR, 1)


@pytest.mark.parametrize(
    ("given_", "appended", "newest", "why"),
    [
        (published(3, HOUR), 0, 3, "version 3 comes behind version 3"),
        (published(4, HOUR), HOUR, 3, "reached the topic at 3600000"),
        (RuleSet(version=4, effective_from=HOUR, sha256="0", text=TEXT), 0, 3, "not the text"),
        (published(4, HOUR, TEXT.replace("mean", "meen")), 0, 3, "version 4:6"),
        (
            published(4, HOUR, TEXT.replace("15m", "1m")),
            0,
            3,
            "temperature: panes of 900 s, and the rules need 60 s",
        ),
    ],
)
def test_a_set_that_cannot_be_taken_is_refused_and_says_why(
    given_: RuleSet, appended: int, newest: int, why: str
) -> None:
    with pytest.raises(Refused, match=why):
        admitted(given_, appended, newest, "temperature=900000,*=3600000")


@pytest.mark.parametrize(
    ("metric", "slide", "panes", "fits"),
    [
        ("temperature", "15m", "temperature=900000,*=3600000", True),
        ("temperature", "30m", "temperature=900000,*=3600000", True),
        ("temperature", "5m", "temperature=900000,*=3600000", False),
        ("pressure", "5m", "temperature=300000,*=3600000", False),
        ("pressure", "1h", "temperature=300000,*=3600000", True),
        ("'*'", "15m", "temperature=900000,*=3600000", False),
        ("'*'", "15m", "temperature=3600000,*=900000", False),
        ("'*'", "15m", "temperature=300000,*=900000", True),
        ("'temp*'", "15m", "pressure=3600000,*=900000", True),
    ],
)
def test_rules_go_into_panes_that_divide_their_slides(
    metric: str, slide: str, panes: str, *, fits: bool
) -> None:
    asked = limit(
        "[{level: WARNING, enter: 1}]", window=f"{{size: 1h, slide: {slide}}}", metric=metric
    )
    assert (beyond(panes, asked) == []) == fits


def test_rules_always_go_into_their_own_panes() -> None:
    assert beyond(pane_sizes(LOW), LOW) == []
