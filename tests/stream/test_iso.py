"""Limits by ISO 10816-3, and what is told of the standard."""

from itertools import pairwise

import pytest
from click.testing import CliRunner
from rule_builders import OF, pane

from schemas.config import ConfigError
from stream.device_state import DeviceState
from stream.engine import Engine
from stream.iso import ZONES
from stream.lifecycle import Hold
from stream.rules import parse_rules
from stream.rules_cli import rules as command

# The table as published for 10816-3:2009, A/B B/C C/D in mm/s RMS.
PUBLISHED = {
    (1, "rigid"): (2.3, 4.5, 7.1),
    (1, "flexible"): (3.5, 7.1, 11.0),
    (2, "rigid"): (1.4, 2.8, 4.5),
    (2, "flexible"): (2.3, 4.5, 7.1),
}
LEVELS = ("INFO", "WARNING", "CRITICAL")


def text(group=2, support="rigid", *, compare="{op: '>=', to: value}", severities=None):
    each = severities or ", ".join(f"{{level: {level}, for: 2}}" for level in LEVELS)
    return f"""\
version: 1
baselines:
  first: {{kind: frozen, learn_for: 15m}}
rules:
  - name: zone
    match: {{metric: temperature}}
    window: {{size: 15m, slide: 15m}}
    aggregate: mean
    compare: {compare}
    iso: {{standard: "10816-3", group: {group}, support: {support}}}
    severities: [{each}]
"""


@pytest.mark.parametrize(("group", "support"), PUBLISHED)
def test_zones_are_those_published_and_delays_the_rule_s(group, support):
    (rule,) = parse_rules(text(group, support)).rules
    assert tuple(ZONES[group, support]) == PUBLISHED[group, support]
    assert [each.shown_enter for each in rule.severities] == list(PUBLISHED[group, support])
    assert [each.level for each in rule.severities] == list(LEVELS)
    for each in rule.severities:
        assert each.shown_exit == pytest.approx(0.9 * each.shown_enter)
        assert each.delay == Hold(count=2)
    assert all(low.exit < high.exit for low, high in pairwise(rule.severities))


def test_a_value_on_a_boundary_is_of_the_lower_zone():
    engine = Engine(parse_rules(text(severities="{level: WARNING}")))
    for value, events in ((2.8, []), (2.800001, ["FIRED"])):
        alerts = engine.on_pane(DeviceState(), *OF, pane(0, value)).alerts
        assert [each.event for each in alerts] == events
        assert all(each.threshold_enter == 2.8 for each in alerts)


def test_a_change_of_a_quarter_of_the_boundary_is_criterion_ii():
    of_change = "{op: '>=', to: offset, baseline: first}"
    (rule,) = parse_rules(text(1, compare=of_change, severities="{level: WARNING}")).rules
    assert rule.severities[0].shown_enter == 0.25 * 4.5


def test_an_exit_may_be_said():
    (rule,) = parse_rules(text(severities="{level: WARNING, exit: 2.5}")).rules
    assert (rule.severities[0].shown_enter, rule.severities[0].shown_exit) == (2.8, 2.5)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (text(3), "my.yaml:10: rules[0].iso.group: expected one of 1, 2, got 3"),
        (text(2, "rigit"), 'my.yaml:10: rules[0].iso.support: expected one of rigid, flexible, got \'rigit\'; did you mean "rigid"?'),
        (text().replace("10816-3", "20816-3"), "my.yaml:10: rules[0].iso.standard: expected one of 10816-3, got '20816-3'"),
        (text(severities="{level: WARNING, enter: 3}"), "my.yaml:11: rules[0].severities[0].enter: is what iso says; leave one of them out"),
        (text(severities="{level: WARNING, exit: 3}"), "my.yaml:11: rules[0].severities[0].exit: 3 is on the wrong side of enter"),
        (text(compare="{op: '<=', to: value}"), 'my.yaml:10: rules[0].iso: has limits for ">=" of the value, or of its offset from a baseline; not for "<=" of value'),
        (text(compare="{op: '>=', to: ratio, baseline: first}"), 'my.yaml:10: rules[0].iso: has limits for ">=" of the value'),
        (text(compare="{op: '>=', to: offset, baseline: first}", severities="{level: CRITICAL}"), "my.yaml:11: rules[0].severities[0].level: of a change, iso says WARNING only"),
        (text().replace('    iso: {standard: "10816-3", group: 2, support: rigid}\n', ""), "my.yaml:10: rules[0].severities[0].enter: missing; it has no default"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line(wrong, told):
    with pytest.raises(ConfigError) as refused:
        parse_rules(wrong, "my.yaml")
    assert told in str(refused.value)


def test_check_names_the_standard_its_edition_and_what_supersedes_it(tmp_path):
    path = tmp_path / "zone.yaml"
    path.write_text(text())
    done = CliRunner().invoke(command, ["check", str(path)])
    assert done.exit_code == 0
    assert "limits of ISO 10816-3:2009, group 2, rigid support, mm/s RMS;" in done.stdout
    assert "ISO 20816-3:2022 supersedes it and merges zones A and B" in done.stdout
