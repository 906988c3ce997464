"""`tidegate rules`: what needs nothing but the rule file."""

import json

import click
import msgspec

from schemas.amounts import told_ms
from stream.compounds_told import compound_costs, compound_lines
from stream.conditions import When
from stream.derive_cli import derive, made_of, suggest
from stream.fit_cli import fit
from stream.iso import told as standard
from stream.pane_sizes import named, pane_ms, pane_sizes
from stream.rule import Rule, Rules
from stream.rule_schema import rule_schema
from stream.rules import load_rules
from stream.rules import packs as shipped
from stream.sensor_told import told as found
from stream.state_size import MINUTE_MS, panes_of, rule_bytes, sensor_bytes

_rules = click.argument("rules")


@click.group()
def rules() -> None:
    """Check rule files and try them on recorded data.

    RULES is a YAML file or the name of a shipped pack.
    """


@rules.command()
@_rules
@click.option("--json", "as_json", is_flag=True, help="One JSON object: costs by rule, and panes.")
def check(rules: str, *, as_json: bool) -> None:
    """Say what is wrong with RULES, or what they cost."""
    loaded = load_rules(rules)
    if as_json:
        told = {
            "rules": [_costs(rule, loaded) for rule in loaded.rules],
            "over_rules": compound_costs(loaded),
            "rollups": msgspec.to_builtins(loaded.rollups),
            "sessions": msgspec.to_builtins(loaded.sessions),
            "panes": pane_sizes(loaded),
            "bytes_per_sensor_a_minute": sensor_bytes(loaded, MINUTE_MS),
        }
        click.echo(json.dumps(told))
        return
    for rule in loaded.rules:
        click.echo(_cost(rule, loaded))
    for made in loaded.derived:
        click.echo(made_of(made, loaded))
    for rollup in loaded.rollups:
        click.echo(f"roll-up of {told_ms(rollup.size_ms)}: {', '.join(rollup.match.metric)}")
    for session in loaded.sessions:
        state = session.state
        click.echo(
            f"session {session.name}: {', '.join(session.match.metric)}; while {state.metric} "
            f"{state.op} {state.value:g}, over after {told_ms(session.gap_ms)} without"
        )
    for line in compound_lines(loaded):
        click.echo(line)
    size = pane_ms(loaded)
    panes = ", ".join(f"{name} {told_ms(size(name))}" for name in (*named(loaded), "*"))
    click.echo(f"panes: {panes}")
    each = sensor_bytes(loaded, MINUTE_MS)
    click.echo(f"state: at most {each} bytes a sensor that reports every minute")


@rules.command()
def schema() -> None:
    """Print the JSON Schema of rule files, for editors of YAML."""
    click.echo(json.dumps(rule_schema(), indent=2))


@rules.command()
def packs() -> None:
    """List the shipped packs."""
    for name in shipped():
        click.echo(name)


def _costs(rule: Rule, loaded: Rules) -> dict[str, object]:
    """Return what a rule costs; lengths in seconds, bytes at most for each series."""
    pane = min(map(pane_ms(loaded), rule.match.metric))
    window = rule.window
    return {
        "rule": rule.name,
        "metrics": list(rule.match.metric),
        "window_s": window.size_ms // 1000,
        "slide_s": window.slide_ms // 1000,
        "panes": panes_of(rule, pane),
        "pane_s": pane // 1000,
        "bytes_per_series": rule_bytes(rule, pane),
        "condition": _condition(rule.when).removeprefix("; "),
    }


def _cost(rule: Rule, loaded: Rules) -> str:
    of, window = _costs(rule, loaded), rule.window
    pane = told_ms(min(map(pane_ms(loaded), rule.match.metric)))
    if rule.check is not None:
        return f"{found(rule)}; each pane of {pane}{_condition(rule.when)}"
    return (
        f"{rule.name}: {', '.join(rule.match.metric)}; window {told_ms(window.size_ms)} every "
        f"{told_ms(window.slide_ms)}; at most {of['panes']} panes of {pane}, "
        f"{of['bytes_per_series']} bytes a series{_condition(rule.when)}"
        f"{'' if rule.iso is None else '; ' + standard(rule.iso)}"
        f"{'; no sensor rule minds its silence' if rule.silence == 'ignored' else ''}"
    )


def _condition(when: When | None) -> str:
    if when is None:
        return ""
    if when.op is None:
        return f"; of devices without {when.metric}"
    held = f" for {told_ms(when.held_ms)}" if when.held_ms else ""
    return f"; while {when.metric} {when.op} {when.value:g}{held}"


for _command in (fit, derive, suggest):
    rules.add_command(_command)
