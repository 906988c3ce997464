"""What `rules check` says of rules over rules and of what holds rules back."""

from collections.abc import Iterator
from datetime import UTC, datetime

from stream.compound import Compound, Ordered, Step, Times, Votes
from stream.lifecycle import ORDER
from stream.patterns import MOST_TIMES
from stream.rule import Rules

_RULE_BYTES, _TIME_BYTES, _ALERT_BYTES = 60, 9, 60
"""Of a rule's own memory, of a step's time, and of an alert that stands, one of each rule."""


def compound_lines(rules: Rules) -> Iterator[str]:
    """Yield a line for each rule over rules, with its cost, and for each thing that holds back."""
    for each in rules.compounds:
        yield f"{each.name}: {_meaning(each)}; at most {_bytes(each)} bytes a device"
    for inhibit in rules.suppress.inhibits:
        yield f"no {_any(inhibit.rules)} begins while {_any(inhibit.if_firing)} has an alert"
    for pause in rules.suppress.pauses:
        whose = f"devices {', '.join(pause.device)} of sites {', '.join(pause.site)}"
        span = f"from {_time(pause.from_ms)} to {_time(pause.to_ms)}"
        yield f"planned work {span}: {', '.join(sorted(pause.rules))}, {whose}"


def compound_costs(rules: Rules) -> list[dict[str, object]]:
    """Return what rules over rules mean and cost; bytes at most for each device."""
    return [
        {"rule": each.name, "meaning": _meaning(each), "bytes_per_device": _bytes(each)}
        for each in rules.compounds
    ]


def _meaning(rule: Compound) -> str:
    match rule.of:
        case Votes(of):
            return f"{rule.severities[0].enter:g} of {', '.join(of)} at the same time"
        case Times(of, within):
            least = f"{rule.severities[0].enter:g} times"
            return f"{least} {_steps(of, ' or ')} within {within / 1000:g} s"
        case Ordered(steps, within, without):
            absent = f", none of {_steps(without, ', ')} between" if without else ""
            return f"{_steps(steps, ', then ')} within {within / 1000:g} s{absent}"


def _steps(steps: tuple[Step, ...], between: str) -> str:
    return between.join(
        f"{step.rule} at {ORDER[step.level]}" if step.level else step.rule for step in steps
    )


def _bytes(rule: Compound) -> int:
    match rule.of:
        case Votes():
            kept = 0
        case Times():
            kept = MOST_TIMES
        case Ordered(steps, _, without):
            kept = MOST_TIMES * (len(steps) - 1 + bool(without))
    return _RULE_BYTES + _TIME_BYTES * kept + _ALERT_BYTES * len(rule.rules)


def _any(names: frozenset[str]) -> str:
    return " or ".join(sorted(names))


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%MZ")
