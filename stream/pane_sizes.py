"""How long the panes of each metric are: as long as the slides of its rules allow.

Long panes mean few rows for Python; a pane must divide every slide of the rules that may match
its metric, of those whose condition asks for it, the pane of every metric that is made of it, every
roll-up's size and every session's gap.
The pane operator knows exact names and ``*``, so a rule on any other glob counts for all metrics
that no rule names.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from msgspec.structs import replace

from stream.globs import is_glob, matches
from stream.rule import Derived, Rules

PANES_MS = (1_000, 5_000, 10_000, 30_000, 60_000, 300_000, 900_000, 3_600_000, 86_400_000)
_UNUSED_MS = 3_600_000
"""Panes of metrics nobody asks for: few rows, for they go nowhere; few open readings each."""

_ROLLED_UP_MS = 300_000
"""The longest panes of metrics that are only rolled up: the operator keeps a pane's readings."""


def pane_sizes(rules: Rules) -> str:
    """Return the pane operator's argument, such as ``temperature=900000,*=300000`` (ms)."""
    asked = list(_asked(rules))
    names = sorted({name for each in asked for name in each.metric if not is_glob(name)})
    sizes = {name: _size(e for e in asked if matches(e.metric, name)) for name in names}
    sizes["*"] = _size(e for e in asked if any(map(is_glob, e.metric)))
    _no_longer_than_measured(sizes, rules)
    return ",".join(f"{metric}={ms}" for metric, ms in sizes.items())


def named(rules: Rules) -> list[str]:
    """Return the metrics that have panes of their own: those that anything names."""
    return [name for name in _parsed(pane_sizes(rules)) if name != "*"]


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
    asked = list(_asked(replace(rules, derived=())))
    users: list[Derived] = []
    for each in reversed(rules.derived):
        feeding = [_Asked(user.inputs, user.pane_ms) for user in users]
        own = [one for one in (*asked, *feeding) if matches(one.metric, each.metric)]
        users.append(replace(each, pane_ms=each.pane_ms or _size(own)))
    made = replace(rules, derived=tuple(reversed(users)))
    # The state of a machine may have to be told more often than that.
    sizes = _parsed(pane_sizes(made))
    said = [each.pane_ms for each in rules.derived]
    return replace(
        made,
        derived=tuple(
            each if ms else replace(each, pane_ms=sizes[each.metric])
            for each, ms in zip(made.derived, said, strict=True)
        ),
    )


class _Asked(NamedTuple):
    """Of which metrics panes have to divide a length, ms."""

    metric: tuple[str, ...]
    slide_ms: int
    rolled_up: bool = False


def _asked(rules: Rules) -> Iterator[_Asked]:
    for rule in rules.rules:
        state = () if rule.when is None else (rule.when.metric,)
        yield _Asked((*rule.match.metric, *state), rule.window.slide_ms)
    for rollup in rules.rollups:
        yield _Asked(rollup.match.metric, rollup.size_ms, rolled_up=True)
    for session in rules.sessions:
        yield _Asked((*session.match.metric, session.state.metric), session.gap_ms)
    for each in rules.derived:
        yield _Asked((each.metric, *each.inputs), each.pane_ms)


def _size(asked: Iterable[_Asked]) -> int:
    found = list(asked)
    if not found:
        return _UNUSED_MS
    longest = _ROLLED_UP_MS if all(each.rolled_up for each in found) else PANES_MS[-1]
    return max(
        pane
        for pane in PANES_MS
        if pane <= longest and all(each.slide_ms % pane == 0 for each in found)
    )


def _no_longer_than_measured(sizes: dict[str, int], rules: Rules) -> None:
    """Make the panes of a machine's state no longer than those that wait to be told by it."""
    for _ in rules.sessions:  # the state of one may be measured in another
        for session in rules.sessions:
            globs = session.match.metric
            near = [ms for name, ms in sizes.items() if name != "*" and matches(globs, name)]
            if any(map(is_glob, globs)):
                near.append(sizes["*"])
            state = session.state.metric
            sizes[state] = min(sizes[state], *near)


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


def beyond(panes: str, rules: Rules) -> list[str]:
    """Return why a job with panes of these sizes cannot take the rules; empty when it can.

    Panes are cut before the rules see them: a window cannot begin or end inside one.

    Args:
        panes: the pane operator's argument.
        rules: what the job is to apply.
    """
    sizes, asked = _parsed(panes), list(_asked(rules))
    names = {name for each in asked for name in each.metric if not is_glob(name)}
    needs = {
        metric: [each for each in asked if matches(each.metric, metric)]
        for metric in sorted({*names, *sizes} - {"*"})
    }
    needs["*"] = [each for each in asked if any(map(is_glob, each.metric))]
    wrong = []
    for metric, found in needs.items():
        has = sizes.get(metric, sizes["*"])
        if any(each.slide_ms % has for each in found):
            need = max(ms for ms in PANES_MS if all(each.slide_ms % ms == 0 for each in found))
            wrong.append(_too_long(metric, has, need))
    return wrong + list(_longer_than_measured(sizes, rules))


def _longer_than_measured(sizes: dict[str, int], rules: Rules) -> Iterator[str]:
    for session in rules.sessions:
        state = session.state.metric
        has, globs = sizes.get(state, sizes["*"]), session.match.metric
        near = [ms for name, ms in sizes.items() if name != "*" and matches(globs, name)]
        if any(map(is_glob, globs)) or not near:
            near.append(sizes["*"])
        if has > min(near):
            yield _too_long(state, has, min(near))


def _too_long(metric: str, has_ms: int, need_ms: int) -> str:
    called = "other metrics" if metric == "*" else metric
    return f"{called}: panes of {has_ms // 1000} s, and the rules need {need_ms // 1000} s"


def _parsed(sizes: str) -> dict[str, int]:
    pairs = (pair.rpartition("=") for pair in sizes.split(","))
    return {metric: int(ms) for metric, _, ms in pairs}
