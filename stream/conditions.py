"""The state of a machine as a condition: a rule counts only while another metric says so.

    running  ──▶ gate `running>=0.5`: true since 08:10, told up to 09:00
    every rule with `when: {metric: running, op: ">=", value: 0.5, for: 30m}` asks that gate

A gate is a function of the panes of its metric. A metric that falls silent is taken to be as it
was: many machines tell their state only when it changes.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

import msgspec

from stream.panes import Pane

WhenOp = Literal[">=", "<="]
WhenOpen = Literal["hold", "close"]


class When(msgspec.Struct, frozen=True):
    """A condition on another metric of the device.

    With an ``op``: all readings have met it for ``held_ms``, and ``open`` says what becomes of an
    open alert while it is not met. Without: the device has never told the metric.
    """

    metric: str
    op: WhenOp | None = None
    value: float = 0.0
    held_ms: int = 0
    open: WhenOpen = "close"

    @property
    def gate(self) -> str:
        """Name of what is remembered for it; conditions that differ in delay alone share it."""
        return _gate_name(self.metric, self.op, self.value)


@lru_cache(maxsize=1024)
def _gate_name(metric: str, op: WhenOp | None, value: float) -> str:
    return metric if op is None else f"{metric}{op}{value!r}"


class Gate(msgspec.Struct, array_like=True):
    """What is remembered of a condition: true since then (ms) or not true, and told up to then."""

    since: int | None
    seen_to: int


def told(gate: Gate | None, when: When, pane: Pane) -> Gate:
    """Return the gate after a pane of its metric; bad readings say nothing.

    In a pane of both kinds of readings the condition is true from the last one on, if at all.
    """
    if gate is not None and pane.pane_start < gate.seen_to:
        return gate  # it has been seen
    since = None if gate is None else gate.since
    if when.op is not None and pane.n > 0:
        if _met(when, pane.lo if when.op == ">=" else pane.hi):
            since = pane.first_ts if since is None else since
        else:
            since = pane.last_ts if _met(when, pane.last_value) else None
    return Gate(since, pane.pane_end)


def enabled_since(when: When, gates: Mapping[str, Gate], end: int) -> int | None:
    """Return since when the condition has been met, ms, if long enough at ``end``; else None.

    A device that has never told the metric has been such a one for ever: 0.
    """
    gate = gates.get(when.gate) if gates else None
    if when.op is None:
        return 0 if gate is None else None
    if gate is None or gate.since is None or gate.since > end - when.held_ms:
        return None
    return gate.since


def is_out_of_question(when: When, gates: Mapping[str, Gate]) -> bool:
    """Say whether the condition cannot be met whatever the state: told, or never told, at all."""
    return (when.op is None) == (bool(gates) and when.gate in gates)


def _met(when: When, value: float) -> bool:
    return value >= when.value if when.op == ">=" else value <= when.value
