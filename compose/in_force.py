"""What rules a job has and will have: its own, and those that were pushed since."""

from pathlib import Path
from typing import NamedTuple

from compose.intents import named, read_intent
from compose.local.endpoints import Endpoints
from compose.rule_topic import Pushed, pushed
from compose.starting import Choice, choice_of, panes_of
from compose.submissions import argument
from stream.rule import Rules
from stream.rule_sets import ALWAYS, Dated, in_turn
from stream.rules import load_rules


class Changes(NamedTuple):
    """What a set changes, rules by name; state of ``kept`` and ``retold`` ones survives.

    ``changed`` mean something else now, ``retold`` differ in what does not touch their memory.
    """

    added: list[str]
    removed: list[str]
    changed: list[str]
    retold: list[str]
    kept: list[str]


class Standing(NamedTuple):
    """The job's own rules and what was pushed; ``choice`` is None where no job was submitted.

    ``deaf``: the job that is to run is of a release that takes no pushed rules.
    """

    choice: Choice | None
    panes: str | None
    first: Dated
    sets: list[Pushed]
    deaf: bool = False

    @property
    def newest(self) -> int:
        """Return the highest version on the topic, 0 if there is none."""
        return max((each.given.version for each in self.sets), default=0)

    def turns(self) -> list[Dated]:
        """Return the sets that hold at some time, in order."""
        return in_turn([self.first, *self.admitted()])

    def admitted(self) -> list[Dated]:
        """Return the pushed sets that count."""
        after = 0 if self.choice is None else self.choice.rules_after
        return [one.dated for one in self.sets if one.dated and one.given.version > after]


def standing_of(state: Path, endpoints: Endpoints, prefix: str) -> Standing:
    """Return what a job was submitted with and what was pushed since.

    Raises:
        BadConfig: the rules that it was submitted with are gone.
        Unavailable, Failure, RegistryDown: as :func:`compose.rule_topic.pushed`.
    """
    intent = read_intent(state, named("alerts", prefix).name)
    if intent is None:
        return Standing(None, None, Dated(0, ALWAYS, Rules(())), pushed(endpoints, prefix))
    choice = choice_of(intent.argv)
    panes = panes_of(choice)
    first = Dated(0, ALWAYS, load_rules(choice.rules))
    deaf = intent.wanted and argument(intent.argv, "rules-after") is None
    return Standing(choice, panes, first, pushed(endpoints, prefix, panes), deaf)


def in_force(turns: list[Dated], at: int) -> Dated:
    """Return the set that holds at an event time, ms."""
    return next(each for each in reversed(turns) if each.from_ms <= at)


def changes_of(before: Rules, after: Rules) -> Changes:
    """Return what differs, rule by rule."""
    old = {rule.name: rule for rule in before.every}
    new = {rule.name: rule for rule in after.every}
    both = [name for name in new if name in old]
    return Changes(
        [name for name in new if name not in old],
        [name for name in old if name not in new],
        [name for name in both if new[name].digest != old[name].digest],
        [n for n in both if new[n].digest == old[n].digest and new[n] != old[n]],
        [name for name in both if new[name] == old[name]],
    )
