"""How long the panes of each metric are: as long as the slides of its rules allow.

Long panes mean few rows for Python; a pane must divide every slide of the rules that may match
its metric, of those whose condition asks for it, and the pane of every metric that is made of it.
The pane operator knows exact names and ``*``, so a rule on any other glob counts for all metrics
that no rule names.
"""

from collections.abc import Callable, Iterable

from msgspec.structs import replace

from stream.rule import Derived, Rules, is_glob, matches

PANES_MS = (1_000, 5_000, 10_000, 30_000, 60_000, 300_000, 900_000, 3_600_000, 86_400_000)
_UNUSED_MS = 3_600_000
"""Panes of metrics without a rule: few rows, for they go nowhere; few open readings each."""


def pane_sizes(rules: Rules) -> str:
    """Return the pane operator's argument, such as ``temperature=900000,*=300000`` (ms)."""
    sizes = {metric: _size_of(rules, metric) for metric in named(rules)}
    return ",".join(f"{metric}={ms}" for metric, ms in [*sizes.items(), ("*", _other(rules))])


def pane_ms(rules: Rules, bounds: str | None = None) -> Callable[[str], int]:
    """Return the same as a function from metric to ms, nowhere above ``bounds`` if there are any.

    Raises:
        ValueError, KeyError: ``bounds`` are no such argument.
    """
    own = pane_sizes(rules)
    sizes = _parsed(own if bounds is None else no_larger(own, bounds))
    return lambda metric: sizes.get(metric, sizes["*"])


def with_panes(rules: Rules) -> Rules:
    """Return the rules with the pane of each derived metric: as said, or like any other's."""
    users: list[Derived] = []
    for each in reversed(rules.derived):
        ms = each.pane_ms or _largest([*_slides(rules, each.metric), *_feeding(users, each.metric)])
        users.append(replace(each, pane_ms=ms))
    return Rules(rules.rules, tuple(reversed(users)))


def named(rules: Rules) -> list[str]:
    """Return the metrics that rules, conditions or derived metrics name."""
    names = {name for rule in rules.rules for name in rule.match.metric if not is_glob(name)}
    names |= {rule.when.metric for rule in rules.rules if rule.when}
    return sorted(names.union(*((each.metric, *each.inputs) for each in rules.derived)))


def _size_of(rules: Rules, metric: str) -> int:
    own = [each.pane_ms for each in rules.derived if each.metric == metric]
    return (
        min(own) if own else _largest([*_slides(rules, metric), *_feeding(rules.derived, metric)])
    )


def _slides(rules: Rules, metric: str) -> list[int]:
    return [
        rule.window.slide_ms
        for rule in rules.rules
        if matches(rule.match.metric, metric) or (rule.when and rule.when.metric == metric)
    ]


def _feeding(derived: Iterable[Derived], metric: str) -> list[int]:
    return [each.pane_ms for each in derived if metric in each.inputs]


def _other(rules: Rules) -> int:
    return _largest(r.window.slide_ms for r in rules.rules if any(map(is_glob, r.match.metric)))


def _largest(parts_of: Iterable[int]) -> int:
    """Return the largest pane that divides all of these."""
    wholes = list(parts_of)
    if not wholes:
        return _UNUSED_MS
    return max(pane for pane in PANES_MS if all(whole % pane == 0 for whole in wholes))


def no_larger(sizes: str, former: str) -> str:
    """Return pane sizes that are nowhere larger than the former ones.

    A job that goes on with larger panes would leave out of its windows what had come for the pane
    that was open: part of that pane has been given out. Each size divides the next larger one, so
    the smaller of two serves the rules of the larger.
    """
    new, old = _parsed(sizes), _parsed(former)
    names = sorted({*new, *old} - {"*"})
    smaller = {
        name: min(new.get(name, new["*"]), old.get(name, old["*"])) for name in [*names, "*"]
    }
    return ",".join(f"{metric}={ms}" for metric, ms in smaller.items())


def _parsed(sizes: str) -> dict[str, int]:
    pairs = (pair.rpartition("=") for pair in sizes.split(","))
    return {metric: int(ms) for metric, _, ms in pairs}
