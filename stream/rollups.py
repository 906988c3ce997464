"""Roll-ups: tumbling windows of every matching series, whether or not a rule looks at them.

Each holds one partial merge, not its panes: a day of 1-second panes is as small as an hour of
15-minute ones, and the row is to the bit what all of its panes merged in order give.
"""

from collections.abc import Sequence

import msgspec

from schemas.records import WindowFeatures
from stream.panes import Pane
from stream.windows import Moments, Subject, described, merged

ROLLUPS_MS = (60_000, 300_000, 900_000, 3_600_000, 86_400_000)
"""Sizes there are. Each begins at a whole multiple of itself since the epoch: a day's is UTC's."""


class Partial(msgspec.Struct, array_like=True, frozen=True):
    """A roll-up that is not complete: its start, ms, and what it holds so far."""

    start: int
    moments: Moments


class Rolled(msgspec.Struct, array_like=True):
    """A series' roll-ups by size, ms; ``seen_to`` is the end of the newest pane."""

    seen_to: int = 0
    partial: dict[int, Partial] = {}


def roll_up(rolled: Rolled, sizes: Sequence[int], of: Subject, pane: Pane) -> list[WindowFeatures]:
    """Take the next pane of a series; return the rows it completes, in order of their ends.

    A row is complete when a pane that ends with it or later has come, as a sliding window is.

    Args:
        rolled: changed in place; what is no longer asked for is forgotten.
        sizes: the lengths asked for, ms, the shortest first.
        of: whose pane it is.
        pane: passed over when it does not follow the newest one; no longer than any of the sizes.
    """
    if pane.pane_start < rolled.seen_to:
        return []
    rolled.seen_to = pane.pane_end
    for size in rolled.partial.keys() - set(sizes):
        del rolled.partial[size]
    made = [row for size in sizes for row in _take(rolled.partial, size, of, pane)]
    made.sort(key=lambda row: row.window_end)
    return made


def _take(partial: dict[int, Partial], size: int, of: Subject, pane: Pane) -> list[WindowFeatures]:
    made = []
    start = pane.pane_start // size * size
    held = partial.get(size)
    if held is not None and held.start < start:
        made.append(described(of, held.start, held.start + size, held.moments))
        del partial[size]
        held = None
    if pane.n > 0:
        held = Partial(start, merged(start, (pane,), None if held is None else held.moments))
        partial[size] = held
    if held is not None and pane.pane_end >= start + size:
        made.append(described(of, start, start + size, held.moments))
        del partial[size]
    return made
