"""In whatever order the lateness allows readings come: the same windows and alerts."""

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

import pytest
from determinism_rig import decided, joined_rules, played, shuffled, taken
from rule_builders import MINUTE, Store

from schemas.records import Reading
from stream.engine import NOTHING, Decision, Engine
from stream.pane_sizes import pane_ms
from stream.panes import PaneRow, panes_of
from stream.rule import Rules
from stream.rules import parse_rules

LATENESS = 16 * MINUTE


@pytest.fixture(scope="module")
def every_pack() -> Rules:
    return parse_rules(joined_rules())


def closed(own: Iterable[Reading], size: Callable[[str], int]) -> Iterator[PaneRow]:
    """Yield the panes of one device as they close, by the pane operator's rules."""
    waiting: dict[tuple[int, str], list[Reading]] = defaultdict(list)
    clock = 0
    for each in own:
        clock = max(clock, each.ts)
        end = (each.ts // size(each.metric) + 1) * size(each.metric)
        if end + LATENESS > clock:
            waiting[end, each.metric].append(each)
        for place in sorted(place for place in waiting if place[0] + LATENESS <= clock):
            yield from panes_of(waiting.pop(place), size)


def online(rules: Rules, own: Iterable[Reading]) -> list[Decision]:
    """Return what the engine says, its state put to bytes at every pane."""
    engine, store, found = Engine(rules), Store(), []
    for row in closed(own, pane_ms(rules)):
        state = store.load()
        found.append(engine.on_pane(state, *row))
        store.keep(state)
    return found


@pytest.mark.parametrize("scenario", ["imbalance", "drop_out", "clock_jump", "duplicates"])
def test_no_order_that_the_lateness_allows_changes_anything(scenario, every_pack):
    own = played(scenario)
    offline = decided(every_pack, taken(own, pane_ms(every_pack), LATENESS).in_panes)
    expected = [each for each in offline if each != NOTHING]
    assert expected
    rng = random.Random(scenario)
    for order in (own, list(shuffled(own, LATENESS, rng))):
        assert [each for each in online(every_pack, order) if each != NOTHING] == expected


def test_what_is_shuffled_comes_no_later_than_is_allowed(every_pack):
    own, size = played("clock_jump"), pane_ms(every_pack)
    other = list(shuffled(own, LATENESS, random.Random(3)))
    moved = sum(one is not its for one, its in zip(own, other, strict=True))
    assert moved > len(own) / 2
    assert {id(each) for each in own} == {id(each) for each in other}
    assert taken(own, size, LATENESS).late == taken(other, size, LATENESS).late != []
