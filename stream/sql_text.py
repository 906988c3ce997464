"""SQL as people write it: several statements, comments, quotes, `${NAME}` for addresses."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from schemas.failure import BadConfig

_VERBS = frozenset(
    {"SELECT", "INSERT", "EXPLAIN", "SHOW", "DESCRIBE", "DESC", "SET"}
    | {"CREATE", "DROP", "ALTER", "USE"}
)
_QUERY = frozenset({"SELECT", "WITH", "VALUES"})
# Hints begin like comments and are none.
_TOKEN = re.compile(
    r"""(?P<quoted> '(?:[^']|'')*' | "(?:[^"]|"")*" | `(?:[^`]|``)*` )
      | (?P<comment> --[^\n]* | //[^\n]* | /\*(?!\+).*?\*/ )
      | (?P<open> ['"`] | /\*(?!\+) )
      | (?P<end> ; )""",
    re.VERBOSE | re.DOTALL,
)
_NAME = re.compile(r"\$\{([^}\n]*)\}")
_WORD = re.compile(r"\w+")


class Statement(NamedTuple):
    """One statement of a text, from its first word on; line and column count from 1."""

    text: str
    line: int
    column: int

    @property
    def verb(self) -> str:
        """Return the first word in capitals, SELECT for every query."""
        word = _WORD.search(self.text)
        verb = word[0].upper() if word else ""
        return "SELECT" if verb in _QUERY or self.text.startswith("(") else verb

    @property
    def words(self) -> list[str]:
        """Return the words outside of quotes and comments, in capitals."""
        return _WORD.findall(_TOKEN.sub(" ", self.text).upper())

    def says(self, phrase: str) -> bool:
        """Say whether the words of the phrase, in capitals, follow one another in it."""
        return f" {phrase} " in f" {' '.join(self.words)} "


class Script(NamedTuple):
    """The statements of a text; ``name`` is what errors call it."""

    name: str
    statements: list[Statement]

    def has(self, verb: str) -> bool:
        """Say whether a statement begins with that word, or explains one that does."""
        return any(
            verb in (each.verb, *(each.words[1:2] if each.verb == "EXPLAIN" else ()))
            for each in self.statements
        )

    @property
    def inserts(self) -> bool:
        """Say whether a statement is an INSERT, and not only explains one."""
        return any(each.verb == "INSERT" for each in self.statements)

    def says(self, phrase: str) -> bool:
        """Say whether a statement has these words."""
        return any(each.says(phrase) for each in self.statements)


def script(name: str, text: str, addresses: Mapping[str, str]) -> Script:
    """Return the statements of a text, `${NAME}` replaced by the address of that name.

    Raises:
        BadConfig: no statement in it, one that is not for here, a quote or comment without its
            end, or an unknown name.
    """
    statements = list(_split(name, _filled(name, text, addresses)))
    if not statements:
        raise BadConfig(f"{name}: holds no statement; write one such as SELECT * FROM alerts")
    _check(name, statements)
    return Script(name, statements)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return what to add to "there is no WORD": the known name most like it, or nothing."""
    near = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.5)
    return f'; did you mean "{near[0]}"?' if near else ""


def _check(name: str, statements: list[Statement]) -> None:
    """Refuse what the command has no use for; the planner would take some of it."""
    verbs = {each.verb for each in statements}
    for each in statements:
        where = f"{name}:{each.line}"
        if each.says("STATEMENT SET") or each.verb in ("BEGIN", "END"):
            raise BadConfig(
                f"{where}: leave {each.verb} out: all INSERTs of a file are one job as it is"
            )
        if each.verb not in _VERBS:
            hint = nearest(each.verb, _VERBS) or f"; known here: {', '.join(sorted(_VERBS))}"
            raise BadConfig(f"{where}: {each.verb or each.text[:1]} begins no statement{hint}")
        if each.verb == "SELECT" and "INSERT" in verbs:
            raise BadConfig(
                f"{where}: a query beside an INSERT; one answers and ends, the other runs on, so "
                "put them into files of their own"
            )


def _filled(name: str, text: str, addresses: Mapping[str, str]) -> str:
    def address(found: re.Match[str]) -> str:
        if found[1] not in addresses:
            line = text.count("\n", 0, found.start()) + 1
            hint = nearest(found[1], addresses) or f"; known here: {', '.join(sorted(addresses))}"
            raise BadConfig(f"{name}:{line}: nothing is called ${{{found[1]}}}{hint}")
        return addresses[found[1]].replace("'", "''")

    return _NAME.sub(address, text)


def _split(name: str, text: str) -> Iterator[Statement]:
    begin = 0
    for token in _TOKEN.finditer(text):
        if token["open"]:
            line, column = _position(text, token.start())
            raise BadConfig(
                f"{name}:{line}:{column}: {token['open']} has no end; close it, or double a quote "
                "that stands for itself"
            )
        if token["end"]:
            yield from _statement(text, begin, token.start())
            begin = token.end()
    yield from _statement(text, begin, len(text))


def _statement(text: str, begin: int, end: int) -> Iterator[Statement]:
    """Yield what stands between two semicolons, unless that is space and comments only."""
    while begin < end:
        token = _TOKEN.match(text, begin)
        if token and token["comment"]:
            begin = token.end()
        elif text[begin].isspace():
            begin += 1
        else:
            yield Statement(text[begin:end].rstrip(), *_position(text, begin))
            return


def _position(text: str, index: int) -> tuple[int, int]:
    return text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)
