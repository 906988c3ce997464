"""A rule over rules as the engine applies it: what other rules of the device do, in time.

`Ordered`: A began, then B, and B's alert still stands. `Times`: how often A began within the
last day. `Votes`: how many of several rules have an alert.
"""

from typing import Literal, NamedTuple

import msgspec

from schemas.records import Category
from stream.lifecycle import Life, Severity


class Step(msgspec.Struct, frozen=True):
    """The alert of a rule comes to a severity or a worse one, from INFO (0) on when it begins."""

    rule: str
    level: int = 0


class Ordered(msgspec.Struct, frozen=True, tag="ordered"):
    """The steps, none before the one in front of it, all within a time; between them none other.

    Steps at the same time count as in order; what is to be absent counts strictly between the first
    step and the last.
    """

    steps: tuple[Step, ...]
    within_ms: int
    without: tuple[Step, ...] = ()


class Times(msgspec.Struct, frozen=True, tag="times"):
    """Any of the steps, counted over the last ``within_ms``, both ends included."""

    of: tuple[Step, ...]
    within_ms: int


class Votes(msgspec.Struct, frozen=True, tag="votes"):
    """Rules; each that has an alert on any metric of the device counts once."""

    of: tuple[str, ...]


To = Literal["votes", "times", "span_s"]


class Compound(msgspec.Struct, frozen=True, kw_only=True):
    """One rule over rules; ``severities`` go from the lowest to the highest.

    What is held against their limits is a count or, for a sequence, 1 while it stands. ``rules``
    are those it refers to. ``digest`` changes with theirs.
    """

    name: str
    version: int
    category: Category
    of: Ordered | Times | Votes
    rules: frozenset[str]
    severities: tuple[Severity, ...]
    labels: dict[str, str]
    annotations: dict[str, str]
    cooldown_ms: int = 0
    digest: str = ""

    @property
    def to(self) -> To:
        """Name what an alert's value is: a count, or the seconds from a sequence's start to end."""
        match self.of:
            case Votes():
                return "votes"
            case Times():
                return "times"
            case Ordered():
                return "span_s"

    @property
    def op(self) -> str:
        """Return how an alert's value is compared with its limit."""
        return "<=" if isinstance(self.of, Ordered) else ">="

    @property
    def within_ms(self) -> int:
        """Return how far back it looks, ms."""
        return 0 if isinstance(self.of, Votes) else self.of.within_ms

    def applies(self, rules: set[str]) -> bool:
        """Say whether it can fire on a device that has these rules."""
        match self.of:
            case Ordered(steps):
                return all(step.rule in rules for step in steps)
            case _:
                return len(self.rules & rules) >= self._least()

    def _least(self) -> float:
        return self.severities[0].enter if isinstance(self.of, Votes) else 1


class Followed(msgspec.Struct, array_like=True):
    """What a rule over rules remembers of a device; new fields go to the end, with a default.

    ``seen`` are the times, ms, of each step but a sequence's last: first those of its steps, then
    those of what is to be absent. ``ends`` are the alerts that a sequence ended with and that may
    still stand; ``met`` is the newest time at which it ended with one, and that sequence went from
    ``first`` to ``last``.
    """

    digest: str
    life: Life = msgspec.field(default_factory=Life)
    seen: list[list[int]] = []
    ends: list[str] = []
    met: int | None = None
    first: int = 0
    last: int = 0


class Found(NamedTuple):
    """What a rule over rules finds at a time: its score, and what a record says of it.

    ``since`` is where what it looked at begins, ms; ``rules`` are those that it was.
    """

    score: float
    value: float
    since: int
    rules: tuple[str, ...]
