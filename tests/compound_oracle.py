"""What rules over rules should say, worked out from the other rules' records by trying everything."""

from collections.abc import Iterable, Sequence
from itertools import product
from typing import NamedTuple

from schemas.records import Alert
from stream.compound import Compound, Ordered, Step, Times, Votes
from stream.lifecycle import ORDER

Told = list[tuple[str, str, int]]
"""(rule, event, time) of one severity's alerts."""


class Spell(NamedTuple):
    """An alert of a rule from its first to its last instant, and when it came to which severity."""

    rule: str
    start: int
    end: float
    reached: list[tuple[int, int]]


def spells(alerts: Iterable[Alert]) -> list[Spell]:
    """The alerts of plain rules, from all of their records."""
    found: dict[str, Spell] = {}
    rank: dict[str, int] = {}
    for each in alerts:
        name, now = each.alert_id, ORDER.index(each.severity)
        if each.event == "RESOLVED":
            found[name] = found[name]._replace(end=each.emitted_at)
            continue
        if each.event == "FIRED":
            found[name] = Spell(each.rule, each.emitted_at, float("inf"), [])
            rank[name] = -1
        for level in range(rank[name] + 1, now + 1):
            found[name].reached.append((level, each.emitted_at))
        rank[name] = now
    return list(found.values())


def times(all_spells: Iterable[Spell], steps: Sequence[Step]) -> list[int]:
    """When any of the steps was made."""
    return sorted(
        {
            at
            for spell in all_spells
            for step in steps
            for level, at in spell.reached
            if spell.rule == step.rule and level == step.level
        }
    )


def score(rule: Compound, all_spells: list[Spell], at: int) -> int:
    """What a rule over rules finds at a time, by its definition."""
    stands = [spell for spell in all_spells if spell.start <= at <= spell.end]
    match rule.of:
        case Votes(of):
            return len({spell.rule for spell in stands if spell.rule in of})
        case Times(of, within):
            return sum(at - within <= t <= at for t in times(all_spells, of))
        case Ordered(steps, within, without):
            last = steps[-1]
            return int(
                any(
                    _ordered(all_spells, steps[:-1], t, within, without)
                    for spell in stands
                    if spell.rule == last.rule
                    for level, t in spell.reached
                    if level == last.level and t <= at
                )
            )


def _ordered(
    all_spells: list[Spell], before: Sequence[Step], end: int, within: int, without: Sequence[Step]
) -> bool:
    absent = times(all_spells, without)
    for chosen in product(*(times(all_spells, [step]) for step in before)):
        whole = [*chosen, end]
        if (
            whole == sorted(whole)
            and end - whole[0] <= within
            and not any(whole[0] < t < end for t in absent)
        ):
            return True
    return False


def expected(rule: Compound, all_spells: list[Spell], instants: Sequence[int]) -> Told:
    """The alerts of a rule over rules of one severity: told at each instant, one after the other."""
    (severity,) = rule.severities
    found: Told = []
    since: int | None = None
    last_true, is_open = 0, False
    for at in instants:
        if score(rule, all_spells, at) >= severity.enter:
            since = at if since is None else since
            last_true = at
            if not is_open and at - since >= severity.delay.ms:
                is_open = True
                found.append((rule.name, "FIRED", at))
        else:
            since = None
            if is_open and at - last_true >= severity.keep.ms:
                is_open = False
                found.append((rule.name, "RESOLVED", at))
    return found
