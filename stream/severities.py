"""Severities of a rule file: their limits in order, their delays in ms or evaluations."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from schemas.amounts import duration
from schemas.config import Complaint
from schemas.toml_lines import KeyPath
from stream.detectors import Op, signed
from stream.lifecycle import ORDER, Hold, Severity
from stream.rule_file import HoldText, SeverityFile


def severities_of(
    op: Op, entries: Sequence[SeverityFile], path: KeyPath, complaints: list[Complaint]
) -> tuple[Severity, ...]:
    """Return the severities from the lowest to the highest; add what is wrong to ``complaints``."""
    if not entries:
        complaints.append(Complaint(path, "expected at least one severity"))
    made = [
        (index, _severity(op, entry, (*path, index), complaints))
        for index, entry in enumerate(entries)
    ]
    made.sort(key=lambda pair: ORDER.index(pair[1].level))
    complaints += _out_of_order(made, path)
    return tuple(severity for _, severity in made)


def _severity(op: Op, entry: SeverityFile, path: KeyPath, complaints: list[Complaint]) -> Severity:
    shown_exit = entry.enter if entry.exit is None else entry.exit
    if op == "abs>=" and (entry.enter <= 0 or shown_exit < 0):
        complaints.append(Complaint(path, '"abs>=" compares distances: limits are positive'))
    enter, leave = signed(op, entry.enter), signed(op, shown_exit)
    if leave > enter:
        side = "above" if op == "<=" else "below"
        complaints.append(
            Complaint(
                (*path, "exit"),
                f"{shown_exit:g} is on the wrong side of enter; "
                f'with "{op}" it is {entry.enter:g} or {side}',
            )
        )
    return Severity(
        entry.level,
        enter,
        leave,
        hold(entry.delay, (*path, "for"), complaints),
        hold(entry.keep_firing_for, (*path, "keep_firing_for"), complaints),
        entry.enter,
        shown_exit,
        entry.latch,
    )


def hold(text: HoldText, path: KeyPath, complaints: list[Complaint]) -> Hold:
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
