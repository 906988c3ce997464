"""What the turn of one series changes, reads and adds to."""

from collections.abc import Mapping
from typing import NamedTuple

from schemas.records import Alert, WindowFeatures
from stream.conditions import Gate
from stream.device_state import SeriesState
from stream.windows import Subject


class Out(NamedTuple):
    """What a pane has led to so far."""

    windows: list[WindowFeatures]
    alerts: list[Alert]


class Turn(NamedTuple):
    """Whose turn it is, the conditions told so far, and where what follows goes."""

    state: SeriesState
    of: Subject
    gates: Mapping[str, Gate]
    out: Out
