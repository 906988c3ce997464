"""Severities of a rule file: their limits in order, their delays in ms or evaluations."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from math import inf, nextafter
from typing import NamedTuple

from schemas.amounts import duration
from schemas.config import Complaint
from schemas.records import Severity as SeverityName
from schemas.toml_lines import KeyPath
from stream.detectors import Op, signed
from stream.iso import change_limits, leave, zone_limits
from stream.lifecycle import ORDER, Hold, Severity
from stream.rule_file import HoldText, RuleEntry, SeverityFile


class _Limits(NamedTuple):
    """Where a severity begins and ends, as people are told; ``beyond``: not at the value itself."""

    enter: float
    exit: float
    beyond: bool = False


def severities_of(
    entry: RuleEntry, path: KeyPath, complaints: list[Complaint]
) -> tuple[Severity, ...]:
    """Return the severities from the lowest to the highest.

    Args:
        entry: the rule as written.
        path: of the rule in the file.
        complaints: what is wrong is added.
    """
    where = (*path, "severities")
    if not entry.severities:
        complaints.append(Complaint(where, "expected at least one severity"))
    known = _of_standard(entry, path, complaints)
    made = []
    for index, written in enumerate(entry.severities):
        limits = _limits(written, known, (*where, index), complaints)
        if limits is not None:
            severity = _severity(entry.compare.op, written, limits, (*where, index), complaints)
            made.append((index, severity))
    made.sort(key=lambda pair: ORDER.index(pair[1].level))
    complaints += _out_of_order(made, where)
    return tuple(severity for _, severity in made)


def _of_standard(
    entry: RuleEntry, path: KeyPath, complaints: list[Complaint]
) -> Mapping[SeverityName, float] | None:
    """Return the limits that `iso` gives to severities, None without it."""
    if entry.iso is None:
        return None
    to, op = entry.compare.to, entry.compare.op
    if to not in ("value", "offset") or op != ">=":
        complaints.append(
            Complaint(
                (*path, "iso"),
                'has limits for ">=" of the value, or of its offset from a baseline; not for '
                f'"{op}" of {to}',
            )
        )
    return change_limits(entry.iso) if to == "offset" else zone_limits(entry.iso)


def _limits(
    written: SeverityFile,
    known: Mapping[SeverityName, float] | None,
    path: KeyPath,
    complaints: list[Complaint],
) -> _Limits | None:
    if known is None:
        if written.enter is None:
            complaints.append(Complaint((*path, "enter"), "missing; it has no default"))
            return None
        return _Limits(written.enter, written.enter if written.exit is None else written.exit)
    if written.enter is not None:
        complaints.append(Complaint((*path, "enter"), "is what iso says; leave one of them out"))
        return None
    enter = known.get(written.level)
    if enter is None:
        complaints.append(
            Complaint((*path, "level"), f"of a change, iso says {' and '.join(known)} only")
        )
        return None
    return _Limits(enter, leave(enter) if written.exit is None else written.exit, beyond=True)


def _severity(
    op: Op, entry: SeverityFile, limits: _Limits, path: KeyPath, complaints: list[Complaint]
) -> Severity:
    if op == "abs>=" and (limits.enter <= 0 or limits.exit < 0):
        complaints.append(Complaint(path, '"abs>=" compares distances: limits are positive'))
    enter, leave_at = signed(op, limits.enter), signed(op, limits.exit)
    if leave_at > enter:
        side = "above" if op == "<=" else "below"
        complaints.append(
            Complaint(
                (*path, "exit"),
                f"{limits.exit:g} is on the wrong side of enter; "
                f'with "{op}" it is {limits.enter:g} or {side}',
            )
        )
    return Severity(
        entry.level,
        nextafter(enter, inf) if limits.beyond else enter,
        leave_at,
        _hold(entry.delay, (*path, "for"), complaints),
        _hold(entry.keep_firing_for, (*path, "keep_firing_for"), complaints),
        limits.enter,
        limits.exit,
    )


def _hold(text: HoldText, path: KeyPath, complaints: list[Complaint]) -> Hold:
    """Read a duration of event time, or an integer that counts evaluations."""
    if isinstance(text, int):
        if not 0 <= text <= 1_000_000:
            complaints.append(Complaint(path, f"expected 0 or more evaluations, got {text}"))
        return Hold(count=text)
    try:
        return Hold(ms=int(duration(text)))
    except ValueError as error:
        complaints.append(Complaint(path, f"{error}, or a number of evaluations"))
        return Hold()


def _out_of_order(made: Sequence[tuple[int, Severity]], path: KeyPath) -> Iterator[Complaint]:
    for (_, low), (index, high) in pairwise(made):
        if low.level == high.level:
            yield Complaint((*path, index, "level"), f"{high.level} is there twice")
        elif high.enter <= low.enter:
            yield Complaint(
                (*path, index, "enter"),
                f"{high.level} at {high.shown_enter:g} is no worse than "
                f"{low.level} at {low.shown_enter:g}",
            )
        elif high.exit < low.exit:
            yield Complaint(
                (*path, index, "exit"),
                f"{high.level} would outlast {low.level}, whose exit is {low.shown_exit:g}",
            )
