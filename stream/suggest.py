"""Limits proposed from a healthy period: where windows of each metric lie, and what would fire."""

import json
import re
from collections.abc import Iterator, Sequence
from math import floor, isfinite, log10
from typing import NamedTuple

from schemas.failure import Failure
from stream.backtest import decisions, run
from stream.lives import quantile
from stream.recorded import Series
from stream.rules import parse_rules

_WEEK_MS = 7 * 24 * 3_600_000
_NEVER = 1e300
_LEAST_WINDOWS = 100
_GLOB_SAFE = re.compile(r"[A-Za-z0-9_.-]{1,129}")


class Wanted(NamedTuple):
    """What is looked at: the share of windows beyond neither limit, and the windows, as written."""

    share: float
    size: str
    slide: str


class Limits(NamedTuple):
    """Two limits of one metric, and the middle of its windows."""

    low: float
    middle: float
    high: float


class _Rule(NamedTuple):
    name: str
    metric: str
    op: str
    enter: float
    exit: float


def proposed(series: Sequence[Series], wanted: Wanted, source: str) -> str:
    """Return a rule file with limits for each metric, and what it would raise on these data.

    Raises:
        Failure: no metric has enough windows that differ.
        ConfigError: the window cannot be, as for any rule file.
    """
    means = _window_means(series, wanted)
    rules: list[_Rule] = []
    left_out: list[str] = []
    for metric, own in sorted(means.items()):
        why = _unfit(metric, own)
        if why:
            left_out.append(f"{metric}: {why}")
        else:
            both = list(_rules_of(metric, _limits(own, wanted.share), {r.name for r in rules}))
            fit = [rule for rule in both if not _is_usual(rule, own, wanted.share)]
            rules += fit
            left_out += [f"{r.name}: {r.enter:g} is usual for it" for r in both if r not in fit]
    if not rules:
        raise Failure(f"{source}: no limits to propose; {'; '.join(left_out) or 'no readings'}")
    text = "\n".join(["version: 1", "rules:", *(_entry(rule, wanted) for rule in rules)])
    fired = _onsets(text, series)
    weeks = {metric: _weeks(series, metric) for metric in means}
    notes = [f"# Limits that {wanted.share:.4g} of the windows of {source} keep, on either side."]
    notes += [f"# Left out: {said}." for said in left_out]
    entries = (
        f"  # {_expected(fired.get(rule.name, 0), weeks[rule.metric])}\n{_entry(rule, wanted)}"
        for rule in rules
    )
    return "\n".join([*notes, "version: 1", "rules:", *entries, ""])


def _window_means(series: Sequence[Series], wanted: Wanted) -> dict[str, list[float]]:
    probe = _Rule("probe", "*", ">=", _NEVER, _NEVER)
    rules = parse_rules(f"version: 1\nrules:\n{_entry(probe, wanted)}", "--size, --slide")
    means: dict[str, list[float]] = {each.metric: [] for each in series}
    for decision in decisions(rules, series):
        for window in decision.windows:
            if isfinite(window.mean):
                means[window.metric].append(window.mean)
    for own in means.values():
        own.sort()
    return means


def _unfit(metric: str, means: Sequence[float]) -> str:
    if not _GLOB_SAFE.fullmatch(metric):
        return "no rule can name it"
    if len(means) < _LEAST_WINDOWS:
        return f"{len(means)} windows are too few, {_LEAST_WINDOWS} are needed"
    return "" if means[0] < means[-1] else "it never changes"


def _limits(means: Sequence[float], share: float) -> Limits:
    middle = quantile(means, 0.5)
    low, high = quantile(means, 1 - share), quantile(means, share)
    return Limits(_outward(low, middle), middle, _outward(high, middle))


def _is_usual(rule: _Rule, means: Sequence[float], share: float) -> bool:
    """Say whether many windows lie at the limit itself: a state has two values, a tank is full."""
    at = sum(mean >= rule.enter if rule.op == ">=" else mean <= rule.enter for mean in means)
    return at > max(3, 3 * (1 - share) * len(means))


def _outward(limit: float, middle: float) -> float:
    """Return a limit with three digits of its distance from the middle, away from that."""
    distance = limit - middle
    if distance == 0:
        return limit
    step = 10.0 ** (floor(log10(abs(distance))) - 2)
    steps = floor(limit / step) if distance < 0 else -floor(-limit / step)
    return float(f"{steps * step:.10g}")


def _rules_of(metric: str, limits: Limits, taken: set[str]) -> Iterator[_Rule]:
    """Return both rules; they are left a tenth of the way back to the middle."""
    stem = re.sub(r"[^a-z0-9_]", "_", metric.lower())[:50]
    stem = stem if stem[0].isalpha() else f"m_{stem}"
    while f"{stem}_high" in taken:
        stem += "_"
    for side, op, limit in (("high", ">=", limits.high), ("low", "<=", limits.low)):
        leave = limit - 0.1 * (limit - limits.middle)
        yield _Rule(f"{stem}_{side}", metric, op, limit, float(f"{leave:.6g}"))


def _entry(rule: _Rule, wanted: Wanted) -> str:
    leave = max(rule.exit, rule.enter) if rule.op == "<=" else min(rule.exit, rule.enter)
    return (
        f"  - name: {rule.name}\n"
        f"    match: {{metric: {json.dumps(rule.metric)}}}\n"
        f"    window: {{size: {wanted.size}, slide: {wanted.slide}}}\n"
        f"    aggregate: mean\n"
        f'    compare: {{op: "{rule.op}", to: value}}\n'
        f"    severities: [{{level: WARNING, enter: {rule.enter!r}, exit: {leave!r}, for: 2, "
        f"keep_firing_for: {wanted.size}}}]"
    )


def _onsets(text: str, series: Sequence[Series]) -> dict[str, int]:
    found: dict[str, int] = {}
    for alert in run(parse_rules(text, "the proposal"), series):
        if alert.event == "FIRED":
            found[alert.rule] = found.get(alert.rule, 0) + 1
    return found


def _weeks(series: Sequence[Series], metric: str) -> float:
    own = (each.points for each in series if each.metric == metric and each.points)
    return sum(points[-1][0] - points[0][0] for points in own) / _WEEK_MS


def _expected(fired: int, weeks: float) -> str:
    if fired == 0:
        return f"Expect less than {1 / weeks:.2g} alerts a week and sensor: none in {weeks:.3g}."
    return f"Expect {fired / weeks:.2g} alerts a week and sensor: {fired} in {weeks:.3g} weeks."
