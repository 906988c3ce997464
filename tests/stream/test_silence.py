"""Metrics that fall silent: noticed by the panes of the others, or when they speak again."""

import itertools

import pytest
from device_runs import Device, Rows, quarter
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from rule_builders import MINUTE, PANE, pane, rules

from schemas.records import Alert


def listening(after: str = "1h", more: str = "", keep: str = "0s") -> Device:
    return Device(
        rules(
            f"""
            - name: sensor
              match: {{metric: "*"}}
              checks: {{no_data: {{after: {after}}}}}
              every: 15m
              keep_firing_for: {keep}
              {more}
            """
        ),
        stored=True,
    )


def told(device: Device) -> list[tuple[str, float, str]]:
    """What happened, when it says so in quarters of an hour, and to which metric."""
    return [(a.event, a.emitted_at / PANE, a.metric) for a in device.alerts]


def test_a_silent_metric_is_noticed_while_its_device_goes_on():
    device = listening()
    device.feed(*quarter(0, None, a=1, b=1), *quarter(1, None, a=1, b=1))
    for index in (2, 3, 4, 5):
        device.feed(*quarter(index, None, a=1))
    # Patience ends at the start of quarter 5, whose pane of b may come behind that of a.
    assert device.alerts == []
    device.feed(*quarter(6, None, a=1))
    assert told(device) == [("FIRED", 5, "b")]
    (alert,) = device.alerts
    assert (alert.starts_at, alert.window_start, alert.sample_count) == (5 * PANE, PANE, 0)
    assert (alert.rule, alert.labels, alert.category) == (
        "sensor_no_data", {"check": "no_data"}, "SENSOR_HEALTH",
    )  # fmt: skip
    device.feed(*quarter(7, None, a=1, b=1))
    assert told(device)[1:] == [("RESOLVED", 8, "b")]
    assert device.alerts[1].value == 6 * PANE / 1000


def test_a_device_that_was_silent_as_a_whole_says_so_of_each_metric_when_it_is_back():
    device = listening()
    device.feed(*quarter(0, None, a=1, b=1), *quarter(10, None, a=1, b=1))
    assert sorted(told(device)) == [
        ("FIRED", 4, "a"), ("FIRED", 4, "b"), ("RESOLVED", 11, "a"), ("RESOLVED", 11, "b"),
    ]  # fmt: skip


def test_silence_of_just_so_long_is_none():
    device = listening()
    device.feed(*quarter(0, None, a=1), *quarter(4, None, a=1))
    assert device.alerts == []


def test_a_metric_with_longer_panes_is_not_silent_before_its_pane_is_over():
    device = Device(
        rules(
            """
            - name: slow
              match: {metric: slow}
              checks: {no_data: {after: 1h}}
              every: 1h
            - name: quick
              match: {metric: quick}
              checks: {range: {hi: 9}}
              every: 1m
            """
        ),
        stored=True,
    )
    device.feed(("slow", pane(0, 1.0, size=60 * MINUTE)))
    for minute in range(60, 120):
        device.feed(("quick", pane(minute, 1.0, size=MINUTE)))
    # Readings of the second hour come with the pane that ends with it.
    assert device.alerts == []
    device.feed(("slow", pane(1, 1.0, size=60 * MINUTE)))
    for minute in range(120, 300):
        device.feed(("quick", pane(minute, 1.0, size=MINUTE)))
    assert [(a.event, a.starts_at // MINUTE) for a in device.alerts] == [("FIRED", 120)]


def test_an_alert_of_silence_that_is_over_only_shortly_stays_the_same_alert():
    device = listening(keep="2h")
    device.feed(*quarter(0, None, a=1, b=1))
    for index in range(1, 20):
        device.feed(*quarter(index, None, a=1, **({"b": 1.0} if index == 9 else {})))
    assert told(device) == [("FIRED", 4, "b")]
    for index in range(20, 40):
        device.feed(*quarter(index, None, a=1, b=1))
    assert told(device)[1:] == [("RESOLVED", 28, "b")]


def test_usual_intervals_are_learned_before_anything_is_said():
    device = listening("5x")
    for index in range(0, 24, 4):
        device.feed(*quarter(index, None, a=1))
    device.feed(*quarter(60, None, a=1))
    assert told(device) == [("FIRED", 20 + 20, "a"), ("RESOLVED", 61, "a")]


def test_a_metric_that_no_rule_listens_for_is_never_silent():
    device = Device(
        rules(
            """
            - name: sensor
              match: {metric: a}
              checks: {no_data: {after: 1h}}
              every: 15m
            """
        )
    )
    for index in range(20):
        device.feed(*quarter(index, None, a=1, **({"b": 1.0} if index < 3 else {})))
    assert device.alerts == []


def test_silence_of_a_machine_that_does_not_run_is_none():
    device = listening(more='when: {metric: running, op: ">=", value: 0.5}')
    device.feed(*quarter(0, 0, a=1))
    for index in range(1, 20):
        device.feed(*quarter(index, running=0 if index < 10 else 1))
    # It runs from quarter 10 on: only from there it may be missed.
    assert told(device) == [("FIRED", 14, "a")]


def test_no_data_of_a_process_rule_raises_an_alert_or_ends_the_open_one():
    def body(action: str) -> Device:
        return Device(
            rules(
                f"""
                - name: hot
                  match: {{metric: a}}
                  window: {{size: 15m, slide: 15m}}
                  aggregate: mean
                  compare: {{op: ">=", to: value}}
                  severities: [{{level: CRITICAL, enter: 50}}]
                  no_data: {{after: 1h, action: {action}}}
                """
            ),
            stored=True,
        ).feed(
            *quarter(0, None, a=99),
            *quarter(1, None, a=99, b=1),
            *quarter(20, None, b=1),
            *quarter(21, None, b=1),
        )

    assert [(a.event, a.rule, a.severity) for a in body("alert").alerts] == [
        ("FIRED", "hot", "CRITICAL"), ("FIRED", "hot_no_data", "CRITICAL"),
    ]  # fmt: skip
    (fired, ended) = body("resolve").alerts
    assert (ended.alert_id, ended.event, ended.resolve_reason) == (
        fired.alert_id, "RESOLVED", "NO_DATA",
    )  # fmt: skip
    assert ended.ends_at == 5 * PANE
    assert [a.event for a in body("keep").alerts] == ["FIRED"]
    # Back again, what is still hot fires anew, and nothing is said of the silence.
    again = body("resolve").feed(*quarter(22, None, a=99))
    assert [(a.event, a.rule) for a in again.alerts[2:]] == [("FIRED", "hot")]


@pytest.mark.parametrize("said", ["ignore", "{after: 1h, action: ignore}"])
def test_silence_that_a_process_rule_ignores_is_nothing_to_sensors_rules_either(said: str):
    def body(no_data: str) -> Device:
        return Device(
            rules(
                f"""
                - name: sensor
                  match: {{metric: "*"}}
                  checks: {{no_data: {{after: 1h}}, range: {{hi: 1000}}}}
                  every: 15m
                - name: hot
                  match: {{metric: a}}
                  window: {{size: 15m, slide: 15m}}
                  aggregate: mean
                  compare: {{op: ">=", to: value}}
                  severities: [{{level: CRITICAL, enter: 50}}]
                  no_data: {no_data}
                - name: cold
                  match: {{metric: a}}
                  window: {{size: 15m, slide: 15m}}
                  aggregate: mean
                  compare: {{op: "<=", to: value}}
                  severities: [{{level: INFO, enter: -50}}]
                  no_data: {{after: 3h, action: alert}}
                """
            ),
            stored=True,
        ).feed(
            *quarter(0, None, a=99, b=1),
            *quarter(20, None, c=1),
            *quarter(21, None, a=9999, c=1),
        )

    def fired(device: Device) -> list[tuple[str, float, str]]:
        return sorted((a.rule, a.starts_at / PANE, a.metric) for a in device.alerts if a.seq == 0)

    told_anyway = [
        ("cold_no_data", 12, "a"),  # it says so itself
        ("hot", 1, "a"),
        ("sensor_no_data", 4, "b"),  # of another metric
        ("sensor_range", 22, "a"),  # not about silence
    ]
    assert fired(body(said)) == told_anyway
    assert fired(body("keep")) == sorted([*told_anyway, ("sensor_no_data", 4, "a")])
    # The alert that was open stays as it was, and is no other when the metric is back.
    own = [a.event for a in body(said).alerts if a.rule == "hot"]
    assert own == ["FIRED"]


def marker(upto: int) -> Rows:
    """What a gateway says for a device that is quiet: it has spoken up to that quarter's start."""
    return [("", pane(0, size=upto * PANE))]


def test_a_device_that_is_silent_as_a_whole_is_noticed_by_its_gateways_markers():
    device = listening().feed(*quarter(0, None, a=1, b=1), *marker(4))
    assert device.alerts == []  # a reading of just then would not be late
    device.feed(*marker(5))
    assert told(device) == [("FIRED", 4, "a"), ("FIRED", 4, "b")]
    device.feed(*marker(50), *quarter(60, None, a=1, b=1))
    assert told(device)[2:] == [("RESOLVED", 61, "a"), ("RESOLVED", 61, "b")]
    assert device.windows == []


def test_a_marker_says_the_same_as_the_next_reading_would():
    readings = [*quarter(0, None, a=1, b=1), *quarter(60, None, a=1, b=1)]
    without = listening().feed(*readings)
    marked = listening().feed(*readings[:2], *marker(3), *marker(9), *marker(30), *readings[2:])
    assert sorted(marked.alerts, key=str) == sorted(without.alerts, key=str)


def test_where_panes_wait_for_a_state_a_marker_says_nothing():
    device = listening(more='when: {metric: running, op: ">=", value: 0.5}')
    device.feed(*quarter(0, a=1), *quarter(1, None, a=1))
    device.feed(*marker(50))
    assert device.alerts == []
    device.feed(*quarter(2, a=1), *marker(50))
    assert [(a.event, a.metric) for a in device.alerts] == [("FIRED", "a"), ("FIRED", "running")]


def test_without_rules_on_silence_a_marker_is_nothing():
    device = Device(rules("- {name: s, match: {metric: a}, checks: {range: {hi: 9}}}"), stored=True)
    device.feed(*marker(50))
    assert (device.alerts, device.store.pieces) == ([], {})


HEARD = st.lists(
    st.fixed_dictionaries({"a": st.booleans(), "b": st.booleans(), "c": st.booleans()}),
    min_size=1,
    max_size=60,
)


def rows(heard: list[dict[str, bool]]) -> Rows:
    return [
        row
        for index, who in enumerate(heard)
        for row in quarter(index, None, **{name: 1.0 for name, there in who.items() if there})
    ]


@settings(max_examples=60)
@given(HEARD)
def test_every_silence_is_told_once_from_when_patience_ends_and_ends_with_the_next_reading(heard):
    device = listening().feed(*rows(heard))
    known_to = max((i for i, who in enumerate(heard) if any(who.values())), default=0)
    for metric in "abc":
        spoke = [index for index, who in enumerate(heard) if who[metric]]
        ended = [(a, b) for a, b in itertools.pairwise(spoke) if b - a > 4]
        expected = [pair for a, b in ended for pair in (("FIRED", a + 4), ("RESOLVED", b + 1))]
        if spoke and known_to - spoke[-1] > 4:
            expected.append(("FIRED", spoke[-1] + 4))
        own = [a for a in device.alerts if a.metric == metric]
        assert [(a.event, a.emitted_at / PANE) for a in own] == expected


@settings(max_examples=30)
@given(HEARD)
def test_whoever_notices_it_the_alert_is_the_same(heard):
    def of_a(found: list[Alert]) -> list[Alert]:
        return [replace(alert, first_out=False) for alert in found if alert.metric == "a"]

    # Alone, a metric notices its own silence when it is over.
    alone = listening().feed(*rows([{"a": who["a"]} for who in heard]))
    together = listening().feed(*rows(heard))
    # All but which of the device's alerts came first, of which alone there are no others.
    assert of_a(alone.alerts) == of_a(together.alerts)[: len(alone.alerts)]


def test_nothing_is_kept_of_silence_where_no_rule_listens():
    device = Device(
        rules(
            """
            - name: sensor
              match: {metric: "*"}
              checks: {range: {hi: 9}}
              every: 15m
            """
        ),
        stored=True,
    ).feed(*quarter(0, None, a=1))
    assert set(device.store.pieces) == {"series:a"}


@pytest.mark.parametrize("count", [1, 40])
def test_the_state_of_the_device_itself_does_not_grow_with_its_metrics(count):
    device = listening()
    for index in range(6):
        device.feed(*quarter(index, None, **{f"m{i}": 1.0 for i in range(count)}))
    assert len(device.store.pieces["device"]) < 20
