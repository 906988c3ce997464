"""From what a check found to the record of an alert, if it makes one."""

from msgspec.structs import replace

from schemas.records import WindowFeatures
from stream.detectors import Verdict
from stream.device_state import RuleState
from stream.rule import Rule
from stream.rule_life import settle, tell
from stream.sensor_checks import Finding
from stream.turn import Turn
from stream.windows import Subject


def empty(of: Subject, start: int, end: int) -> WindowFeatures:
    """Return a window that holds nothing."""
    zero = (0.0,) * 8
    return WindowFeatures(of.device_id, of.metric, of.site, start, end, 0, *zero)


def settle_check(
    turn: Turn, rule: Rule, own: RuleState, window: WindowFeatures, found: Finding
) -> None:
    """Take a finding into the life of a check's alert, and add the record of a transition.

    A check's limits depend on what it has learned, so its records have those of the finding.
    """
    if not own.life.levels and found.score < rule.severities[0].enter:
        return  # nearly always
    known = found.usual
    verdict = Verdict(
        found.score,
        found.value,
        None if known is None else (found.value - known.mean) / known.std,
        None if known is None else known.mean,
        None if known is None else known.std,
    )
    limits = replace(rule.severities[0], shown_enter=found.enter, shown_exit=found.exit)
    shown = replace(rule, severities=(limits,), op="<=" if found.below else ">=")
    alert = settle(shown, own.life, turn, window, verdict)
    if alert is not None:
        tell(turn, rule, alert)
