"""One line of a check."""

from typing import Literal, NamedTuple

Verdict = Literal["ok", "warn", "fail", "unseen"]


class Finding(NamedTuple):
    """What was found about one thing; ``cure`` says how to mend it, empty where nothing is to be.

    ``unseen``: it matters, and nobody can tell from here.
    """

    verdict: Verdict
    what: str
    told: str
    cure: str = ""
