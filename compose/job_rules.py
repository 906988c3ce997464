"""Which rules a job is submitted with, beside those that were pushed."""

from pathlib import Path
from typing import NamedTuple

from compose.intents import Named, read_intent
from compose.local.endpoints import Endpoints
from compose.rule_topic import newest_version
from compose.starting import choice_of

DEFAULT_RULES = "generic"


class Begun(NamedTuple):
    """The rules a job begins with, and the pushed version up to which they replace others."""

    rules: str
    rules_after: int


def rules_of(
    state: Path,
    endpoints: Endpoints,
    who: Named,
    job: str,
    prefix: str,
    asked: tuple[str | None, int | None],
) -> Begun:
    """Return what a submission begins with.

    Args:
        state: the stack's folder.
        endpoints: where its parts are.
        who: the job.
        job: which one.
        prefix: of its topics.
        asked: the kept rules that were asked for, and the version, where a submission is repeated.
            Rules that are asked for now replace all that was pushed before; if none are, the job
            has those it had, and what was pushed counts.

    Raises:
        Unavailable: Kafka does not answer.
    """
    rules, after = asked
    if rules is not None:
        if after is None:
            after = newest_version(endpoints, prefix) if job == "alerts" else 0
        return Begun(rules, after)
    intent = read_intent(state, who.name)
    if intent is None or intent.verb != "submit":
        return Begun(DEFAULT_RULES, 0)
    before = choice_of(intent.argv)
    return Begun(before.rules, before.rules_after)
