"""How far back rules look: how much of a device's past decides what they say now."""

from math import inf

from stream.baselines import Constant, Decayed, Fitted, Seasonal, Weekly
from stream.charts import Cusum, Ewma
from stream.globs import matches
from stream.lifecycle import Hold
from stream.models import Rul
from stream.rule import Rule, Rules
from stream.sensor_checks import remembers
from stream.trends import Rate, Trend


def reach_ms(rules: Rules) -> int:
    """Return how far back the longest window or roll-up looks: how long a reading can matter."""
    return max(*map(longest_ms, rules.rules), *_rolled(rules))


def settling_ms(rules: Rules) -> int:
    """Return the run-in that windows and delays need, without alerts already active: ms.

    What conditions need does not count: the metrics that they ask are taken from the beginning.
    """
    needs = {
        rule.name: longest_ms(rule)
        + (rule.method.over_ms if isinstance(rule.method, Rate) else 0)
        + max(_lasts(severity.delay, rule.window.slide_ms) for severity in rule.severities)
        for rule in rules.rules
    }
    for each in rules.compounds:
        own = each.within_ms + max(severity.delay.ms for severity in each.severities)
        needs[each.name] = own + max(needs[name] for name in each.rules)
    return max(*needs.values(), *_rolled(rules))


def asked_metrics(rules: Rules) -> tuple[str, ...]:
    """Return the metrics that conditions ask, and what those of them are made of that are derived.

    Without them, the state of a machine is unknown.
    """
    asked = {rule.when.metric for rule in rules.rules if rule.when is not None}
    for each in reversed(rules.derived):
        if each.metric in asked:
            asked.update(each.inputs)
    return tuple(sorted(asked))


def memory_ms(rule: Rule, rules: Rules) -> float:
    """Return how long a rule and the models of its metrics take to forget; 0 for one without.

    A baseline, a model or an EWMA, all but a third of it. Infinity for what learns once, or only
    while its machine is in a certain state, for what the checks of a sensor learn, and for a CUSUM,
    which may never have come back to 0.
    """
    if rule.check is not None:
        return inf if remembers(rule.check) else 0
    own = inf if rule.when is not None and _remembers(rule) else _baseline_ms(rule)
    return max(own, _method_ms(rule), *_model_ms(rule, rules))


def _model_ms(rule: Rule, rules: Rules) -> list[float]:
    models: dict[str, float] = {}
    for each in rules.derived:
        inside = max((models.get(name, 0.0) for name in each.inputs), default=0.0)
        own = each.pane_ms / each.formula.slow if isinstance(each.formula, Rul) else 0.0
        models[each.metric] = max(inside, own, models.get(each.metric, 0.0))
    return [0.0, *(ms for metric, ms in models.items() if matches(rule.match.metric, metric))]


def _baseline_ms(rule: Rule) -> float:
    match rule.baseline:
        case None | Constant() | Fitted():
            return 0
        case Seasonal(hourly):
            return 24 * hourly.n0 * hourly.counted_every_ms  # of each hour, once a day
        case Weekly(hourly):
            return 168 * hourly.n0 * hourly.counted_every_ms
        case Decayed() as steady:
            return steady.n0 * steady.counted_every_ms
        case _:
            return inf


def _method_ms(rule: Rule) -> float:
    match rule.method:
        case Ewma(share):
            return rule.window.size_ms / share
        case Trend() as trend:
            return trend.points * rule.window.size_ms
        case Cusum():
            return inf
        case _:
            return 0


def learns(rules: Rules) -> bool:
    """Say whether any rule remembers more than its window, the time of a rate and its delays."""
    return any(memory_ms(rule, rules) > 0 for rule in rules.rules)


def _remembers(rule: Rule) -> bool:
    learned = rule.baseline is not None and not isinstance(rule.baseline, Constant | Fitted)
    return learned or isinstance(rule.method, (Ewma, Cusum, Trend))


def _rolled(rules: Rules) -> tuple[int, ...]:
    return (0, *(rollup.size_ms for rollup in rules.rollups))


def longest_ms(rule: Rule) -> int:
    """Return how long a rule's window is at most."""
    return max(rule.window.size_ms, rule.window.grow_to_ms)


def _lasts(hold: Hold, slide_ms: int) -> int:
    return max(hold.ms, hold.count * slide_ms)
