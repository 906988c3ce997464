"""What may not begin now: rules held back by a stronger alert, or by planned work.

A rule that is inhibited goes on as if its delays were longer: what is true stays pending, and fires
once nothing inhibits it any more. A paused rule rests as one does whose machine stands still. In
both cases an alert that is open already stays.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from stream.standing import Board, standing


class Pause(msgspec.Struct, frozen=True):
    """Planned work in [from_ms, to_ms) on devices that match; rules are names."""

    rules: frozenset[str]
    from_ms: int
    to_ms: int
    device: tuple[str, ...]
    site: tuple[str, ...]


class Inhibit(msgspec.Struct, frozen=True):
    """While one of ``if_firing`` has an alert on the device, none of ``rules`` begins; names."""

    rules: frozenset[str]
    if_firing: frozenset[str]


class Suppress(msgspec.Struct, frozen=True):
    """All of a rule file."""

    pauses: tuple[Pause, ...] = ()
    inhibits: tuple[Inhibit, ...] = ()


class Span(NamedTuple):
    """A time of planned work, ms; its end is not in it."""

    start: int
    end: int


Spans = Mapping[str, tuple[Span, ...]]
"""The times of planned work of a device, by rule."""


def resumed(spans: Iterable[Span], start: int, end: int, since: int = 0) -> int | None:
    """Return since when there was no planned work, ms; None if there was any in [start, end).

    ``since`` if there was none before, or none later.
    """
    for span in spans:
        if span.start < end and span.end > start:
            return None
        if span.end <= start:
            since = max(since, span.end)
    return since


def held_back(inhibits: Iterable[Inhibit], board: Board, at: int) -> set[str]:
    """Return the rules that may not begin at a time, ms."""
    return inhibited(inhibits, {each.rule for each in standing(board, at)})


def inhibited(inhibits: Iterable[Inhibit], firing: set[str]) -> set[str]:
    """Return the rules that may not begin while others have an alert."""
    return {rule for each in inhibits if each.if_firing & firing for rule in each.rules}
