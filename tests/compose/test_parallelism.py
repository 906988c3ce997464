import pytest

from compose.parallelism import advice, await_room, chosen
from schemas.failure import RetryLater


def test_unasked_it_is_the_topics_partitions() -> None:
    assert chosen("t.readings", 4, None, room=8) == (4, None)


@pytest.mark.parametrize(("partitions", "room", "expected"), [(4, 2, 2), (6, 5, 3), (7, 3, 1)])
def test_too_few_slots_give_the_largest_divisor_and_a_word_about_it(
    partitions: int, room: int, expected: int
) -> None:
    found = chosen("t.readings", partitions, None, room)
    assert found.parallelism == expected
    assert found.warning is not None
    assert f"{room} free slots" in found.warning


def test_without_any_slot_it_waits_for_as_many_as_it_wants() -> None:
    assert chosen("t.readings", 4, None, room=0) == (4, None)


def test_what_is_asked_for_is_taken_and_a_mismatch_told() -> None:
    assert chosen("t.readings", 4, 4, room=0) == (4, None)
    more = chosen("t.readings", 4, 6, room=8)
    assert more.parallelism == 6
    assert more.warning is not None
    assert "2 source instances have nothing to read" in more.warning
    assert "tidegate topics apply --partitions 6" in more.warning


def test_fewer_instances_than_partitions_share_them() -> None:
    assert "evenly" in (advice("t.readings", 4, 2) or "")
    assert "unevenly; --parallelism 4" in (advice("t.readings", 4, 3) or "")


def test_a_job_waits_for_slots_that_come_back() -> None:
    free = iter([0, 1, 2])
    await_room("http://flink", 2, free=lambda _: next(free))
    await_room("http://flink", 4, freed=2, free=lambda _: 2)


def test_a_job_that_gets_no_slots_may_be_tried_again() -> None:
    with pytest.raises(RetryLater, match="1 free slots and the job needs 2"):
        await_room("http://flink", 2, within_s=0, free=lambda _: 1)
