"""Rules for devices by what is known of them, at the time that is decided about."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_builders import PANE, pane, rules

from schemas.config import ConfigError
from schemas.records import Alert, Device
from stream.backtest import run
from stream.device_state import DeviceState
from stream.engine import Engine
from stream.fleet import Fleet
from stream.recorded import Series
from stream.rule import Rules
from stream.rule_sets import Engines
from stream.traits import Traits, interval_of, lacks
from stream.why_not import mismatch


def hot(match: str) -> Rules:
    return rules(
        f"""
        - name: hot
          match: {{metric: a, {match}}}
          window: {{size: 15m, slide: 15m}}
          aggregate: mean
          compare: {{op: ">=", to: value}}
          severities: [{{level: WARNING, enter: 50}}]
        """
    )


def known(*devices: Device) -> Fleet:
    fleet = Fleet()
    for each in devices:
        fleet.know(each)
    return fleet


def device(**of: Any) -> Device:
    return Device(**{"device_id": "d", "asset_id": "P-7", "site": "s"} | of)


PUMP = device(
    device_class="pump", iso_group="2", interval_ms=60_000, labels={"support": "rigid", "line": "3"}
)


@pytest.mark.parametrize(
    ("match", "meant"),
    [
        ("class: pump", True),
        ("class: [fan, 'pu*']", True),
        ("class: fan", False),
        ("asset: P-*", True),
        ("asset: P-8", False),
        ("labels: {iso_group: '2', support: rigid}", True),
        ("labels: {iso_group: '2', support: flexible}", False),
        ("labels: {nobody: '?*'}", False),
        ("interval: '<=1m'", True),
        ("interval: '<1m'", False),
        ("interval: '> 30s'", True),
        ("class: pump, site: s, interval: '<=10m'", True),
        ("class: pump, site: elsewhere", False),
    ],
)
def test_a_rule_is_for_devices_that_are_what_it_asks(match: str, meant: bool):
    series = [Series("d", "a", [(PANE // 2, 60.0), (PANE * 3 // 2, 60.0)], "s")]
    law = hot(match)
    assert bool(run(law, series, None, known(PUMP))) is meant
    assert (mismatch(law.rules[0], "d", "a", "s", PUMP) is None) is meant
    assert run(law, series) == [], "nothing is known of the device"
    assert "fleet add" in (mismatch(law.rules[0], "d", "a", "s") or "") or "elsewhere" in match


def test_a_device_that_says_no_interval_has_none():
    asked = Traits(interval=interval_of(">=1s"))
    assert lacks(asked, device()) == ["interval >=1s"]


def decided(engine: Engine | Engines, count: int) -> list[Alert]:
    state = DeviceState()
    made = (engine.on_pane(state, "d", "a", "s", None, pane(i, 60.0)) for i in range(count))
    return [alert for each in made for alert in each.alerts]


def test_what_a_device_is_counts_at_the_end_of_what_is_looked_at():
    fan = device(device_class="fan", valid_from=3 * PANE)
    engines = Engines(hot("class: pump"), known(PUMP, fan))
    told = [(a.event, a.emitted_at // PANE, a.resolve_reason) for a in decided(engines, 5)]
    assert told == [("FIRED", 1, None), ("RESOLVED", 3, "RULE_CHANGED")]


def test_a_record_that_comes_while_the_engine_runs_counts_from_there_on():
    fleet = known()
    engine = Engine(hot("class: pump"), fleet=fleet)
    assert decided(engine, 2) == []
    fleet.know(PUMP)
    assert [a.event for a in decided(engine, 2)] == ["FIRED"]


def test_rules_that_ask_nothing_of_devices_do_not_look_at_the_fleet():
    class Untouched(Fleet):
        def at(self, device_id: str, at: int) -> Device | None:
            raise AssertionError(device_id)

    assert [a.event for a in decided(Engine(hot("device: d"), fleet=Untouched()), 2)] == ["FIRED"]


@pytest.mark.parametrize(
    ("match", "said"),
    [
        ("interval: 10m", 'such as "<=10m"'),
        ("interval: '<=soon'", "a duration such as"),
        ("class: ''", "a text or a glob"),
        ("labels: {line: []}", "a text or a glob"),
        ("klass: pump", 'did you mean "class"'),
    ],
)
def test_what_cannot_be_is_refused(match: str, said: str):
    with pytest.raises(ConfigError) as refused:
        hot(match)
    assert said in str(refused.value)


@given(st.sampled_from(["<", "<=", ">", ">="]), st.integers(1, 99), st.sampled_from("smhd"))
def test_an_interval_is_told_as_it_is_written(op: str, number: int, unit: str):
    assert interval_of(interval_of(f"{op}{number}{unit}").told()) == interval_of(
        f"{op}{number}{unit}"
    )
