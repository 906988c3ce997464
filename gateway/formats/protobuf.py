"""The wire format of Protocol Buffers, as far as reading small messages needs it.

Written from the encoding's public description. Groups (wire types 3 and 4) are refused, and nothing
is allocated by what a length claims: every length is held against the bytes that are there.
"""

from collections.abc import Iterator

from gateway.invalid import Invalid

VARINT, FIXED_64, BYTES, FIXED_32 = 0, 1, 2, 5
_MOST_VARINT = 10
_FIXED = {FIXED_64: 8, FIXED_32: 4}

Field = tuple[int, int, int | bytes]
"""A field's number, its wire type, and its value: an integer (varint), or bytes (all others)."""


def fields(message: bytes) -> Iterator[Field]:
    """Give the fields of a message in their order.

    Raises:
        Invalid: BAD_PAYLOAD.
    """
    at, end = 0, len(message)
    while at < end:
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if not 0 < number < 1 << 29:
            raise Invalid("BAD_PAYLOAD", f"protobuf field number {number}")
        if kind == VARINT:
            value, at = _varint(message, at)
            yield number, kind, value
            continue
        if kind == BYTES:
            size, at = _varint(message, at)
        elif kind in _FIXED:
            size = _FIXED[kind]
        else:
            raise Invalid("BAD_PAYLOAD", f"protobuf wire type {kind}")
        if size > end - at:
            raise Invalid("BAD_PAYLOAD", f"protobuf field {number} is cut off")
        yield number, kind, message[at : at + size]
        at += size


def varint(value: int) -> bytes:
    """Return an integer of at most 64 bits, encoded."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number: int, value: int | bytes) -> bytes:
    """Return a field of a varint or of bytes, encoded."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | BYTES) + varint(len(value)) + value


def _varint(message: bytes, at: int) -> tuple[int, int]:
    if at < len(message) and message[at] < 0x80:
        return message[at], at + 1
    value = 0
    for index, byte in enumerate(message[at : at + _MOST_VARINT]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            if value >> 64:
                break
            return value, at + index + 1
    raise Invalid("BAD_PAYLOAD", "a protobuf integer is cut off or has more than 64 bits")
