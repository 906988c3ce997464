"""Rules by event time: a pushed set holds for all panes that end at its `effective_from` or later.

    version   1 ────────────┐            of several in force the highest version counts, so a
              3      ───────┴──────▶     later push replaces an earlier one that was to come
              2          (never)

A set must be on the topic before the event time from which it holds. Whoever takes panes makes sure
to know the topic up to a pane's end first, so all decide alike, whenever they hear of a set.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

from schemas.config import ConfigError
from schemas.records import RuleSet
from stream.commands import Said
from stream.device_state import DeviceState
from stream.engine import NOTHING, Decision, Engine
from stream.fleet import Fleet
from stream.pane_sizes import beyond
from stream.panes import Pane, fold_points
from stream.rule import Rules
from stream.rules import parse_rules

ALWAYS = -(1 << 62)
"""Before every event time."""
_MOST_ENGINES = 16


class Dated(NamedTuple):
    """Rules and the event time from which they hold, ms; version 0 is what a job came with."""

    version: int
    from_ms: int
    rules: Rules


class Refused(ValueError):
    """A set on the topic that nobody takes; says why."""


def text_digest(text: str) -> str:
    """Return what a set's ``sha256`` is to be."""
    return hashlib.sha256(text.encode()).hexdigest()


def admitted(given: RuleSet, appended_ms: int, newest: int, panes: str) -> Dated:
    """Return the rules of a set on the topic, in the order of the topic.

    A function of the topic alone and of the job's panes: every worker takes and refuses the same.

    Args:
        given: the set.
        appended_ms: when the broker took it.
        newest: the highest version before it on the topic, 0 if there is none.
        panes: the pane operator's sizes, such as ``temperature=900000,*=300000``.

    Raises:
        Refused: it came too late, its version was taken, its text is not whole or no rules that
            this release reads, or its windows do not go into the job's panes.
    """
    if given.version <= newest:
        raise Refused(f"version {given.version} comes behind version {newest}")
    if appended_ms >= given.effective_from:
        raise Refused(
            f"version {given.version} reached the topic at {appended_ms}, and was to hold from "
            f"{given.effective_from} on: windows that end since then may have been decided"
        )
    if text_digest(given.text) != given.sha256:
        raise Refused(f"version {given.version} is not the text its sha256 is of")
    try:
        rules = parse_rules(given.text, f"version {given.version}")
    except ConfigError as error:
        raise Refused(str(error)) from error
    if wrong := beyond(panes, rules):
        raise Refused(f"version {given.version}: {'; '.join(wrong)}")
    return Dated(given.version, given.effective_from, rules)


def in_turn(sets: Iterable[Dated]) -> list[Dated]:
    """Return the sets that hold at some time, each until the next one's ``from_ms``."""
    found: list[Dated] = []
    for each in sorted(sets, key=lambda one: (one.from_ms, one.version)):
        if found and each.from_ms == found[-1].from_ms:
            found.pop()
        if not found or each.version > found[-1].version:
            found.append(each)
    return found


class Engines:
    """An engine for each set of rules; every pane goes to that of the set in force at its end."""

    def __init__(self, first: Rules, fleet: Fleet | None = None) -> None:
        """Take the rules that hold while no other set does, and what knows what devices are."""
        self._fleet = fleet
        self._sets = {0: Dated(0, ALWAYS, first)}
        self._made: dict[int, Engine] = {}
        self._line_up()

    def know(self, dated: Dated) -> None:
        """Take another set, before any pane that ends at its ``from_ms`` or later."""
        self._sets[dated.version] = dated
        self._line_up()

    def version_at(self, at: int) -> int:
        """Return the version of the set that holds at an event time, ms."""
        return self._turns[self._index(at)].version

    def on_pane(
        self,
        state: DeviceState,
        device_id: str,
        metric: str,
        site: str,
        unit: str | None,
        pane: Pane,
    ) -> Decision:
        """Take the next pane of a device as :meth:`stream.engine.Engine.on_pane` does.

        What ended while other rules were in force, and is only known to be over now that the
        device has gone on, is decided by those.
        """
        if len(self._turns) == 1:
            return self._engine(0).on_pane(state, device_id, metric, site, unit, pane)
        now = self._index(pane.pane_end)
        seen_to = state.series(metric).seen_to
        before = NOTHING
        if seen_to is None or seen_to < self._starts[now]:
            before = self._close(state, (device_id, metric, site, unit), pane, now)
        made = self._engine(now).on_pane(state, device_id, metric, site, unit, pane)
        return made if before is NOTHING else _joined(before, made)

    def obey(
        self, state: DeviceState, device_id: str, site: str, said: list[Said], at: int
    ) -> Decision:
        """Do what people say of a device's alerts, as :meth:`stream.engine.Engine.obey` does."""
        return self._engine(self._index(at)).obey(state, device_id, site, said, at)

    def _close(
        self, state: DeviceState, of: tuple[str, str, str, str | None], pane: Pane, now: int
    ) -> Decision:
        """Give out what ended under the sets before ``now``: empty panes close it."""
        found = self._settle(state, of[0], now)
        seen_to = state.series(of[1]).seen_to
        if seen_to is None:
            return found
        size = pane.pane_end - pane.pane_start
        for index in range(self._index(seen_to), now):
            end = (self._starts[index + 1] - 1) // size * size
            if end > seen_to:
                empty = fold_points(max(seen_to, end - size), end, ())
                found = _joined(found, self._engine(index).on_pane(state, *of, empty))
                found = _joined(found, self._settle(state, of[0], index + 1))
                seen_to = end
        return found

    def _settle(self, state: DeviceState, device_id: str, before: int) -> Decision:
        """Let panes that wait be taken by the rules that were in force at their end."""
        if not any(self._engine(index).has_conditions for index in range(before)):
            return NOTHING
        entry = state.entry()
        if not entry.held or (index := self._index(entry.held_to)) >= before:
            return NOTHING
        return self._engine(index).settle(state, device_id)

    def _line_up(self) -> None:
        self._turns = in_turn(self._sets.values())
        self._starts = [each.from_ms for each in self._turns]

    def _index(self, at: int) -> int:
        return max(bisect_right(self._starts, at) - 1, 0)

    def _engine(self, index: int) -> Engine:
        of = self._turns[index]
        found = self._made.get(of.version)
        if found is None:
            if len(self._made) >= _MOST_ENGINES:
                self._made.clear()
            found = self._made[of.version] = Engine(of.rules, fleet=self._fleet)
        return found


def _joined(first: Decision, second: Decision) -> Decision:
    if first is NOTHING:
        return second
    return Decision(first.windows + second.windows, first.alerts + second.alerts)
