"""The JSON Schema of rule files says what reading them says, on the packs and on anything else."""

import copy
import json
from typing import Any

import jsonschema  # comes with Flink's Python packages
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from page_rules import shown

from schemas.config import ConfigError
from stream.rule_file import read_rule_file
from stream.rule_schema import rule_schema
from stream.rules import packs, rules_text
from stream.rules_cli import rules as command
from stream.yaml_lines import read_yaml

SCHEMA = json.loads(json.dumps(rule_schema()))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
SHOWN = shown()


def refused(value: Any) -> bool:
    return not VALIDATOR.is_valid(value)


def test_it_is_a_schema_and_the_command_prints_it():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(CliRunner().invoke(command, ["schema"]).stdout) == SCHEMA


@pytest.mark.parametrize("text", [*map(rules_text, packs()), SHOWN])
def test_packs_and_the_page_s_example_are_valid(text):
    value = read_yaml(text, "x").root
    VALIDATOR.validate(value)


def without(value: Any, *path: str | int) -> Any:
    value = copy.deepcopy(value)
    inner = value
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return value


def replaced(value: Any, new: Any, *path: str | int) -> Any:
    value = copy.deepcopy(value)
    inner = value
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = new
    return value


VALID = read_yaml(SHOWN, "x").root


@pytest.mark.parametrize(
    "value",
    [
        without(VALID, "version"),
        without(VALID, "rules", 0, "compare"),
        without(VALID, "baselines", "first", "learn_for"),
        replaced(VALID, 2, "version"),
        replaced(VALID, 1, "ruels"),
        replaced(VALID, "15", "rules", 0, "window", "slide"),
        replaced(VALID, 15, "rules", 0, "window", "slide"),
        replaced(VALID, "SEVERE", "rules", 0, "severities", 0, "level"),
        replaced(VALID, "frosen", "baselines", "first", "kind"),
        replaced(VALID, 5, "baselines", "first", "n0"),
        replaced(VALID, "five", "baselines", "slow", "n0"),
    ],
)
def test_mistakes_of_form_are_found(value):
    assert refused(value)


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [path] if path else []
    if isinstance(value, dict | list):
        items: Any = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            found += places(inner, (*path, key))
    return found


ODD = st.sampled_from(
    [None, True, 0, 1, 2.5, "", "5m", "1.5 h", "5 minutes", "frozen", "WARNING", ">=", [], ["a"], {}, {"a": 1}]
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(places(VALID)), ODD | st.just(...), st.booleans())
def test_the_schema_refuses_what_reading_refuses_and_nothing_else(path, new, renamed):
    if new is ...:
        value = without(VALID, *path)
        if renamed and isinstance(path[-1], str):
            value = replaced(value, 1, *path[:-1], f"{path[-1]}x")
    else:
        value = replaced(VALID, new, *path)
    try:
        read_rule_file(json.dumps(value, default=str), "x")
        wrong = False
    except ConfigError:
        wrong = True
    assert refused(value) == wrong


def test_costs_are_told_to_programs():
    answer = json.loads(CliRunner().invoke(command, ["check", "demo", "--json"]).stdout)
    first = answer["rules"][0]
    assert (first["rule"], first["metrics"], first["panes"]) == (
        "pump_vibration",
        ["vibration_rms"],
        4,
    )
    assert first["bytes_per_series"] == 4 * 150 + 80
    assert answer["panes"].endswith("*=3600000")
    when = json.loads(CliRunner().invoke(command, ["check", "rotating", "--json"]).stdout)
    assert when["rules"][0]["condition"] == "while running >= 0.5 for 90m"
    above = json.loads(CliRunner().invoke(command, ["check", "pump_sequence", "--json"]).stdout)
    assert above["over_rules"][1] == {
        "rule": "flow_fails",
        "meaning": "3 of shakes, heats_up, draws_less at the same time",
        "bytes_per_device": 240,
    }
