"""The payload of Sparkplug B messages: metrics with a name or an alias, a type and a value.

Field numbers, types and their encodings are those of the Sparkplug 3.0 specification, chapter 6.
Of a metric what can be a reading is read: integers, floats and booleans. Texts, data sets,
templates, arrays, bytes and times are known to be there and no more.
"""

import struct
from typing import NamedTuple

from gateway.formats import protobuf
from gateway.formats.protobuf import BYTES, FIXED_32, FIXED_64, VARINT, Field
from gateway.invalid import Invalid
from schemas.records import Quality

MOST_METRICS = 10_000
# Bits of the integers; the first four are signed.
_SIGNED = {1: 8, 2: 16, 3: 32, 4: 64}
_UNSIGNED = {5: 8, 6: 16, 7: 32, 8: 64}
_FLOAT, _DOUBLE, BOOLEAN = 9, 10, 11
_LAST_TYPE = 34
_QUALITIES: dict[int, Quality] = {0: "BAD", 192: "GOOD", 500: "UNCERTAIN"}
# The value's fields of a metric, and the wire type of each.
_VALUES = {10: VARINT, 11: VARINT, 12: FIXED_32, 13: FIXED_64, 14: VARINT, 15: BYTES, 16: BYTES,
           17: BYTES, 18: BYTES, 19: BYTES}  # fmt: skip
_INTEGERS, _NUMBERS = (10, 11), (10, 11, 12, 13, 14)


class Metric(NamedTuple):
    """One metric; ``raw`` is its value's field number and bytes or integer, None for none."""

    name: str | None
    alias: int | None
    ts: int | None
    datatype: int
    raw: tuple[int, int | bytes] | None
    unit: str | None
    quality: Quality


class Message(NamedTuple):
    """A payload; ``ts`` in ms, ``seq`` 0 to 255."""

    ts: int | None
    seq: int | None
    metrics: list[Metric]


def message(payload: bytes) -> Message:
    """Return a payload, read.

    Raises:
        Invalid: BAD_PAYLOAD, TOO_LARGE.
    """
    ts = seq = None
    metrics: list[Metric] = []
    for field in protobuf.fields(payload):
        number, _, value = field
        if number == 1:
            ts = _integer(field)
        elif number == 2:
            metrics.append(_metric(_bytes(field)))
            if len(metrics) > MOST_METRICS:
                raise Invalid("TOO_LARGE", f"more than {MOST_METRICS} metrics in one message")
        elif number == 3:
            seq = _integer(field)
            if seq > 255:
                raise Invalid("BAD_PAYLOAD", f"seq is {value!r}, not 0 to 255")
    return Message(ts, seq, metrics)


def is_number(datatype: int) -> bool:
    """Return whether a type's values can be readings.

    Raises:
        Invalid: BAD_PAYLOAD for a type that the specification does not have.
    """
    if not 0 < datatype <= _LAST_TYPE:
        raise Invalid("BAD_PAYLOAD", f"Sparkplug has no datatype {datatype}")
    return datatype <= BOOLEAN


def number(datatype: int, raw: tuple[int, int | bytes]) -> float:
    """Return a value as the number it stands for; signed integers come as two's complement.

    Raises:
        Invalid: BAD_PAYLOAD when the value is of another type, OUT_OF_RANGE beyond its bits.
    """
    field, value = raw
    if isinstance(value, int) and field in _INTEGERS:
        if datatype in _SIGNED:
            return float(_signed(value, _SIGNED[datatype]))
        if datatype in _UNSIGNED:
            if value >> _UNSIGNED[datatype]:
                raise Invalid("OUT_OF_RANGE", f"{value} has more than {_UNSIGNED[datatype]} bits")
            return float(value)
    elif isinstance(value, bytes) and (field, datatype) in ((12, _FLOAT), (13, _DOUBLE)):
        read: float = struct.unpack("<f" if field == 12 else "<d", value)[0]
        return read
    elif isinstance(value, int) and (field, datatype) == (14, BOOLEAN):
        return float(value != 0)
    raise Invalid("BAD_PAYLOAD", f"a value of field {field} is none of datatype {datatype}")


def rebirth(now_ms: int) -> bytes:
    """Return the command by which a host asks an edge node for its birth certificates."""
    metric = protobuf.field(1, b"Node Control/Rebirth") + protobuf.field(3, now_ms)
    metric += protobuf.field(4, BOOLEAN) + protobuf.field(14, 1)
    return protobuf.field(1, now_ms) + protobuf.field(2, metric)


def _signed(value: int, bits: int) -> int:
    """Return two's complement of these bits, which may be sign-extended to 32 or to 64."""
    for wide in (bits, 32, 64):
        top = value >> (bits - 1)
        if value >> wide == 0 and (wide == bits or top == (1 << (wide - bits + 1)) - 1):
            low = value & ((1 << bits) - 1)
            return low - (1 << bits) if low >> (bits - 1) else low
    raise Invalid("OUT_OF_RANGE", f"{value} is no integer of {bits} bits")


def _metric(data: bytes) -> Metric:
    name = alias = ts = raw = unit = None
    datatype, is_null = 0, False
    quality: Quality = "GOOD"
    for field in protobuf.fields(data):
        number, kind, value = field
        if number == 1:
            name = _text(field)
        elif number == 2:
            alias = _integer(field)
        elif number == 3:
            ts = _integer(field)
        elif number == 4:
            datatype = _integer(field)
        elif number == 7:
            is_null = _integer(field) != 0
        elif number == 9:
            unit, quality = _properties(_bytes(field))
        elif number in _VALUES:
            if kind != _VALUES[number]:
                raise _wrong(field)
            # Of a oneof the last counts.
            raw = (number, value)
    return Metric(name, alias, ts, datatype, None if is_null else raw, unit, quality)


def _properties(data: bytes) -> tuple[str | None, Quality]:
    """Return the engineering unit and the quality of a metric's properties."""
    keys, values = [], []
    for field in protobuf.fields(data):
        if field[0] == 1:
            keys.append(_text(field).lower())
        elif field[0] == 2:
            values.append(_bytes(field))
    if len(keys) != len(values):
        raise Invalid("BAD_PAYLOAD", f"{len(keys)} property keys and {len(values)} values")
    unit: str | None = None
    quality: Quality = "GOOD"
    for key, value in zip(keys, values, strict=True):
        if key == "quality":
            code = next((_integer(f) for f in protobuf.fields(value) if f[0] in (3, 4)), 192)
            quality = _QUALITIES.get(code, "UNCERTAIN")
        elif key == "engunit":
            unit = next((_text(f) for f in protobuf.fields(value) if f[0] == 8), None)
    return unit, quality


def _integer(field: Field) -> int:
    if not isinstance(field[2], int):
        raise _wrong(field)
    return field[2]


def _bytes(field: Field) -> bytes:
    if not isinstance(field[2], bytes) or field[1] != BYTES:
        raise _wrong(field)
    return field[2]


def _text(field: Field) -> str:
    try:
        return _bytes(field).decode()
    except UnicodeDecodeError as error:
        raise Invalid("BAD_PAYLOAD", f"protobuf field {field[0]} is not UTF-8") from error


def _wrong(field: Field) -> Invalid:
    return Invalid("BAD_PAYLOAD", f"protobuf field {field[0]} has wire type {field[1]}")
