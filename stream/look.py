"""What the engine tells of each window and rule to whoever watches: offline only."""

from collections.abc import Callable
from typing import NamedTuple

from schemas.records import Alert, WindowFeatures
from stream.conditions import Gate
from stream.detectors import Verdict
from stream.device_state import RuleState
from stream.rule import Rule


class Held(NamedTuple):
    """What held a rule back: planned work, a stronger alert, a sensor that is not to be trusted."""

    works: bool = False
    inhibited: bool = False
    doubted: bool = False


class Look(NamedTuple):
    """What a rule made of a window, as far as it got.

    ``since``: since when its condition is met, ms; None when it is not for the whole window, and
    ``gate`` says how far it is. ``value`` is what it looks at of the window. ``verdict``: what was
    compared; None when nothing was. ``own`` is what the rule remembers after it, as it is changed
    later: who looks takes what is needed at once.
    """

    rule: Rule
    window: WindowFeatures
    value: float
    enough: bool
    since: int | None
    gate: Gate | None
    verdict: Verdict | None
    own: RuleState
    alert: Alert | None
    held: Held = Held()


Watch = Callable[[Look], None]
