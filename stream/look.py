"""What the engine tells of each window and rule to whoever watches: offline only."""

from collections.abc import Callable
from typing import NamedTuple

from schemas.records import Alert, WindowFeatures
from stream.conditions import Gate
from stream.detectors import Verdict
from stream.device_state import RuleState
from stream.rule import Rule


class Look(NamedTuple):
    """What a rule made of a window, as far as it got.

    ``since``: since when its condition is met, ms; None when it is not for the whole window, and
    ``gate`` says how far it is. ``verdict``: what was compared; None when nothing was. ``own`` is
    what the rule remembers after it, as it is changed later: who looks takes what is needed at
    once. ``works``: there is planned work; ``inhibited``: a stronger alert stands.
    """

    rule: Rule
    window: WindowFeatures
    enough: bool
    since: int | None
    gate: Gate | None
    verdict: Verdict | None
    own: RuleState
    alert: Alert | None
    works: bool = False
    inhibited: bool = False


Watch = Callable[[Look], None]
