"""The fast encoder, the general codec, and bytes that must decode for ever."""

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import CONTRACT_OF, decode, encode, header, unframe
from schemas.contracts import CONTRACTS, plain
from schemas.encoders import ReadingEncoder, WindowEncoder
from schemas.records import Alert, DeadLetter, Reading, WindowFeatures, reading_key

GOLDEN = Path(__file__).parent / "golden"
LONG = st.integers(-(1 << 63), (1 << 63) - 1)
INT = st.integers(-(1 << 31), (1 << 31) - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)

readings = st.builds(
    Reading,
    device_id=TEXT,
    metric=TEXT,
    site=TEXT,
    kind=st.sampled_from(["READING", "MARKER"]),
    unit=st.none() | TEXT,
    gateway_id=TEXT,
    gateway_epoch=LONG,
    value=st.floats(allow_nan=False),
    ts=LONG,
    device_ts=st.none() | LONG,
    device_boot=st.none() | TEXT,
    device_seq=st.none() | LONG,
    quality=st.sampled_from(["GOOD", "UNCERTAIN", "BAD"]),
    gateway_seq=LONG,
    part=INT,
    repeat=INT,
    received_ts=LONG,
    clock=st.sampled_from(["SYNCED", "UNSYNCED", "CLAMPED"]),
    replayed=st.booleans(),
)
encoder = ReadingEncoder(7, max_series=3)
windows = st.builds(
    WindowFeatures,
    **dict.fromkeys(("device_id", "metric", "site", "session", "asset_id", "device_class"), TEXT),
    **dict.fromkeys(("window_start", "window_end", "count"), LONG),
    **dict.fromkeys(
        ("min", "max", "mean", "stddev", "rms", "first", "last", "slope"),
        st.floats(allow_nan=False),
    ),
    iso_group=st.none() | TEXT,
)
window_encoder = WindowEncoder(9)


def reading(**over: object) -> Reading:
    fields: dict[str, object] = {
        "device_id": "plant.pump-01",
        "metric": "temperature",
        "site": "plant",
        "kind": "READING",
        "unit": "C",
        "gateway_id": "gw-1",
        "gateway_epoch": 4_611_686_018_427_387_904,
        "value": 71.25,
        "ts": 1_764_000_000_123,
        "device_ts": 1_764_000_000_123,
        "device_boot": "b7",
        "device_seq": 42,
        "quality": "GOOD",
        "gateway_seq": 9_000_000_001,
        "part": 0,
        "repeat": 0,
        "received_ts": 1_764_000_000_456,
        "clock": "SYNCED",
        "replayed": False,
    }
    return Reading(**{**fields, **over})  # type: ignore[arg-type]


@given(readings)
def test_the_fast_encoder_writes_what_a_general_avro_writer_writes(one: Reading) -> None:
    assert encoder.encode(one) == encode(one, 7)


@given(windows)
def test_the_fast_encoder_of_windows_does_as_well(one: WindowFeatures) -> None:
    assert window_encoder.encode(one) == encode(one, 9)
    assert decode(WindowFeatures, window_encoder.encode(one)) == one


@given(windows, st.sampled_from(["window_start", "window_end", "count"]))
def test_a_windows_number_beyond_64_bits_is_refused(one: WindowFeatures, field: str) -> None:
    with pytest.raises(OverflowError):
        window_encoder.encode(msgspec.structs.replace(one, **{field: 1 << 63}))


@given(readings)
def test_a_reading_survives_the_wire(one: Reading) -> None:
    assert decode(Reading, encoder.encode(one)) == one


@pytest.mark.parametrize("field", ["ts", "received_ts", "device_ts", "device_seq", "gateway_seq"])
def test_a_number_beyond_64_bits_is_refused(field: str) -> None:
    with pytest.raises(OverflowError):
        encoder.encode(reading(**{field: 1 << 63}))


@pytest.mark.parametrize("field", ["part", "repeat"])
def test_a_number_beyond_an_int_is_refused(field: str) -> None:
    with pytest.raises(OverflowError):
        encoder.encode(reading(**{field: 1 << 31}))


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        encoder.encode(reading(device_boot="\ud800"))


@given(st.binary(max_size=200))
def test_rubbish_decodes_to_an_error_and_nothing_else(rubbish: bytes) -> None:
    for value in (rubbish, header(7) + rubbish):
        try:
            decode(Reading, value)
        except ValueError:
            continue


def test_a_truncated_reading_is_an_error_at_every_length() -> None:
    whole = encoder.encode(reading())
    for length in range(len(whole)):
        with pytest.raises(ValueError):
            decode(Reading, whole[:length])


def test_the_wire_format_is_a_zero_byte_and_a_big_endian_id() -> None:
    assert header(258) == b"\x00\x00\x00\x01\x02"
    assert unframe(b"\x00\x00\x00\x01\x02body") == (258, b"body")
    with pytest.raises(ValueError, match="wire format"):
        unframe(b"\x01\x00\x00\x00\x01body")
    with pytest.raises(ValueError, match="does not fit"):
        header(1 << 32)


def test_equal_keys_mean_the_same_measurement() -> None:
    again = reading(gateway_seq=9_000_000_999, gateway_epoch=1, received_ts=1_764_000_009_999)
    assert reading_key(reading()) == reading_key(again)
    assert reading_key(reading()) != reading_key(reading(repeat=1))
    assert reading_key(reading()) != reading_key(reading(value=71.5))


def test_without_a_device_time_the_gateways_counters_are_the_key() -> None:
    one = reading(device_ts=None)
    assert reading_key(one) == ("gw-1", one.gateway_epoch, one.gateway_seq, 0)
    assert reading_key(one) != reading_key(reading(device_ts=None, part=1))


@pytest.mark.parametrize("case", sorted(path.stem for path in GOLDEN.glob("*.json")))
def test_golden_bytes_decode_for_ever(case: str) -> None:
    golden = json.loads((GOLDEN / f"{case}.json").read_text())
    kind = {contract: kind for kind, contract in CONTRACT_OF.items()}[golden["contract"]]
    record = msgspec.convert(golden["record"], kind)
    writer = plain(json.dumps(golden["writer"]))
    assert decode(kind, bytes.fromhex(golden["value"]), writer) == record


def test_every_contract_has_golden_bytes() -> None:
    golden = {json.loads(path.read_text())["contract"] for path in GOLDEN.glob("*.json")}
    assert golden == set(CONTRACTS)


def test_records_and_contracts_have_the_same_fields() -> None:
    from schemas.contracts import parsed

    for kind, contract in CONTRACT_OF.items():
        assert [field["name"] for field in parsed(contract)["fields"]] == list(
            kind.__struct_fields__
        ), contract


def test_an_alert_and_a_dead_letter_survive_the_wire() -> None:
    letter = DeadLetter("GATEWAY", "BAD_JSON", "at byte 3", b"{\x00\xff", 1, mqtt_topic="a/b")
    assert decode(DeadLetter, encode(letter, 9)) == letter
    alert = Alert(
        alert_id="x", fingerprint="f", seq=0, rule="r", rule_version=1, category="PROCESS",
        event="FIRED", state="FIRING", severity="WARNING", asset_id="a", device_id="d", site="s",
        metric="m", value=1.0, threshold_enter=1.0, threshold_exit=0.5, comparator=">=",
        sample_count=3, peak_value=1.0, window_start=0, window_end=1, condition_since=0,
        starts_at=1, last_true_at=1, emitted_at=1, labels={"team": "rotating"},
    )  # fmt: skip
    assert decode(Alert, encode(alert, 9)) == alert
