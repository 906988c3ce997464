"""Where the keys of a TOML document stand; the standard parser does not say."""

import re

KeyPath = tuple[str | int, ...]


def key_lines(text: str) -> dict[KeyPath, int]:
    """Return the line of every table and key of a TOML document, counted from 1."""
    lines: dict[KeyPath, int] = {}
    counts: dict[KeyPath, int] = {}
    table: KeyPath = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(#.*)?$", line):
            table = _in_arrays(_dotted(header[2]), counts)
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            lines.setdefault(table, number)
        elif pair := re.match(r"""\s*((?:"[^"]*"|'[^']*'|[A-Za-z0-9_.\- ])+?)\s*=""", line):
            lines.setdefault(table + _dotted(pair[1]), number)
    return lines


def _dotted(key: str) -> KeyPath:
    parts = re.findall(r"""\s*("[^"]*"|'[^']*'|[^.]+)\s*""", key)
    return tuple(part.strip().strip("\"'") for part in parts)


def _in_arrays(table: KeyPath, counts: dict[KeyPath, int]) -> KeyPath:
    """Put the index of the current element behind every array of tables on the way."""
    path: KeyPath = ()
    for depth, part in enumerate(table, start=1):
        path = (*path, part)
        if path in counts and depth < len(table):
            path = (*path, counts[path])
    return path
