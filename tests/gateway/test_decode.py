"""From payloads to readings, and from bad payloads to a reason."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.decode import Buried, Decoder, Limits, MarkerBody, Origin, Sender, dead_letter
from gateway.invalid import Invalid
from gateway.packets import PUBLISH, RETAIN, Packet
from gateway.payloads import Sample
from gateway.routes import compile_route
from gateway.wire import Wire
from schemas.codec import decode
from schemas.records import DeadLetter, Reading, reading_key

NOW = 1_764_032_400_000
JSON, NUMBER, METRICS = "sensors/plant/d1/temp", "numbers/plant/d1/temp", "machines/plant/d1"
ROUTES = [
    compile_route("sensors/{site}/{device}/{metric}", "json", unit="degC"),
    compile_route("numbers/{site}/{device}/{metric}", "number"),
    compile_route("machines/{site}/{device}", "metrics"),
]
DECODER = Decoder("gw1", ROUTES, Limits(256 << 10, 1.7e308))


LIVE = Origin(epoch=77, received_ts=NOW, clock="SYNCED", internal=False, replayed=False)
SEQ = 4097


def packet(topic: str | bytes, payload: bytes, *, first: int = PUBLISH) -> Packet:
    return (first, topic.encode() if isinstance(topic, str) else topic, payload)


def readings(
    topic: str, payload: Any, *, first: int = PUBLISH, origin: Origin = LIVE
) -> list[Reading]:
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return DECODER.readings(origin, SEQ, packet(topic, raw, first=first))


def reason(topic: str | bytes, payload: bytes, *, first: int = PUBLISH) -> str:
    with pytest.raises(Invalid) as caught:
        DECODER.readings(LIVE, SEQ, packet(topic, payload, first=first))
    return caught.value.reason


def test_a_json_reading_keeps_every_field() -> None:
    payload = {"value": 21.5, "ts": NOW - 5, "unit": "K", "seq": 7, "boot": "b1", "quality": "BAD"}
    assert readings(JSON, payload) == [
        Reading(
            device_id="plant.d1",
            metric="temp",
            site="plant",
            kind="READING",
            unit="K",
            gateway_id="gw1",
            gateway_epoch=77,
            value=21.5,
            ts=NOW - 5,
            device_ts=NOW - 5,
            device_boot="b1",
            device_seq=7,
            quality="BAD",
            gateway_seq=4097,
            part=0,
            repeat=0,
            received_ts=NOW,
            clock="SYNCED",
            replayed=False,
        )
    ]


def test_what_a_payload_leaves_out_comes_from_route_and_receipt() -> None:
    (reading,) = readings(JSON, {"value": 1})
    assert (reading.unit, reading.ts, reading.device_ts, reading.device_seq) == (
        "degC",
        NOW,
        None,
        None,
    )
    (reading,) = readings(NUMBER, b" 21.5\n")
    assert (reading.value, reading.metric, reading.ts, reading.quality) == (
        21.5,
        "temp",
        NOW,
        "GOOD",
    )


def test_every_other_member_of_metrics_is_a_metric() -> None:
    got = readings(METRICS, {"ts": NOW, "seq": 3, "boot": 4, "temperature": 71.2, "running": 1})
    assert [(r.metric, r.value, r.part, r.device_seq, r.device_boot) for r in got] == [
        ("temperature", 71.2, 0, 3, "4"),
        ("running", 1.0, 1, 3, "4"),
    ]


def test_a_future_time_is_clamped_and_kept_beside() -> None:
    (reading,) = readings(JSON, {"value": 1, "ts": NOW + 60_001})
    assert (reading.ts, reading.device_ts, reading.clock) == (NOW, NOW + 60_001, "CLAMPED")
    (reading,) = readings(JSON, {"value": 1, "ts": NOW + 60_000})
    assert (reading.ts, reading.clock) == (NOW + 60_000, "SYNCED")


def test_an_old_time_is_never_changed() -> None:
    (reading,) = readings(JSON, {"value": 1, "ts": 0})
    assert (reading.ts, reading.clock) == (0, "SYNCED")


def test_an_unsynchronised_gateway_flags_and_does_not_clamp() -> None:
    (reading,) = readings(
        JSON, {"value": 1, "ts": NOW + 10**9}, origin=LIVE._replace(clock="UNSYNCED")
    )
    assert (reading.ts, reading.clock) == (NOW + 10**9, "UNSYNCED")


def test_a_retained_copy_counts_only_with_a_time() -> None:
    assert reason(NUMBER, b"1", first=PUBLISH | RETAIN) == "RETAINED"
    assert readings(JSON, {"value": 1, "ts": NOW}, first=PUBLISH | RETAIN)


def test_a_marker_is_the_gateways_own() -> None:
    body = msgspec.json.encode(MarkerBody("plant.d1", "plant", True, NOW))
    (marker,) = readings("$tidegate/marker", body, origin=LIVE._replace(internal=True))
    assert (marker.kind, marker.metric, marker.ts, marker.device_ts) == ("MARKER", "", NOW, NOW)
    assert reason("$tidegate/marker", body) == "NO_ROUTE"


DEEP = b'{"value":1,"x":'
POISON = [
    (JSON, b"[" * 100_000, "BAD_JSON"),
    (JSON, b'{"a":' * 5000, "BAD_JSON"),
    (JSON, DEEP + b"[" * 2000 + b"]" * 2000 + b"}", "BAD_JSON"),
    (JSON, b'{"value":NaN}', "NOT_FINITE"),
    (JSON, b'{"value":-Infinity}', "NOT_FINITE"),
    (JSON, b'{"value":1e400}', "OUT_OF_RANGE"),
    (JSON, b'{"value":' + b"9" * 5000 + b"}", "OUT_OF_RANGE"),
    (JSON, b'{"value":1,"unit":"\\ud800"}', "BAD_JSON"),
    (JSON, b'{"value":1,"unit":"\xff"}', "BAD_JSON"),
    (JSON, b'\xef\xbb\xbf{"value":1}', "BAD_JSON"),
    (JSON, '{"value":1}'.encode("utf-16"), "BAD_JSON"),
    (JSON, b"", "BAD_JSON"),
    (JSON, b'{"value":1} x', "BAD_JSON"),
    (JSON, b'{"value":true}', "NOT_A_NUMBER"),
    (JSON, b'{"value":"5"}', "NOT_A_NUMBER"),
    (JSON, b'{"value":null}', "NOT_A_NUMBER"),
    (JSON, b"{}", "BAD_JSON"),
    (JSON, b"null", "BAD_JSON"),
    (JSON, b'{"value":1,"seq":9223372036854775808}', "OUT_OF_RANGE"),
    (JSON, b'{"value":1,"seq":1.5}', "BAD_JSON"),
    (JSON, b'{"value":1,"seq":true}', "BAD_JSON"),
    (JSON, b'{"value":1,"ts":4611686018427387904}', "OUT_OF_RANGE"),
    (JSON, b'{"value":1,"ts":-1}', "OUT_OF_RANGE"),
    (JSON, b'{"value":1,"ts":"now"}', "BAD_JSON"),
    (JSON, b'{"value":1,"unit":"' + b"u" * 65 + b'"}', "OUT_OF_RANGE"),
    (JSON, b'{"value":1,"boot":"' + b"b" * 65 + b'"}', "OUT_OF_RANGE"),
    (JSON, b'{"value":1,"x":"' + b"x" * (1 << 20) + b'"}', "TOO_LARGE"),
    (NUMBER, b"", "NOT_A_NUMBER"),
    (NUMBER, b"nan", "NOT_FINITE"),
    (NUMBER, b"-inf", "NOT_FINITE"),
    (NUMBER, b"1e400", "OUT_OF_RANGE"),
    (NUMBER, b"1_000", "NOT_A_NUMBER"),
    (NUMBER, b"0x10", "NOT_A_NUMBER"),
    (NUMBER, b'"5"', "NOT_A_NUMBER"),
    (NUMBER, b"true", "NOT_A_NUMBER"),
    (NUMBER, b"1 2", "NOT_A_NUMBER"),
    (METRICS, b"{}", "BAD_JSON"),
    (METRICS, b'{"ts":1,"seq":2}', "BAD_JSON"),
    (METRICS, b'{"a":true}', "NOT_A_NUMBER"),
    (METRICS, b'{"a":"x"}', "NOT_A_NUMBER"),
    (METRICS, b'{"a":null}', "NOT_A_NUMBER"),
    (METRICS, b'{"a":{}}', "NOT_A_NUMBER"),
    (METRICS, b'{"a":1e400}', "OUT_OF_RANGE"),
    (METRICS, b'{"a":' + b"9" * 400 + b"}", "OUT_OF_RANGE"),
    (METRICS, b'{"a b":1}', "BAD_ID"),
    (METRICS, b'{"":1}', "BAD_ID"),
    (METRICS, b'{"a\\u0000":1}', "BAD_ID"),
    (METRICS, b'{"' + b"m" * 65 + b'":1}', "BAD_ID"),
    (METRICS, json.dumps({f"m{i}": i for i in range(2000)}).encode(), "TOO_LARGE"),
    (METRICS, b'{"a":1,"ts":1.5}', "BAD_JSON"),
    (METRICS, b'{"a":1,"boot":1.5}', "OUT_OF_RANGE"),
    ("elsewhere/plant/d1", b"1", "NO_ROUTE"),
    ("sensors/plant/d1", b"1", "NO_ROUTE"),
    ("sensors/plant/d1/temp/x", b"1", "NO_ROUTE"),
    ("sensors//d1/temp", b"1", "BAD_ID"),
    ("sensors/../../etc", b"1", "BAD_ID"),
    ("sensors/plant/\u202ed1/temp", b"1", "BAD_ID"),
    ("sensors/plant/d1\n/temp", b"1", "BAD_ID"),
    ("sensors/plant/" + "d" * 65 + "/temp", b"1", "BAD_ID"),
    ("sensors/plant/d1/" + "m" * 60_000, b"1", "BAD_ID"),
    ("/", b"1", "NO_ROUTE"),
    (b"sensors/\xff/d/t", b"1", "NO_ROUTE"),
]


@pytest.mark.parametrize(("topic", "payload", "expected"), POISON)
def test_poison_gets_its_reason(topic: str | bytes, payload: bytes, expected: str) -> None:
    assert reason(topic, payload) == expected


@pytest.mark.parametrize(
    ("topic", "payload", "value"),
    [
        (JSON, b'{"value":1' + b"0" * 30 + b"}", 1e30),
        (JSON, b'{"value":-0.0}', -0.0),
        (JSON, b'{"value":1,"value":2}', 2.0),
        (JSON, DEEP + b"[" * 500 + b"]" * 500 + b"}", 1.0),
        (JSON, b'{"value":1,"note":"\\u0000"}', 1.0),
        (METRICS, b'{"a":1' + b"0" * 30 + b"}", 1e30),
    ],
)
def test_the_unusual_is_not_refused(topic: str, payload: bytes, value: float) -> None:
    assert readings(topic, payload)[0].value == value


def test_a_value_beyond_the_configured_magnitude_is_refused() -> None:
    decoder = Decoder("g", ROUTES, Limits(1000, 100.0))
    with pytest.raises(Invalid, match="OUT_OF_RANGE: value is -101"):
        decoder.readings(LIVE, SEQ, packet(NUMBER, b"-101"))
    assert decoder.readings(LIVE, SEQ, packet(NUMBER, b"100"))[0].value == 100


texts = st.text(max_size=8)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts)
objects = st.dictionaries(
    st.one_of(st.sampled_from(["value", "ts", "seq", "boot", "unit", "quality", "a"]), texts),
    scalars,
)
payloads = st.one_of(st.binary(max_size=60), objects.map(lambda o: json.dumps(o).encode()))


@settings(max_examples=500, deadline=None)
@given(st.sampled_from([JSON, NUMBER, METRICS]), payloads)
def test_any_payload_is_readings_that_decode_or_a_reason(topic: str, payload: bytes) -> None:
    wire = Wire(1, 2)
    try:
        got = DECODER.readings(LIVE._replace(replayed=True), SEQ, packet(topic, payload))
    except Invalid as invalid:
        got = []
        told = invalid.reason
    else:
        told = ""
    assert bool(got) != (told in {r for _, _, r in POISON})
    for reading in got:
        assert decode(Reading, wire.reading(reading)) == reading


def test_a_dead_letter_keeps_the_bytes_and_where_they_came_from() -> None:
    def letter_of(room: int) -> DeadLetter:
        bad, by = packet(b"t/\xff", b"\x00bytes"), Sender("g", "v")
        return dead_letter(
            LIVE, Buried(SEQ, bad), Invalid("BAD_JSON", "no"), at=9, by=by, room=room
        )

    letter = letter_of(100)
    assert (letter.payload, letter.mqtt_topic, letter.reason) == (
        b"\x00bytes",
        "t/\\xff",
        "BAD_JSON",
    )
    assert (letter.gateway_epoch, letter.gateway_seq, letter.config_version) == (77, 4097, "v")
    cut = letter_of(2)
    assert cut.payload == b"\x00b"
    assert "the first 2 of 6 bytes" in cut.detail


def test_a_fault_of_a_decoder_is_a_reason_and_not_the_end() -> None:
    def broken(_payload: bytes, _seq: int, _at: int) -> list[Sample]:
        raise ZeroDivisionError("bug")

    decoder = Decoder("gw1", [ROUTES[0]._replace(parse=broken)], Limits(1000, 1e300))
    with pytest.raises(Invalid, match="UNDECODABLE: ZeroDivisionError: bug"):
        decoder.readings(LIVE, SEQ, packet(JSON, b"1"))


def test_equal_values_of_one_message_are_counted_and_not_one_reading() -> None:
    def twice(_payload: bytes, _seq: int, _at: int) -> list[Sample]:
        same = Sample(1.0, ts=5, metric="x")
        return [same, Sample(2.0, ts=5, metric="x"), same, Sample(1.0, ts=5, metric="y")]

    route = compile_route("machines/{site}/{device}", "metrics")._replace(parse=twice)
    decoder = Decoder("gw1", [route], Limits(1000, 1e300))
    found = decoder.readings(LIVE, SEQ, packet(METRICS, b"1"))
    assert [(r.part, r.repeat) for r in found] == [(0, 0), (1, 0), (2, 1), (3, 0)]
    assert len({reading_key(r) for r in found}) == 4
