"""What every rule of a rule file says of itself and of others: names, versions, annotations."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from schemas.config import Complaint, nearest
from schemas.toml_lines import KeyPath
from stream.alert_record import PLACEHOLDER
from stream.compound_file import CompoundEntry
from stream.globs import is_glob, matches
from stream.rule_file import RuleEntry, SensorEntry

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


def digest_of(meaning: Any) -> str:
    """Return what changes with a rule's meaning."""
    return hashlib.sha256(msgspec.json.encode(meaning)).hexdigest()[:12]


def mistakes(
    entry: RuleEntry | CompoundEntry | SensorEntry, path: KeyPath, fields: Sequence[str]
) -> Iterator[Complaint]:
    """Yield what is wrong with a rule's name, version and annotations (with ``fields``)."""
    if not _NAME.fullmatch(entry.name):
        yield Complaint(
            (*path, "name"), f"expected lower-case letters, digits and _, got {entry.name!r}"
        )
    if not 0 <= entry.version < 1 << 31:
        yield Complaint((*path, "version"), f"expected 0 or more, got {entry.version}")
    for key, text in entry.annotations.items():
        for name in PLACEHOLDER.findall(text):
            if name not in fields:
                yield Complaint(
                    (*path, "annotations", key),
                    f"knows no {{{{{name}}}}}; there are: {', '.join(fields)}",
                )


def named(
    text: str, known: Sequence[str], globbed: Sequence[str], path: KeyPath
) -> tuple[str, ...] | Complaint:
    """Return the rules that a name or a glob means; a complaint for none.

    Args:
        text: the name or glob.
        known: the names there are.
        globbed: those among which a glob looks.
        path: where it stands.
    """
    found = tuple(name for name in globbed if matches((text,), name)) if is_glob(text) else ()
    if found or text in known:
        return found or (text,)
    near = nearest(text, known) or f"; there are: {', '.join(known)}"
    return Complaint(path, f"no rule {'matches' if is_glob(text) else 'is named'} {text!r}{near}")
