"""What a route makes of its readings: units, limits and fewer of them, and what is never left out."""

import json
from typing import Any

import msgspec
import pytest
from edge_rig import wait_for
from edge_session import Rig, settle
from hypothesis import given
from hypothesis import strategies as st

from gateway import units
from gateway.invalid import Invalid
from gateway.routes import compile_route
from gateway.shape import Shape, ShapeSection
from schemas.records import Reading

HOUR = 3_600_000


def reading(value: float, ts: int = 0, *, at: int = 0, device: str = "s.d", **more: Any) -> Reading:
    plain = Reading(
        device, "x", "s", "READING", None, "g", 1, value, ts, ts, None, None, "GOOD", 1, 0, 0, at,
        "SYNCED", False,
    )  # fmt: skip
    return msgspec.structs.replace(plain, **more)


def shape(**words: Any) -> Shape:
    return Shape(ShapeSection(**words))


def shaped(made: Shape, readings: list[Reading]) -> list[Reading]:
    return made.told_of(made.measured(readings))


def values(made: Shape, readings: list[Reading]) -> list[float]:
    return [kept.value for one in readings for kept in shaped(made, [one])]


@pytest.mark.parametrize(
    ("value", "given_", "wanted", "expected"),
    [
        (0.0, "degC", "K", 273.15),
        (212.0, "degF", "degC", 100.0),
        (1.0, "bar", "kPa", 100.0),
        (1.0, "psi", "bar", 0.06894757293168),
        (2.5, "mm/s", "in/s", 0.0984251968503937),
        (1500.0, "rpm", "Hz", 25.0),
        (60.0, "l/min", "m3/h", 3.6),
        (1.0, "kWh", "J", 3.6e6),
    ],
)
def test_units_of_one_kind_convert(value: float, given_: str, wanted: str, expected: float) -> None:
    assert units.converted(value, given_, wanted) == pytest.approx(expected)
    assert units.converted(expected, wanted, given_) == pytest.approx(value)


def test_units_of_two_kinds_do_not() -> None:
    assert units.converted(1.0, "bar", "degC") is None
    assert units.converted(1.0, "furlong", "m") is None
    with pytest.raises(Invalid, match="BAD_UNIT: no way from 'bar' to 'degC'"):
        shaped(shape(unit="degC"), [reading(1.0, unit="bar")])


def test_scale_offset_and_unit_come_in_that_order() -> None:
    (made,) = shaped(shape(scale=0.1, offset=-40.0, unit="K"), [reading(500.0, unit="degC")])
    assert (made.value, made.unit) == (pytest.approx(283.15), "K")
    (made,) = shaped(shape(unit="K"), [reading(5.0)])
    assert (made.value, made.unit) == (5.0, "K")


def test_a_value_outside_its_range_is_kept_and_flagged_or_refused() -> None:
    for outside, quality in (("bad", "BAD"), ("uncertain", "UNCERTAIN")):
        made = shape(min=0.0, max=10.0, outside=outside)
        assert [shaped(made, [reading(v)])[0].quality for v in (-1, 0, 10, 11)] == [
            quality,
            "GOOD",
            "GOOD",
            quality,
        ]
    (made_bad,) = shaped(shape(max=1.0, outside="uncertain"), [reading(5.0, quality="BAD")])
    assert made_bad.quality == "BAD"
    with pytest.raises(Invalid, match="OUT_OF_RANGE"):
        shaped(shape(max=1.0, outside="dead-letter"), [reading(5.0)])


def test_only_changes_beyond_the_band_and_heartbeats_are_told() -> None:
    made = shape(deadband=1.0, heartbeat=600_000)
    readings = [reading(v, ts) for ts, v in ((0, 5.0), (1, 5.9), (2, 4.1), (3, 6.1), (4, 6.0))]
    assert values(made, readings) == [5.0, 6.1]
    assert values(made, [reading(6.1, 600_002), reading(6.1, 600_003)]) == [6.1]
    assert values(made, [reading(6.1, 600_004, quality="BAD")]) == [6.1]
    assert values(made, [reading(6.1, 5)]) == [6.1], "a backlog is told"
    assert made.told() == {("s.d", "unchanged"): 4}
    assert made.told() == {}


def test_a_band_in_percent_grows_with_the_value() -> None:
    made = shape(deadband_percent=10.0)
    assert values(made, [reading(v, ts) for ts, v in enumerate((100.0, 109.0, 111.0))]) == [
        100.0,
        111.0,
    ]


def test_a_device_beyond_its_rate_is_thinned_or_refused_and_recovers() -> None:
    made = shape(rate=2.0, burst=2.0, over="thin")
    readings = [reading(v, at=at) for v, at in ((1, 0), (2, 0), (3, 0), (4, 400), (5, 500))]
    assert values(made, readings) == [1, 2, 5]
    assert values(made, [reading(6, at=500, device="s.other")]) == [6]
    assert made.told() == {("s.d", "rate"): 2}
    strict = shape(rate=1.0, burst=1.0)
    shaped(strict, [reading(1.0)])
    with pytest.raises(Invalid, match="RATE_LIMITED"):
        shaped(strict, [reading(2.0)])


def test_a_message_that_is_refused_counts_as_not_told() -> None:
    made = shape(deadband=1.0, max=10.0, outside="dead-letter")
    with pytest.raises(Invalid):
        shaped(made, [reading(5.0, 1), reading(50.0, 1, metric="y")])
    assert values(made, [reading(5.0, 2)]) == [5.0]


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 3)), min_size=1, max_size=60),
    st.sets(st.integers(0, 59), max_size=5),
)
def test_no_value_is_further_from_the_last_told_than_the_band(
    steps: list[tuple[int, int]], rewinds: set[int]
) -> None:
    """Whatever the crashes: the consumer's last value of a series is within the band, always."""
    made, told, ts = shape(deadband=3.0, heartbeat=HOUR), float("nan"), 0
    for place, (value, passed) in enumerate(steps):
        ts += passed
        if place in rewinds:
            made.forget()
        for kept in shaped(made, [reading(float(value), ts)]):
            told = kept.value
        assert abs(value - told) <= 3.0


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({"scale": 0.0}, "scale is 0"),
        ({"min": 5.0, "max": 5.0}, "below"),
        ({"unit": "furlong"}, "none that can be converted to"),
        ({"deadband": -1.0}, "0 or more"),
        ({"rate": 1.0, "burst": 0.5}, "1 or more"),
        ({"deadband": 1.0, "heartbeat": 10}, "1s or more"),
    ],
)
def test_what_cannot_be_meant_is_refused(words: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        shape(**words)


def test_a_message_of_which_nothing_is_left_is_done_and_its_device_heard() -> None:
    route = compile_route("{site}/{device}/{metric}", "json")._replace(shape=shape(deadband=5.0))
    rig = Rig(routes=[route])
    for row in (1, 2, 3):
        rig.put(row, [json.dumps({"value": row, "ts": row}).encode()])
    settle(rig, 3)
    assert [r.value for r in rig.readings] == [1.0]
    assert rig.tally.thinned == {("s.d", "unchanged"): 2}
    assert len(rig.quiet) == 1


@pytest.mark.stack
def test_a_route_tells_changes_only_also_across_a_kill(edge: Any) -> None:
    shaped = (
        '[[routes]]\ntopic = "banded/{site}/{device}/{metric}"\npayload = "json"\n'
        "[routes.shape]\ndeadband = 0.5\n"
    )
    gateway = edge.gateway(shaped)
    gateway.wait_ready()

    def send(start: int) -> None:
        for seq in range(start, start + 100):
            body = json.dumps({"value": seq // 50, "ts": 1000 + seq, "seq": seq}).encode()
            edge.publisher.publish("banded/plant/d/x", body)

    def sent() -> list[int]:
        return [r.device_seq for r in edge.follower.readings if r.device_id == "plant.d"]

    send(0)
    wait_for("both levels", lambda: sent() == [0, 50])
    delivered = "tidegate_gateway_messages_delivered_total"
    wait_for("all done", lambda: gateway.metric(delivered) == 100)
    assert 'readings_thinned_total{reason="unchanged"} 98.0' in gateway.get("/metrics")[1]
    gateway.end(9)
    gateway.start()
    gateway.wait_ready()
    send(100)
    wait_for("the next levels", lambda: {100, 150} <= set(sent()))
    wait_for("all done", lambda: gateway.metric(delivered) >= 100)
    assert set(sent()) <= {0, 50, 100, 150, *range(100)}
    assert len(sent()) <= 6
