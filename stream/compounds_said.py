"""Rules over rules of a rule file: what they mean, checked for what cannot work."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from msgspec.structs import replace

from schemas.config import Complaint, nearest
from schemas.records import Severity as SeverityName
from schemas.toml_lines import KeyPath
from stream.compound import Compound, Ordered, Step, Times, Votes
from stream.compound_file import CompoundEntry, PatternFile, StepText, VotesFile
from stream.lifecycle import ORDER, Hold, Severity
from stream.names_said import digest_of, mistakes, named
from stream.patterns import MOST_TIMES
from stream.rule import Rule
from stream.rule_file import Parsed

FIELDS = ("device_id", "site", "value", "level", "limit", "rules")
"""What an annotation of such a rule may name in double braces."""
_FORMS = (
    "expected first and then, or sequence, or times and of; as in "
    "{first: hot, then: shakes, within: 2h} or {times: 3, of: hot, within: 1d}"
)
_Levels = Mapping[str, int]
"""The names there are, each with the worst severity of its rule as a place in the order."""


def compounds_of(
    parsed: Parsed, rules: Sequence[Rule], complaints: list[Complaint]
) -> tuple[Compound, ...]:
    """Return the rules over rules, each behind those it names; add what is wrong."""
    levels = {rule.name: _worst(each.level for each in rule.severities) for rule in rules}
    for entry in parsed.compounds.values():
        levels[entry.name] = _worst(each.level for each in entry.severities)
    plain = [rule.name for rule in rules]
    made: dict[str, Compound] = {}
    places: dict[str, int] = {}
    for index, entry in parsed.compounds.items():
        reading = _Reading(entry.name, plain, levels, complaints)
        made[entry.name] = reading.compound(entry, ("rules", index))
        places[entry.name] = index
    needs = {name: each.rules & made.keys() for name, each in made.items()}
    try:
        order = list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        cycle = error.args[1]
        message = f"rules refer to each other: {' → '.join(reversed(cycle))}"
        complaints.append(Complaint(("rules", places[cycle[0]]), message))
        return ()
    return _digested([made[name] for name in order], rules)


def _digested(compounds: Iterable[Compound], rules: Iterable[Rule]) -> tuple[Compound, ...]:
    """Return the rules with digests that change with those of the rules they refer to."""
    digests = {rule.name: rule.digest for rule in rules}
    found = []
    for each in compounds:
        under = [digests.get(rule) for rule in sorted(each.rules)]
        digests[each.name] = digest_of([each.of, each.severities, under])
        found.append(replace(each, digest=digests[each.name]))
    return tuple(found)


def _worst(levels: Iterable[SeverityName]) -> int:
    return max(map(ORDER.index, levels), default=0)


class _Reading:
    """One rule over rules, read with the names that it may refer to."""

    def __init__(
        self, own: str, plain: list[str], levels: _Levels, complaints: list[Complaint]
    ) -> None:
        self._own = own
        self._plain = plain
        self._levels = levels
        self._complaints = complaints

    def compound(self, entry: CompoundEntry, path: KeyPath) -> Compound:
        """Return the rule; what is wrong is added to the complaints."""
        self._complaints += mistakes(entry, path, FIELDS)
        if (entry.pattern is None) == (entry.votes is None):
            self._complain(path, "expected either pattern or votes")
        of: Ordered | Times | Votes = Votes(())
        if entry.pattern is not None:
            of = self._pattern(entry.pattern, (*path, "pattern"))
        elif entry.votes is not None:
            of = self._votes(entry.votes, (*path, "votes"))
        return Compound(
            name=entry.name,
            version=entry.version,
            category=entry.category,
            of=of,
            rules=frozenset(_named_in(of)),
            severities=_severities(entry, of, (*path, "severities"), self._complaints),
            labels=entry.labels,
            annotations=entry.annotations,
            cooldown_ms=int(entry.cooldown),
        )

    def _complain(self, path: KeyPath, message: str) -> None:
        self._complaints.append(Complaint(path, message))

    def _pattern(self, said: PatternFile, path: KeyPath) -> Ordered | Times:
        if said.within <= 0:
            self._complain((*path, "within"), "expected more than 0")
        pair = (said.first is not None) + (said.then is not None)
        given = (pair, said.sequence is not None, said.times is not None, said.of is not None)
        match given:
            case (2, False, False, False):
                steps = [
                    step
                    for key in ("first", "then")
                    for step in self._step(getattr(said, key), (*path, key))
                ]
            case (0, True, False, False):
                steps = self._steps(said.sequence or [], (*path, "sequence"), globs=False)
                if len(said.sequence or []) < 2:
                    self._complain((*path, "sequence"), "expected two rules or more")
            case (0, False, True, True):
                return self._times(said, path)
            case _:
                self._complain(path, _FORMS)
                return Times((), int(said.within))
        without = self._steps(_listed(said.without), (*path, "without"))
        self._complaints += _twice([*steps, *without], path)
        return Ordered(tuple(steps), int(said.within), tuple(without))

    def _times(self, said: PatternFile, path: KeyPath) -> Times:
        if said.without is not None:
            self._complain((*path, "without"), "means nothing beside times")
        if not 2 <= (said.times or 0) <= MOST_TIMES:
            self._complain((*path, "times"), f"expected 2 to {MOST_TIMES}, got {said.times}")
        return Times(tuple(self._steps(_listed(said.of), (*path, "of"))), int(said.within))

    def _votes(self, said: VotesFile, path: KeyPath) -> Votes:
        steps = self._steps([said.of] if isinstance(said.of, str) else said.of, (*path, "of"))
        of = tuple(dict.fromkeys(step.rule for step in steps))
        if not said.of:
            self._complain((*path, "of"), "expected at least one rule")
        elif of and not 1 <= said.k <= len(of):
            self._complain(
                (*path, "k"), f"expected 1 to {len(of)}, the number of rules, got {said.k}"
            )
        return Votes(of)

    def _steps(self, said: Iterable[StepText], path: KeyPath, *, globs: bool = True) -> list[Step]:
        return [
            step
            for index, each in enumerate(said)
            for step in self._step(each, (*path, index), globs=globs)
        ]

    def _step(self, said: StepText, path: KeyPath, *, globs: bool = False) -> Iterator[Step]:
        pairs = [(said, "INFO")] if isinstance(said, str) else list(said.items())
        name, level = pairs[0] if len(pairs) == 1 else ("", "")
        if level not in ORDER:
            form = f"expected {{rule: LEVEL}} with one of {', '.join(ORDER)}, got {said}"
            self._complain(path, form + nearest(level, ORDER))
            return
        found = named(name, [*self._levels], self._plain if globs else (), path)
        if isinstance(found, Complaint):
            self._complaints.append(found)
            return
        for rule in found:
            if rule == self._own:
                self._complain(path, "a rule cannot refer to itself")
            elif self._levels[rule] < ORDER.index(level):
                self._complain(path, f"{rule} has no severity {level}")
            else:
                yield Step(rule, ORDER.index(level))


def _severities(
    entry: CompoundEntry, of: Ordered | Times | Votes, path: KeyPath, complaints: list[Complaint]
) -> tuple[Severity, ...]:
    """Return the severities from the mildest to the worst; add what is wrong."""
    if not entry.severities:
        complaints.append(Complaint(path, "expected at least one severity"))
    first, most = _counts(entry, of)
    least = first
    found: list[Severity] = []
    order = sorted(enumerate(entry.severities), key=lambda pair: ORDER.index(pair[1].level))
    for index, each in order:
        enter = least if each.enter is None else each.enter
        if any(each.level == before.level for before in found):
            complaints.append(Complaint((*path, index, "level"), f"{each.level} is there twice"))
        if each.enter is not None and isinstance(of, Ordered):
            complaints.append(Complaint((*path, index, "enter"), "means nothing in a sequence"))
        elif not found and enter != first:
            message = f"the mildest severity begins at {first}, as the rule says"
            complaints.append(Complaint((*path, index, "enter"), message))
        elif not least <= enter <= most:
            message = f"expected {least} to {most}, got {enter}"
            complaints.append(Complaint((*path, index, "enter"), message))
        limit = float(enter)
        shown = of.within_ms / 1000 if isinstance(of, Ordered) else limit
        delay, keep = Hold(int(each.delay)), Hold(int(each.keep_firing_for))
        found.append(Severity(each.level, limit, limit, delay, keep, shown, shown))
        least = enter
    return tuple(found)


def _counts(entry: CompoundEntry, of: Ordered | Times | Votes) -> tuple[int, int]:
    """Return from how many on the mildest severity begins, and how many there can be."""
    if isinstance(of, Votes):
        return (entry.votes.k if entry.votes else 1), max(len(of.of), 1)
    times = entry.pattern.times if entry.pattern else None
    return (1, 1) if times is None else (times, MOST_TIMES)


def _named_in(of: Ordered | Times | Votes) -> Iterator[str]:
    match of:
        case Votes(names):
            yield from names
        case Times(steps):
            yield from (step.rule for step in steps)
        case Ordered(steps, _, without):
            yield from (step.rule for step in (*steps, *without))


def _listed(said: StepText | list[StepText] | None) -> list[StepText]:
    if said is None:
        return []
    return said if isinstance(said, list) else [said]


def _twice(steps: list[Step], path: KeyPath) -> Iterator[Complaint]:
    names = [step.rule for step in steps]
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        yield Complaint(
            path, f"{name} is there twice; for one rule again and again write times and of"
        )
