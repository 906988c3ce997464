"""Derived metrics of a rule file: what `derive:` means, checked for what cannot work."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from schemas.config import Complaint, nearest
from schemas.toml_lines import KeyPath
from stream.expressions import Expression, expression
from stream.globs import matches
from stream.models import T2Q, FittedBaseline, Rul
from stream.pane_sizes import PANES_MS, with_panes
from stream.rule import Derived, Match, Rules
from stream.rule_file import DeriveFile, Parsed

_METRIC = re.compile(r"[A-Za-z0-9_.-]{1,129}")
_MOST_INPUTS = 64


class Placed(NamedTuple):
    """A derived metric, and its place in the file's list."""

    at: int
    derived: Derived


def derived_of(
    entry: DeriveFile, match: Match, parsed: Parsed, path: KeyPath, complaints: list[Complaint]
) -> Derived | None:
    """Return a derived metric without its pane; add what is wrong to ``complaints``."""
    wrong = list(_plain_mistakes(entry, path))
    if not wrong:
        if entry.model is None:
            made = _by_expression(entry, match, path, wrong)
        else:
            made = _by_model(entry, match, parsed, path, wrong)
        if made is not None and not wrong:
            return made
    complaints += wrong
    return None


def in_order(placed: Sequence[Placed], complaints: list[Complaint]) -> tuple[Placed, ...]:
    """Return derived metrics such that each is behind those that it is made of.

    What cannot be (made of itself, there twice) is told.
    """
    found: list[Placed] = []
    left = list(placed)
    while left:
        names = {each.derived.metric for each in left}
        ready = [each for each in left if names.isdisjoint(each.derived.inputs)]
        if not ready:
            complaints.append(_circle(left))
            break
        found += ready
        left = [each for each in left if each not in ready]
    seen: set[tuple[str, Match]] = set()
    for index, each in placed:
        if (each.metric, each.match) in seen:
            said = f"{each.metric!r} is there twice for the same devices"
            complaints.append(Complaint(("derive", index, "metric"), said))
        seen.add((each.metric, each.match))
    return tuple(found)


def settled(rules: Rules) -> Rules:
    """Return the rules with panes and digests of their derived metrics."""
    found: list[Derived] = []
    sized = with_panes(rules)
    for each in sized.derived:
        formula = each.formula
        meaning = msgspec.json.encode([
            formula.text if isinstance(formula, Expression) else replace(formula, fitted_on=None),
            each.inputs,
            each.pane_ms,
            [before.digest for before in found if before.metric in each.inputs],
        ], enc_hook=int)  # fmt: skip
        found.append(replace(each, digest=hashlib.sha256(meaning).hexdigest()[:12]))
    return replace(sized, derived=tuple(found))


def misfits(rules: Rules, indexes: Sequence[int]) -> Iterator[Complaint]:
    """Tell the panes of derived metrics that do not divide what is made of them."""
    for index, each in zip(indexes, rules.derived, strict=True):
        wholes = [
            (rule.window.slide_ms, f"the slide of rule {rule.name}")
            for rule in rules.rules
            if matches(rule.match.metric, each.metric)
            or (rule.when is not None and rule.when.metric == each.metric)
        ]
        wholes += [
            (user.pane_ms, f"that of {user.metric}")
            for user in rules.derived
            if each.metric in user.inputs
        ]
        for whole, said in wholes:
            if whole % each.pane_ms:
                yield Complaint(
                    ("derive", index, "every"),
                    f"{each.metric} comes every {each.pane_ms // 1000}s, which does not divide "
                    f"{said}, {whole // 1000}s",
                )


def _plain_mistakes(entry: DeriveFile, path: KeyPath) -> Iterator[Complaint]:
    if not _METRIC.fullmatch(entry.metric):
        yield Complaint((*path, "metric"), f"expected the name of one metric, got {entry.metric!r}")
    if (entry.expr is None) == (entry.model is None):
        yield Complaint(path, 'expected one of expr, as in expr: "torque * speed", and model')
    if entry.every is not None and int(entry.every) not in PANES_MS:
        yield Complaint((*path, "every"), "expected one of 1s 5s 10s 30s 1m 5m 15m 1h 1d")


def _by_expression(
    entry: DeriveFile, match: Match, path: KeyPath, wrong: list[Complaint]
) -> Derived | None:
    try:
        formula = expression(entry.expr or "")
    except ValueError as error:
        wrong.append(Complaint((*path, "expr"), str(error)))
        return None
    names = entry.inputs
    if isinstance(names, tuple):
        said = "expected a table of names in expr to metrics, as in {v: bearing.vibration}"
        wrong.append(Complaint((*path, "inputs"), said))
        return None
    if names is not None:
        wrong += _unnamed(formula, names, path)
    inputs = tuple((names or {}).get(name, name) for name in formula.names)
    wrong += _odd_inputs(entry, inputs, path)
    return Derived(
        metric=entry.metric, match=match, inputs=inputs, formula=formula, unit=entry.unit,
        pane_ms=int(entry.every or 0),
    )  # fmt: skip


def _unnamed(formula: Expression, names: dict[str, str], path: KeyPath) -> Iterator[Complaint]:
    for name in formula.names:
        if name not in names:
            said = f"{name!r} is none of the inputs{nearest(name, list(names))}"
            yield Complaint((*path, "expr"), said)
    for name in names:
        if name not in formula.names:
            yield Complaint((*path, "inputs", name), "is not in expr")


def _by_model(
    entry: DeriveFile, match: Match, parsed: Parsed, path: KeyPath, wrong: list[Complaint]
) -> Derived | None:
    model = parsed.models.get(entry.model or "")
    if model is None or isinstance(model, FittedBaseline):
        known = [name for name, each in parsed.models.items() if isinstance(each, T2Q | Rul)]
        near = nearest(entry.model or "", known) or f"; there are: {', '.join(known) or 'none'}"
        said = f"{entry.model!r} is no t2_q or rul model under models{near}"
        wrong.append(Complaint((*path, "model"), said))
        return None
    if entry.every is not None:
        said = f"means nothing beside a model, which has its own: {int(model.every) // 1000}s"
        wrong.append(Complaint((*path, "every"), said))
    inputs = model.inputs if entry.inputs is None else entry.inputs
    if isinstance(inputs, dict) or len(inputs) != len(model.inputs):
        said = f"expected a metric for each of the model's, in order: {', '.join(model.inputs)}"
        wrong.append(Complaint((*path, "inputs"), said))
        return None
    wrong += _odd_inputs(entry, inputs, path)
    unit = model.unit if entry.unit is None and isinstance(model, Rul) else entry.unit
    return Derived(
        metric=entry.metric, match=match, inputs=inputs, formula=model, unit=unit,
        pane_ms=int(model.every),
    )  # fmt: skip


def _odd_inputs(entry: DeriveFile, inputs: Sequence[str], path: KeyPath) -> Iterator[Complaint]:
    where = (*path, "expr" if entry.inputs is None and entry.expr else "inputs")
    for name in inputs:
        if not _METRIC.fullmatch(name):
            yield Complaint(where, f"expected the name of a metric, got {name!r}")
    if len(inputs) > _MOST_INPUTS:
        yield Complaint(where, f"takes {len(inputs)} metrics, at most {_MOST_INPUTS} are allowed")


def _circle(left: Sequence[Placed]) -> Complaint:
    """Tell one way in which a derived metric is made of itself."""
    within = {each.derived.metric: each for each in left}
    way = [left[0].derived.metric]
    while way.count(way[-1]) < 2:
        inputs = within[way[-1]].derived.inputs
        way.append(next(name for name in inputs if name in within))
    circle = way[way.index(way[-1]) :]
    index = within[circle[0]].at
    return Complaint(("derive", index), f"is made of itself: {' of '.join(circle)}")
