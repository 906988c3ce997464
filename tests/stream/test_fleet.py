"""What is known of devices, by event time."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.records import Device
from stream.fleet import Fleet, key_parts, record_key


def device(asset: str, valid_from: int, device_id: str = "plant.pump") -> Device:
    return Device(device_id=device_id, asset_id=asset, site="plant", valid_from=valid_from)


@given(st.permutations([0, 5, 9, 20]), st.integers(-1, 25))
def test_the_newest_record_that_holds_by_then_counts_whatever_came_first(
    order: list[int], at: int
) -> None:
    fleet = Fleet()
    for valid_from in order:
        fleet.know(device(f"since {valid_from}", valid_from))
    found = fleet.at("plant.pump", at)
    expected = max((each for each in order if each <= at), default=None)
    assert (found and found.asset_id) == (None if expected is None else f"since {expected}")


def test_a_record_replaces_one_of_the_same_time_and_can_be_taken_back() -> None:
    fleet = Fleet()
    for each in (device("a", 0), device("b", 5), device("c", 5)):
        fleet.know(each)
    assert [known.asset_id for at in (4, 5) if (known := fleet.at("plant.pump", at))] == ["a", "c"]
    fleet.forget("plant.pump", 5)
    fleet.forget("plant.other", 5)
    assert (known := fleet.at("plant.pump", 9)) is not None
    assert known.asset_id == "a"


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.integers(-(1 << 40), 1 << 40)
)
def test_a_key_says_whose_record_it_is(device_id: str, valid_from: int) -> None:
    assert key_parts(record_key(device_id, valid_from)) == (device_id, valid_from)


def test_a_key_of_somebody_else_says_nothing() -> None:
    assert [key_parts(key) for key in (b"plant.pump", b"|", b"a|b", b"\xff")] == [None] * 4
