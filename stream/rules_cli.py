"""`tidegate rules`: what needs nothing but the rule file."""

import click

from stream.conditions import When
from stream.pane_sizes import pane_ms, pane_sizes
from stream.rule import Rule, Rules
from stream.rules import load_rules
from stream.rules import packs as shipped

_rules = click.argument("rules")


@click.group()
def rules() -> None:
    """Check rule files and try them on recorded data.

    RULES is a YAML file or the name of a shipped pack.
    """


@rules.command()
@_rules
def check(rules: str) -> None:
    """Say what is wrong with RULES, or what they cost."""
    loaded = load_rules(rules)
    for rule in loaded.rules:
        click.echo(_cost(rule, loaded))
    click.echo(f"panes: {pane_sizes(loaded)}")


@rules.command()
def packs() -> None:
    """List the shipped packs."""
    for name in shipped():
        click.echo(name)


def _cost(rule: Rule, loaded: Rules) -> str:
    size = pane_ms(loaded)
    pane = min(map(size, rule.match.metric))
    window = rule.window
    panes = max(window.size_ms, window.grow_to_ms) // pane
    return (
        f"{rule.name}: {', '.join(rule.match.metric)}; window {window.size_ms // 1000} s every "
        f"{window.slide_ms // 1000} s; at most {panes} panes of {pane // 1000} s, "
        f"{panes * _PANE_BYTES + _RULE_BYTES} bytes a series{_condition(rule.when)}"
    )


def _condition(when: When | None) -> str:
    if when is None:
        return ""
    if when.op is None:
        return f"; of devices without {when.metric}"
    held = f" for {when.held_ms // 1000} s" if when.held_ms else ""
    return f"; while {when.metric} {when.op} {when.value:g}{held}"


# Of a pane and of a rule's own memory as the job stores them, measured with times of today.
_PANE_BYTES = 150
_RULE_BYTES = 80
