"""Roll-ups and sessions of a rule file: what they mean, checked for what cannot work."""

import re
from collections.abc import Iterator
from itertools import pairwise

from schemas.amounts import told_ms
from schemas.config import Complaint
from schemas.toml_lines import KeyPath
from stream.conditions import When
from stream.conditions_said import one_metric
from stream.match_said import globs_of, match_of
from stream.rollups import ROLLUPS_MS
from stream.rule import Match, Rollup, Session
from stream.rule_file import RollupFile, SessionFile

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_SIZES = ", ".join(map(told_ms, ROLLUPS_MS))


def rollups_of(entries: tuple[RollupFile, ...], complaints: list[Complaint]) -> tuple[Rollup, ...]:
    """Return the roll-ups; add what is wrong to ``complaints``."""
    found = []
    for index, entry in enumerate(entries):
        path: KeyPath = ("rollups", index)
        if entry.size not in ROLLUPS_MS:
            told = f"expected one of {_SIZES}, got {told_ms(entry.size)}"
            complaints.append(Complaint((*path, "size"), told))
        match = match_of(entry.metric, entry.device, entry.site, path, complaints)
        found.append(Rollup(match, int(entry.size)))
    return tuple(found)


def sessions_of(
    entries: tuple[SessionFile, ...], complaints: list[Complaint]
) -> tuple[Session, ...]:
    """Return the sessions; add what is wrong to ``complaints``."""
    complaints += _twice(entries)
    found = []
    for index, entry in enumerate(entries):
        path: KeyPath = ("sessions", index)
        complaints += _mistakes(entry, path)
        match = Match(
            globs_of(entry.of, (*path, "of"), complaints),
            globs_of(entry.device, (*path, "device"), complaints),
            globs_of(entry.site, (*path, "site"), complaints),
        )
        state = entry.state
        found.append(
            Session(entry.name, match, When(state.metric, state.op, state.value), int(entry.gap))
        )
    return tuple(found)


def _mistakes(entry: SessionFile, path: KeyPath) -> Iterator[Complaint]:
    if not _NAME.fullmatch(entry.name):
        yield Complaint(
            (*path, "name"), f"expected lower-case letters, digits and _, got {entry.name!r}"
        )
    if entry.gap <= 0 or entry.gap % 1000:
        told = f"expected whole seconds, such as 30s or 5m, got {told_ms(entry.gap)}"
        yield Complaint((*path, "gap"), told)
    yield from one_metric(entry.state.metric, (*path, "while", "metric"))


def _twice(entries: tuple[SessionFile, ...]) -> Iterator[Complaint]:
    names = sorted((entry.name, index) for index, entry in enumerate(entries))
    for (name, _), (again, index) in pairwise(names):
        if name == again:
            yield Complaint(("sessions", index, "name"), f"{name!r} is there twice")
