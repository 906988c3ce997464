"""Names with wildcards, as rule files have them."""

from fnmatch import fnmatchcase

_SIGNS = frozenset("*?[")


def is_glob(text: str) -> bool:
    """Say whether a text can match more than itself."""
    return not _SIGNS.isdisjoint(text)


def matches(globs: tuple[str, ...], name: str) -> bool:
    """Say whether a name matches one of the globs."""
    return any(glob == name or (is_glob(glob) and fnmatchcase(name, glob)) for glob in globs)
