"""Where SQL comes from: a file, standard input, or an example that ships."""

import sys
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from schemas.failure import BadConfig
from stream.sql_text import nearest

_EXAMPLES = files("stream") / "sql_examples"


class Source(NamedTuple):
    """A text, what errors call it, and what a job of it is called."""

    name: str
    text: str
    job: str


def examples() -> dict[str, str]:
    """Return the shipped examples with their first lines, which say what they answer."""
    found = {}
    for entry in sorted(_EXAMPLES.iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".sql"):
            first = entry.read_text("utf-8").partition("\n")[0]
            found[entry.name.removesuffix(".sql")] = first.removeprefix("-- ")
    return found


def read_sql(source: str) -> Source:
    """Return the text of a file, of an example by its name, or of standard input for "-".

    Raises:
        BadConfig: there is no such file or example, or it is no UTF-8.
    """
    if source == "-":
        return Source("<stdin>", sys.stdin.read(), "stdin")
    if source in examples():
        return Source(f"{source}.sql", (_EXAMPLES / f"{source}.sql").read_text("utf-8"), source)
    path = Path(source)
    try:
        return Source(source, path.read_text("utf-8"), path.stem)
    except UnicodeDecodeError as error:
        raise BadConfig(f"{source}: not UTF-8: {error}") from error
    except OSError as error:
        hint = nearest(source, examples())
        raise BadConfig(f"{source}: {error.strerror}, and no example is called so{hint}") from error
