import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.flight import NO_SUBSCRIBERS, Flight, Forbidden, Slot
from simulators.message import Message


def slot(order: int) -> Slot:
    return Slot(order, Message(order, f"t/{order}", b"", "s.d", order, ()), order)


def flying(*orders: int) -> Flight:
    flight = Flight()
    for order in orders:
        flight.flies(order + 1, slot(order))
    return flight


def test_a_puback_ends_a_flight():
    flight = flying(0, 1)
    taken = flight.answered(1, 0)
    assert taken is not None
    assert taken.order == 0
    assert len(flight) == 1
    assert flight.room(10) == 9


def test_no_matching_subscribers_is_no_acknowledgement():
    flight = flying(0)
    assert flight.answered(1, NO_SUBSCRIBERS) is None
    assert len(flight) == 1
    assert "subscribes" in flight.why


def test_after_a_refusal_nothing_goes_out_until_the_rest_is_answered_and_then_one_alone():
    flight = flying(0, 1, 2)
    flight.answered(2, NO_SUBSCRIBERS)
    assert flight.room(10) == 0
    assert not flight.settled_refusals()
    flight.answered(1, 0)
    flight.answered(3, NO_SUBSCRIBERS)
    assert flight.settled_refusals()
    assert flight.room(10) == 1
    again = flight.next_again()
    assert again is not None
    assert again.order == 1
    flight.flies(9, again)
    assert flight.room(10) == 0
    flight.answered(9, 0)
    assert flight.room(10) == 10


def test_a_lost_connection_puts_everything_back_in_order():
    flight = flying(3, 1, 2)
    flight.answered(2, NO_SUBSCRIBERS)
    flight.lost("broken pipe")
    again = [flight.next_again() for _ in range(4)]
    assert [each and each.order for each in again] == [1, 2, 3, None]
    assert flight.why == "broken pipe"


def test_a_refusal_for_good_is_said_so():
    with pytest.raises(Forbidden, match="135"):
        flying(0).answered(1, 135)


@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(1, 20))
def test_whatever_the_broker_does_each_message_ends_taken_once(seed: int, count: int, window: int):
    rng = random.Random(seed)
    flight, taken, fresh, mid = Flight(), [], 0, 0
    on_wire: list[int] = []
    while len(taken) < count:
        room = flight.room(window)
        while room > 0 and ((again := flight.next_again()) or fresh < count):
            fresh += again is None
            mid += 1
            flight.flies(mid, again or slot(fresh - 1))
            on_wire.append(mid)
            room -= 1
        assert len(on_wire) <= window
        if on_wire and rng.random() < 0.05:
            flight.lost("cut")
            on_wire.clear()
        elif on_wire:
            answered = flight.answered(on_wire.pop(0), rng.choice([0, 0, 0, NO_SUBSCRIBERS]))
            taken += [answered.order] if answered else []
        flight.settled_refusals()
    assert sorted(taken) == list(range(count))
    assert not flight
