"""What Flink's planner says against a statement, as one line: where, what, and a near name."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from schemas.failure import BadConfig
from stream.sql_text import Statement, nearest

# "From line 2, column 6 to line 2, column 11: …", "At line 1, column 8: …"
_BEFORE = re.compile(r"^(?:From|At) line (\d+), column (\d+)(?: to line \d+, column \d+)?: ?")
# "Encountered "x" at line 1, column 15."
_WITHIN = re.compile(r",? ?at line (\d+), column (\d+)")
_STAGE = re.compile(r"^SQL (?:parse|validation) failed\. ?")
# These only say what was tried; why it failed is said by their causes.
_TRIED = (
    "Unable to create a ",
    "Could not execute ",
    "Cannot discover a connector",
    "Fetch partitions fail",
    "Failed to execute",
)
_CLASS = re.compile(r"^(?:Caused by: )?(?:[a-z_$]\w*\.)+[\w$]+(?:: |$)")
_TABLE = re.compile(r"^Object '([^']+)' not found|^Cannot find table '.*?`?([^`']+)`?' in any")
_COLUMN = re.compile(r"^Column '([^']+)' not found")
_FUNCTION = re.compile(r"^No match found for function signature (\w+)\(")
_FACTORY = re.compile(r"^Could not find any factory for identifier '([^']*)'")


class Known(NamedTuple):
    """The names there are, asked for only when one was not found."""

    tables: Callable[[], Iterable[str]]
    columns: Callable[[], Iterable[str]]
    functions: Callable[[], Iterable[str]]


def refusal(name: str, statement: Statement, messages: Sequence[str], known: Known) -> BadConfig:
    """Return the error for a statement that does not plan: file:line:column: what; a near name.

    Args:
        name: the file's.
        statement: what was refused.
        messages: what was thrown, outermost first; only first lines are shown.
        known: what might have been meant.
    """
    text = _telling(messages)
    line, column, what = _placed(statement, text)
    return BadConfig(f"{name}:{line}:{column}: {what.rstrip('.')}{_hint(what, messages, known)}")


def messages_of(trace: str) -> list[str]:
    """Return what a Java stack trace says, without classes and frames, outermost first."""
    lines = trace.splitlines()
    told = lines[:1] + [line for line in lines[1:] if line.startswith("Caused by: ")]
    return [_CLASS.sub("", line) for line in told]


def first_line(messages: Sequence[str]) -> str:
    """Return the first line of the message that tells most."""
    return _telling(messages)


def _telling(messages: Sequence[str]) -> str:
    said = [_STAGE.sub("", message).strip() for message in messages if message.strip()]
    causes = [message for message in said if not message.startswith(_TRIED)]
    if len(causes) < len(said):
        causes.reverse()
    return next(iter(causes or said), "the planner gives no reason").splitlines()[0]


def _placed(statement: Statement, text: str) -> tuple[int, int, str]:
    """Return line and column in the file, and the text without them."""
    found = _BEFORE.search(text) or _WITHIN.search(text)
    if found is None:
        return statement.line, statement.column, text
    line, column = int(found[1]), int(found[2])
    what = text[: found.start()] + text[found.end() :]
    return (
        statement.line + line - 1,
        column + (statement.column - 1 if line == 1 else 0),
        what,
    )


def _hint(what: str, messages: Sequence[str], known: Known) -> str:
    for pattern, names in (
        (_TABLE, known.tables),
        (_COLUMN, known.columns),
        (_FUNCTION, known.functions),
    ):
        if found := pattern.search(what):
            return nearest(found[found.lastindex or 1], names())
    if found := _FACTORY.search(what):
        listed = "\n".join(messages).partition("identifiers are:")[2].split()
        return nearest(found[1], listed)
    return ""
