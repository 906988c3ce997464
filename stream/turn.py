"""What the turn of one series changes, reads and adds to."""

from collections.abc import Mapping

import msgspec

from schemas.records import Alert, WindowFeatures
from stream.conditions import Gate
from stream.device_state import SeriesState
from stream.look import Watch
from stream.suppress import Inhibit, Spans
from stream.windows import Subject


class Out(msgspec.Struct, frozen=True, gc=False):
    """What a pane has led to so far; ``watch``, if any, is told of every look.

    ``windows`` is None where nobody asks for the rows of windows.
    """

    windows: list[WindowFeatures] | None
    alerts: list[Alert]
    watch: Watch | None = None


class Holds(msgspec.Struct, frozen=True, gc=False):
    """What holds rules back: planned work, and stronger alerts.

    ``now`` are the rules that may not begin; those are added that an alert of this turn inhibits.
    """

    spans: Spans
    inhibits: tuple[Inhibit, ...]
    now: set[str]


class Turn(msgspec.Struct, frozen=True, gc=False):
    """What a series' turn changes, reads and adds to."""

    state: SeriesState
    of: Subject
    gates: Mapping[str, Gate]
    holds: Holds
    out: Out
