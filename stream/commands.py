"""What people say about alerts: to acknowledge, shelve or reset them, and when that is done.

A command is done with the first pane of the alert's device that ends when the broker had it or
later. Whoever takes panes knows the topic up to a pane's end first, so all do it at the same one.
"""

from typing import NamedTuple

from schemas.records import Alert, AlertCommand
from stream.device_state import DeviceState
from stream.device_turn import Device, begin, follow
from stream.lifecycle import Life
from stream.methods import over
from stream.plans import Plan
from stream.rule import AnyRule, Rule
from stream.rule_life import obey
from stream.standing import DEVICE_METRIC, note

_MOST_WAITING = 100_000


class Place(NamedTuple):
    """What an alert is of; its metric is that of no series where a rule over rules made it."""

    rule: str
    device_id: str
    metric: str


class Said(NamedTuple):
    """A command, when the broker had it, ms, and what its alert is of."""

    at: int
    command: AlertCommand
    of: Place


def said(at: int, command: AlertCommand) -> Said:
    """Return a command as the broker had it at ``at``, ms.

    Raises:
        ValueError: its fingerprint can be no alert's.
    """
    parts = command.fingerprint.split("/")
    if len(parts) != len(Place._fields) or not all(parts):
        raise ValueError(f"{command.fingerprint!r} is no alert's fingerprint: rule/device/metric")
    return Said(at, command, Place(*parts))


class Commands:
    """The commands that wait for a pane, by device."""

    def __init__(self) -> None:
        """Begin with none."""
        self._waiting: dict[str, list[Said]] = {}
        self._count = 0

    def know(self, one: Said) -> None:
        """Take a command, in the order of the topic for each alert.

        Raises:
            ValueError: too many wait already.
        """
        if self._count >= _MOST_WAITING:
            raise ValueError(f"{_MOST_WAITING} commands wait for panes of their devices already")
        self._waiting.setdefault(one.of.device_id, []).append(one)
        self._count += 1

    def due(self, device_id: str, at: int) -> list[Said]:
        """Take out those that a pane of a device is to meet that ends at ``at``, ms."""
        waiting = self._waiting.get(device_id)
        if not waiting:
            return []
        due = [each for each in waiting if each.at <= at]
        if len(due) == len(waiting):
            del self._waiting[device_id]
        elif due:
            self._waiting[device_id] = [each for each in waiting if each.at > at]
        self._count -= len(due)
        return due


def obey_all(
    state: DeviceState, plan: Plan, device_id: str, said: list[Said], at: int
) -> list[Alert]:
    """Do what commands on one metric's alerts ask for; return the records, before the pane's turn.

    Args:
        state: the device's, changed in place.
        plan: that of the metric.
        device_id: whose alerts they are.
        said: commands on alerts of the metric; those done before are passed over.
        at: the end of the pane, ms.
    """
    metric = said[0].of.metric
    alerts: list[Alert] = []
    if plan.above.asks:
        begin(Device(device_id, "", state, plan.above), at, alerts)
    first = len(alerts)
    # Several that the broker had in one instant are all new, or none is.
    new = [each for each in said if each.at > _obeyed(state, each.of)]
    for each in new:
        alerts += _done(state, plan, each, at)
    if metric == DEVICE_METRIC:
        note(state.entry().board, alerts[first:], at)
    elif len(alerts) > first:
        device = Device(device_id, alerts[first].site, state, plan.above)
        follow(device, state.series(metric), at, alerts, first)
    return alerts


def _life(state: DeviceState, of: Place) -> Life | None:
    above = of.metric == DEVICE_METRIC
    kept = state.entry().followed if above else state.series(of.metric).rules
    own = kept.get(of.rule)
    return None if own is None else own.life


def _obeyed(state: DeviceState, of: Place) -> int:
    life = _life(state, of)
    return 0 if life is None else life.obeyed


def _done(state: DeviceState, plan: Plan, one: Said, at: int) -> list[Alert]:
    of = one.of
    rule = next((each for each in _rules(plan, of.metric) if each.name == of.rule), None)
    life = _life(state, of)
    if rule is None or life is None:
        return []
    life.obeyed = one.at
    alert = obey(rule, life, one.command, at)
    if alert is None:
        return []
    if alert.event == "RESOLVED" and isinstance(rule, Rule) and rule.method is not None:
        memory = state.series(of.metric).rules[of.rule].memory
        if memory is not None:
            over(rule.method, memory)
    return [alert]


def _rules(plan: Plan, metric: str) -> tuple[AnyRule, ...]:
    if metric == DEVICE_METRIC:
        return plan.above.rules
    grouped = (rule for group in plan.asked.groups for rule in group.rules)
    return (*grouped, *plan.asked.checks)
