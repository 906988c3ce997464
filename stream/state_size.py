"""How large the alerts job's state is, by sensor: what a choice of the state's store rests on."""

from stream.baselines import Median, Seasonal, Weekly
from stream.globs import is_glob, matches
from stream.pane_sizes import pane_ms
from stream.rule import Rule, Rules
from stream.samples import MOST_KEPT
from stream.sensor_told import check_bytes
from stream.trends import Rate, Trend

MINUTE_MS = 60_000
# Of the engine's pieces as the job stores them, measured with times of today.
PANE_BYTES = 150
RULE_BYTES = 80
_NUMBER_BYTES, _HOUR_BYTES = 9, 29
_PARTIAL_BYTES = 95
_SHARE_BYTES = 110 + PANE_BYTES
_FRAME_BYTES = 60
# Of the pane operator's state: it keeps the readings of panes that are open, and once for all of
# them where they come from. A reading is 17 bytes, and 44 in the heap.
_READING_BYTES, _ORIGIN_BYTES = 22, 80


def rule_bytes(rule: Rule, pane: int) -> int:
    """Return how many bytes a series needs at most for one rule alone, its panes ``pane`` ms long.

    An alert that is open adds its record, about 1 kB.
    """
    if rule.check is not None:
        return check_bytes(rule.check)
    return panes_of(rule, pane) * PANE_BYTES + _memory_bytes(rule)


def _memory_bytes(rule: Rule) -> int:
    """Return what a rule remembers of a series beside panes, with its baseline and method."""
    size = RULE_BYTES
    match rule.baseline:
        case Median():
            size += MOST_KEPT * _NUMBER_BYTES  # until it has learned
        case Seasonal():
            size += 24 * _HOUR_BYTES
        case Weekly():
            size += 168 * _HOUR_BYTES
    match rule.method:
        case Rate(over_ms):
            size += (over_ms // rule.window.slide_ms + 1) * 2 * _NUMBER_BYTES
        case Trend() as trend:
            size += trend.points * 2 * _NUMBER_BYTES
    return size


def panes_of(rule: Rule, pane: int) -> int:
    """Return how many panes of so many ms the rule's longest window has."""
    return max(rule.window.size_ms, rule.window.grow_to_ms) // pane


def sensor_bytes(rules: Rules, interval_ms: int) -> int:
    """Return how many bytes of state a sensor, one metric of one device, needs at most.

    That of the metric that needs most: no rule file says how many sensors there are of each.

    Args:
        rules: the rules.
        interval_ms: how often a sensor reports.
    """
    named = {name for rule in rules.rules for name in rule.match.metric if not is_glob(name)}
    size = pane_ms(rules)
    return max(
        engine_bytes(rules, name) + _ORIGIN_BYTES + _READING_BYTES * -(-size(name) // interval_ms)
        for name in ["*", *named]
    )


def engine_bytes(rules: Rules, metric: str) -> int:
    """Return how many of these are the engine's; the rest are those of the pane operator.

    ``metric`` is "*" for one that the rules do not name.
    """

    def meant(globs: tuple[str, ...]) -> bool:
        return any(map(is_glob, globs)) if metric == "*" else matches(globs, metric)

    own = [rule for rule in rules.rules if meant(rule.match.metric)]
    pane = pane_ms(rules)(metric)
    sizes = {each.size_ms for each in rules.rollups if meant(each.match.metric)}
    shares = sum(meant(each.match.metric) for each in rules.sessions)
    ring = max((panes_of(rule, pane) for rule in own if rule.check is None), default=0)
    return (
        _FRAME_BYTES
        + ring * PANE_BYTES
        + sum(check_bytes(rule.check) if rule.check else _memory_bytes(rule) for rule in own)
        + len(sizes) * _PARTIAL_BYTES
        + shares * _SHARE_BYTES
    )
