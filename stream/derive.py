"""Metrics made of metrics: panes of several of a device's series become a pane of another.

    torque  ──▶ part ─┐ each has come up to the end of the interval
    speed   ──▶ part ─┴──▶ power = torque * speed, a pane like any other

A value is that of the inputs' means over one interval, the derived metric's pane. It is made when
each input has come up to the interval's end, or the device has gone on; without one of the inputs
there is none. So what comes out is a function of the sequence of a device's panes alone.
"""

from collections.abc import Sequence
from math import isfinite
from typing import NamedTuple

import msgspec

from stream.expressions import Expression
from stream.models import T2Q, remaining_life, t2_q
from stream.panes import Pane
from stream.rule import Derived


class Part(msgspec.Struct, array_like=True):
    """What has come of one input in the open interval, up to ``to``, ms."""

    n: int
    mean: float
    first_ts: int
    last_ts: int
    to: int


class DerivedState(msgspec.Struct, array_like=True):
    """What is remembered of one derived metric; new fields go to the end, with a default.

    ``parts`` are of the interval that ends at ``end``; nothing before ``done_to`` is taken any
    more. ``memory`` is the model's own.
    """

    digest: str
    done_to: int = 0
    end: int = 0
    parts: dict[str, Part] = {}
    memory: list[float] = []


class Given(NamedTuple):
    """A pane, of a sensor or derived, and whose it is."""

    metric: str
    unit: str | None
    pane: Pane


def derive(
    states: dict[str, DerivedState], derived: Sequence[Derived], arrived: Given
) -> list[Given]:
    """Return a pane with those that it leads to, in order of their ends.

    First come those that were still open when the device went on, then the pane itself, then what
    it completes. A sensor's pane of a derived metric's name is left out.

    Args:
        states: the device's, by derived metric; changed in place.
        derived: the device's, each behind those that it is made of.
        arrived: the next pane of the device.
    """
    now = arrived.pane.pane_end
    due = _complete(states, derived, [], now)
    taken = [] if any(each.metric == arrived.metric for each in derived) else [arrived]
    return due + _complete(states, derived, taken, now)


def _complete(
    states: dict[str, DerivedState], derived: Sequence[Derived], rows: list[Given], now: int
) -> list[Given]:
    """Give the rows to whom they are inputs; return them with what is complete or over."""
    for each in derived:
        inputs = [row for row in rows if row.metric in each.inputs]
        state = states.get(each.metric)
        if state is None and inputs:
            state = states[each.metric] = DerivedState(each.digest)
        for row in inputs:
            assert state is not None, "an input has just made one"
            _fold(state, each, row)
        if state is not None and state.parts and (_is_whole(state, each) or state.end < now):
            pane = _close(state, each)
            if pane is not None:
                rows.append(Given(each.metric, each.unit, pane))
    return rows


def _fold(state: DerivedState, derived: Derived, row: Given) -> None:
    """Take an input's pane into the interval; it may be a fraction of that, but no more."""
    pane = row.pane
    end = -(-pane.pane_end // derived.pane_ms) * derived.pane_ms
    if pane.pane_start < max(state.done_to, end - derived.pane_ms):
        return  # it has been seen
    if end > state.end:
        state.end, state.parts = end, {}
    part = state.parts.get(row.metric)
    if part is None:
        part = Part(0, 0.0, pane.first_ts, pane.last_ts, pane.pane_start)
        state.parts[row.metric] = part
    if pane.pane_start < part.to:
        return
    part.to = pane.pane_end
    if pane.n > 0:
        part.first_ts = pane.first_ts if part.n == 0 else part.first_ts
        part.last_ts = pane.last_ts
        part.n += pane.n
        part.mean += (pane.mean - part.mean) * (pane.n / part.n)


def _is_whole(state: DerivedState, derived: Derived) -> bool:
    """Say whether each input has come up to the interval's end."""
    parts = (state.parts.get(name) for name in derived.inputs)
    return all(part is not None and part.to == state.end for part in parts)


def _close(state: DerivedState, derived: Derived) -> Pane | None:
    """Make the interval's pane; None where an input says nothing or the value is not defined."""
    parts = [part for name in derived.inputs if (part := state.parts.get(name)) and part.n > 0]
    state.parts, state.done_to = {}, state.end
    if len(parts) < len(derived.inputs):
        return None
    value = _value(derived, [part.mean for part in parts], state.memory)
    if not isfinite(value):
        return None
    first_ts = min(part.first_ts for part in parts)
    last_ts = max(part.last_ts for part in parts)
    middle_s = derived.pane_ms / 2000.0
    return Pane(
        state.end - derived.pane_ms, state.end, min(part.n for part in parts), value, 0.0, value,
        value, value, value, first_ts, last_ts, middle_s, 0.0, 0.0, 1, 0.0, 0, 0,
    )  # fmt: skip


def _value(derived: Derived, means: Sequence[float], memory: list[float]) -> float:
    """Return the formula's value; NaN where it has none."""
    try:
        match derived.formula:
            case Expression():
                return derived.formula.evaluate(means)
            case T2Q():
                return t2_q(derived.formula, means)
            case model:
                return remaining_life(model, means, memory)
    except (ArithmeticError, ValueError):
        return float("nan")
