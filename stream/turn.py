"""What the turn of one series changes, reads and adds to."""

from collections.abc import Mapping
from typing import NamedTuple

from schemas.records import Alert, WindowFeatures
from stream.conditions import Gate
from stream.device_state import SeriesState
from stream.look import Watch
from stream.suppress import Inhibit, Spans
from stream.windows import Subject


class Out(NamedTuple):
    """What a pane has led to so far; ``watch``, if any, is told of every look."""

    windows: list[WindowFeatures]
    alerts: list[Alert]
    watch: Watch | None = None


class Holds(NamedTuple):
    """What holds rules back: planned work, and stronger alerts.

    ``now`` are the rules that may not begin; those are added that an alert of this turn inhibits.
    """

    spans: Spans
    inhibits: tuple[Inhibit, ...]
    now: set[str]


class Turn(NamedTuple):
    """What a series' turn changes, reads and adds to."""

    state: SeriesState
    of: Subject
    gates: Mapping[str, Gate]
    holds: Holds
    out: Out
