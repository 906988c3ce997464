"""The order of migrations, and what a foreign schema is told."""

import pytest

from schemas.failure import Failure
from stream.sinks.postgres import Applied, Migration, migrations, pending

STEPS = [Migration(1, "one", "SELECT 1"), Migration(2, "two", "SELECT 2")]
HAD = [Applied(each.version, each.name, each.sha256) for each in STEPS]


def test_what_is_missing_is_applied_in_order() -> None:
    assert pending([], STEPS) == STEPS
    assert pending(HAD[:1], STEPS) == STEPS[1:]
    assert pending(HAD, STEPS) == []


def test_a_newer_schema_is_left_alone() -> None:
    with pytest.raises(Failure, match="at version 2, newer than the 1"):
        pending(HAD, STEPS[:1])


def test_a_step_that_was_changed_after_it_was_applied_is_refused() -> None:
    changed = [STEPS[0]._replace(text="SELECT 3"), STEPS[1]]
    with pytest.raises(Failure, match="version 1 of the schema was made from another one"):
        pending(HAD[:1], changed)


def test_what_ships_is_numbered_without_a_gap() -> None:
    shipped = migrations()
    assert [each.version for each in shipped] == list(range(1, len(shipped) + 1))
    assert shipped[0].name == "windows_alerts_devices"
