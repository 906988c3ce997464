"""How long the panes of each metric are: as long as the slides of its rules allow.

Long panes mean few rows for Python; a pane must divide every slide of the rules that may match
its metric, and of those whose condition asks for it. The pane operator knows exact names and ``*``,
so a rule on any other glob counts for all metrics that no rule names.
"""

from collections.abc import Callable, Iterable

from stream.rule import Rule, Rules, is_glob, matches

PANES_MS = (1_000, 5_000, 10_000, 30_000, 60_000, 300_000, 900_000, 3_600_000, 86_400_000)
_UNUSED_MS = 3_600_000
"""Panes of metrics without a rule: few rows, for they go nowhere; few open readings each."""


def pane_sizes(rules: Rules) -> str:
    """Return the pane operator's argument, such as ``temperature=900000,*=300000`` (ms)."""
    sizes = {metric: _size(_covering(rules, metric)) for metric in _named(rules)}
    return ",".join(f"{metric}={ms}" for metric, ms in [*sizes.items(), ("*", _other(rules))])


def pane_ms(rules: Rules, bounds: str | None = None) -> Callable[[str], int]:
    """Return the same as a function from metric to ms, nowhere above ``bounds`` if there are any.

    Raises:
        ValueError, KeyError: ``bounds`` are no such argument.
    """
    own = pane_sizes(rules)
    sizes = _parsed(own if bounds is None else no_larger(own, bounds))
    return lambda metric: sizes.get(metric, sizes["*"])


def _named(rules: Rules) -> list[str]:
    names = {name for rule in rules.rules for name in rule.match.metric if not is_glob(name)}
    return sorted(names | {rule.when.metric for rule in rules.rules if rule.when})


def _covering(rules: Rules, metric: str) -> list[Rule]:
    return [
        rule
        for rule in rules.rules
        if matches(rule.match.metric, metric) or (rule.when and rule.when.metric == metric)
    ]


def _other(rules: Rules) -> int:
    return _size(rule for rule in rules.rules if any(map(is_glob, rule.match.metric)))


def _size(rules: Iterable[Rule]) -> int:
    slides = [rule.window.slide_ms for rule in rules]
    if not slides:
        return _UNUSED_MS
    return max(pane for pane in PANES_MS if all(slide % pane == 0 for slide in slides))


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
    sizes = _parsed(panes)
    wrong = []
    for metric in sorted({*_named(rules), *sizes} - {"*"}):
        covering = _covering(rules, metric)
        if covering and sizes.get(metric, sizes["*"]) > (need := _size(covering)):
            wrong.append(_too_long(metric, sizes.get(metric, sizes["*"]), need))
    globs = [rule for rule in rules.rules if any(map(is_glob, rule.match.metric))]
    if globs and sizes["*"] > (need := _size(globs)):
        wrong.append(_too_long("other metrics", sizes["*"], need))
    return wrong


def _too_long(metric: str, has_ms: int, need_ms: int) -> str:
    return f"{metric}: panes of {has_ms // 1000} s, and the rules need {need_ms // 1000} s"


def _parsed(sizes: str) -> dict[str, int]:
    pairs = (pair.rpartition("=") for pair in sizes.split(","))
    return {metric: int(ms) for metric, _, ms in pairs}
