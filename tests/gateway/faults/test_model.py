"""T15: any order of what may happen to a gateway, against the invariants.

Everything runs in one thread, so a step that fails is found again and made as short as it can be.
"""

import pytest
from edge_machine import AT_FULL_SIZE, IN_CI, Machine
from hypothesis.stateful import run_state_machine_as_test


def test_no_order_of_events_loses_or_invents_a_reading() -> None:
    run_state_machine_as_test(Machine, settings=IN_CI)


@pytest.mark.slow
def test_no_long_order_of_events_does_either() -> None:
    run_state_machine_as_test(Machine, settings=AT_FULL_SIZE)
