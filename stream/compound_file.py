"""What a rule file says of rules over rules, and of what holds rules back, as written."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import msgspec

from schemas.amounts import DurationMs
from schemas.records import Category
from schemas.records import Severity as SeverityName

COMPOUND_KINDS = ("pattern", "votes")
Names = str | list[str]
StepText = str | dict[str, str]
"""A rule that fires, or {rule: LEVEL} for one that comes to that severity."""


class PatternFile(msgspec.Struct):
    """What rules do one after the other, or again and again; see :mod:`stream.compound`.

    ``first`` and ``then``, a ``sequence``, or ``times`` and ``of``.
    """

    within: DurationMs
    first: StepText | None = None
    then: StepText | None = None
    sequence: list[StepText] | None = None
    without: StepText | list[StepText] | None = None
    times: int | None = None
    of: StepText | list[StepText] | None = None


class VotesFile(msgspec.Struct):
    """How many of the rules have an alert at the same time; each a name or a glob."""

    of: Names
    k: int


class CountFile(msgspec.Struct):
    """Delays of one severity of a rule over rules, and from how many on it is one."""

    level: SeverityName
    enter: int | None = None
    delay: DurationMs = msgspec.field(name="for", default=DurationMs(0))
    keep_firing_for: DurationMs = DurationMs(0)


class CompoundEntry(msgspec.Struct):
    """One rule over rules; it has either ``pattern`` or ``votes``."""

    name: str
    severities: tuple[CountFile, ...]
    pattern: PatternFile | None = None
    votes: VotesFile | None = None
    category: Category = "MULTI"
    version: int = 1
    cooldown: DurationMs = DurationMs(0)
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class SuppressFile(msgspec.Struct):
    """``inhibit`` and ``if_firing``, or ``rules``, ``from`` and ``to`` of planned work."""

    inhibit: Names | None = None
    if_firing: Names | None = None
    rules: Names | None = None
    start: Any = msgspec.field(name="from", default=None)
    to: Any = None
    device: Names | None = None
    site: Names | None = None


def is_above(keys: Iterable[object]) -> bool:
    """Say whether keys without ``match`` are those of a rule over rules, misspelled or not."""
    return any(get_close_matches(str(key), COMPOUND_KINDS, cutoff=0.7) for key in keys)
