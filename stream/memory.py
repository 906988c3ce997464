"""How long rules remember what they have learned: how far back a recomputation has to begin."""

from math import inf

from stream.baselines import Constant, Decayed, Fitted, Seasonal, Weekly
from stream.charts import Cusum, Ewma
from stream.models import Rul
from stream.rule import Rule, Rules, matches
from stream.trends import Trend


def memory_ms(rule: Rule, rules: Rules) -> float:
    """Return how long a rule takes to forget what it learns, adds up or looks back at; 0 if none.

    A baseline, an EWMA or the model of a derived metric, all but a third of it. Infinity for what
    learns once, or only while its machine is in a certain state, and for a CUSUM, which may never
    have come back to 0.
    """
    if rule.when is not None and _learns(rule):
        return inf
    return max(_baseline_ms(rule), _method_ms(rule), _models_ms(rule, rules))


def _models_ms(rule: Rule, rules: Rules) -> float:
    models: dict[str, float] = {}
    for each in rules.derived:
        inside = max((models.get(name, 0.0) for name in each.inputs), default=0.0)
        own = each.pane_ms / each.formula.slow if isinstance(each.formula, Rul) else 0.0
        models[each.metric] = max(inside, own, models.get(each.metric, 0.0))
    covered = (ms for metric, ms in models.items() if matches(rule.match.metric, metric))
    return max(covered, default=0.0)


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
    return any(_learns(rule) or _models_ms(rule, rules) > 0 for rule in rules.rules)


def _learns(rule: Rule) -> bool:
    learned = rule.baseline is not None and not isinstance(rule.baseline, Constant | Fitted)
    return learned or isinstance(rule.method, (Ewma, Cusum, Trend))
