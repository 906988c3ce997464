"""The pack for sensors on faults put into healthy series: all found in time, nothing else said.

Run the large one with ``pytest -m slow -s tests/stream/test_sensor_faults.py``: it prints figures.
"""

from itertools import chain

import pytest
from rule_builders import MINUTE
from sensor_faults import KINDS, RANGE, Tally, machines, recorded, tally

from stream.rules import parse_rules, rules_text

RULES = parse_rules(rules_text("sensor_health") + RANGE)


def told(found: Tally) -> str:
    shares = (f"{kind} {found.met[kind]}/{found.given[kind]}" for kind in KINDS)
    return f"{', '.join(shares)}; {len(found.false)} false: {[a.rule for a in found.false]}"


def test_a_few_faults_of_each_kind_are_all_found_and_nothing_else():
    found = tally(RULES, machines(8, seed=1), seed=1)
    assert all(found.given[kind] >= 3 for kind in KINDS)
    assert (found.missed, found.false) == ([], [])


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_thousand_faults():
    every_quarter = machines(240, seed=2, interval_ms=15 * MINUTE)
    devices = chain(machines(60, seed=2), every_quarter, recorded(34, seed=2))
    found = tally(RULES, devices, seed=2)
    print("\n" + told(found))
    assert sum(found.given.values()) >= 1000
    assert all(found.recall(kind) == 1 for kind in ("stuck", "range", "no_data")), told(found)
    assert found.recall("drift") >= 0.97, told(found)
    assert found.false == [], told(found)
