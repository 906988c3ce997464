"""What holds rules back, of a rule file: checked for what cannot work."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any

from schemas.config import Complaint
from schemas.toml_lines import KeyPath
from stream.compound_file import Names, SuppressFile
from stream.match_said import globs_of
from stream.names_said import named
from stream.suppress import Inhibit, Pause, Suppress

_INHIBIT, _PAUSE = ("inhibit", "if_firing"), ("rules", "from", "to")


def suppress_of(
    said: Sequence[SuppressFile], names: Sequence[str], complaints: list[Complaint]
) -> Suppress:
    """Return what holds back which of the rules of these names; add what is wrong."""
    pauses: list[Pause] = []
    inhibits: list[Inhibit] = []
    for index, each in enumerate(said):
        path: KeyPath = ("suppress", index)
        wrong = list(_form(each, path))
        complaints += wrong
        if wrong:
            continue
        if each.inhibit is not None:
            inhibits.append(_inhibit(each, names, path, complaints))
        else:
            pauses.append(_pause(each, names, path, complaints))
    return Suppress(tuple(pauses), tuple(inhibits))


def _form(said: SuppressFile, path: KeyPath) -> Iterator[Complaint]:
    given = {
        "inhibit": said.inhibit, "if_firing": said.if_firing, "rules": said.rules,
        "from": said.start, "to": said.to, "device": said.device, "site": said.site,
    }  # fmt: skip
    there = {key for key, value in given.items() if value is not None}
    form = _INHIBIT if there & set(_INHIBIT) else _PAUSE
    missing = [key for key in form if key not in there]
    if missing:
        yield Complaint(
            path,
            f"misses {', '.join(missing)}; expected inhibit and if_firing, or rules, from and to",
        )
    if form is _INHIBIT:
        for key in sorted(there - set(_INHIBIT)):
            yield Complaint((*path, key), "means nothing beside inhibit")


def _inhibit(
    said: SuppressFile, names: Sequence[str], path: KeyPath, complaints: list[Complaint]
) -> Inhibit:
    rules = _names(said.inhibit, names, (*path, "inhibit"), complaints)
    firing = _names(said.if_firing, names, (*path, "if_firing"), complaints)
    outright = {said.inhibit} if isinstance(said.inhibit, str) else set(said.inhibit or ())
    complaints += [
        Complaint((*path, "inhibit"), f"{name} cannot inhibit itself")
        for name in sorted(firing & outright)
    ]
    return Inhibit(rules - firing, firing)


def _pause(
    said: SuppressFile, names: Sequence[str], path: KeyPath, complaints: list[Complaint]
) -> Pause:
    rules = _names(said.rules, names, (*path, "rules"), complaints)
    start = _time(said.start, (*path, "from"), complaints)
    end = _time(said.to, (*path, "to"), complaints)
    if start is not None and end is not None and end <= start:
        complaints.append(Complaint((*path, "to"), f"expected a time after from, got {said.to}"))
    device = globs_of("*" if said.device is None else said.device, (*path, "device"), complaints)
    site = globs_of("*" if said.site is None else said.site, (*path, "site"), complaints)
    return Pause(rules, start or 0, end or 0, device, site)


def _names(
    said: Names | None, known: Sequence[str], path: KeyPath, complaints: list[Complaint]
) -> frozenset[str]:
    found: list[str] = []
    if not said:
        complaints.append(Complaint(path, "expected at least one rule"))
    for text in [said] if isinstance(said, str) else said or ():
        own = named(text, known, known, path)
        if isinstance(own, Complaint):
            complaints.append(own)
        else:
            found += own
    return frozenset(found)


def _time(said: Any, path: KeyPath, complaints: list[Complaint]) -> int | None:
    """Read a time, which YAML makes a date or a time of if it can; UTC unless it says otherwise."""
    try:
        at = said if isinstance(said, date) else datetime.fromisoformat(str(said))
    except ValueError:
        expected = "expected a time such as 2026-01-31T06:00Z or a date, got"
        complaints.append(Complaint(path, f"{expected} {said!r}"))
        return None
    if not isinstance(at, datetime):
        at = datetime(at.year, at.month, at.day, tzinfo=UTC)
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
