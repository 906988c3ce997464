"""MQTT PUBLISH packets as bytes: found in what a connection brings, and taken apart again.

The gateway spools packets as they came off the wire, so on the way to the disk a message costs a
few index operations and no object of its own. Layout by MQTT 3.1.1 and MQTT 5, sections 2.1
(fixed header) and 3.3 (PUBLISH): flags, remaining length as a variable byte integer, topic with a
two-byte length, packet id above QoS 0, in MQTT 5 the properties with their length, payload.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from gateway.message import MQTT_5, Chunk

PUBLISH = 0x30
DUP = 0x08
RETAIN = 0x01
_QOS = 0x06
_QOS_1 = 0x02
_MOST_LENGTH_BYTES = 4
_CHUNK_BYTES = 16 << 10
_CHUNK_COUNT = 1000


class Malformed(Exception):
    """Bytes that no MQTT server may send."""


class Run(NamedTuple):
    """A run of whole PUBLISH packets: where it ends, how many they are, and what stands behind."""

    end: int
    messages: int
    then: Literal["part", "other", "full"]
    """A part of a packet; a packet of another type; more, but this run is long enough."""


Packet = tuple[int, bytes, bytes]
"""What one PUBLISH says: its first byte, topic and payload. Plain: there is one a message."""


def scan(data: bytes, at: int, mids: list[int]) -> Run:
    """Find the run of PUBLISH packets that begins at ``at``; its packet ids go to ``mids``.

    Raises:
        Malformed: it is no MQTT, or of QoS 2, which was not asked for.
    """
    count, size, limit = 0, len(data), at + _CHUNK_BYTES
    while at + 1 < size:
        first, length = data[at], data[at + 1]
        if first & 0xF0 != PUBLISH:
            return Run(at, count, "other")
        if at >= limit or count >= _CHUNK_COUNT:
            return Run(at, count, "full")
        body = at + 2
        if length > 0x7F:
            # Two bytes are the usual case, and cost a call if they are not read here.
            if body < size and data[body] <= 0x7F:
                length += (data[body] << 7) - 0x80
                body += 1
            else:
                body, length = _long(data, at + 1)
        end = body + length
        if end > size:
            break
        if length < 2:
            raise Malformed("a PUBLISH without a topic")
        topic_end = body + 2 + (data[body] << 8 | data[body + 1])
        quality = first & _QOS
        if quality == _QOS_1:
            if topic_end + 2 > end:
                raise Malformed("a PUBLISH shorter than its topic")
            mids.append(data[topic_end] << 8 | data[topic_end + 1])
        elif quality or topic_end > end:
            raise Malformed("a PUBLISH of another QoS than 0 and 1, or shorter than its topic")
        count += 1
        at = end
    return Run(at, count, "part")


def packet_end(data: bytes, at: int) -> int | None:
    """Return where the packet at ``at`` ends; None when that is not there yet.

    Raises:
        Malformed: its length is no length.
    """
    if at + 1 >= len(data):
        return None
    body, length = _long(data, at + 1)
    end = body + length
    return end if end <= len(data) else None


def split(packets: bytes, *, v5: bool) -> list[Packet]:
    """Return what is in whole PUBLISH packets, as :func:`scan` found them.

    Of an MQTT 5 packet whose properties run beyond its end everything behind the topic counts as
    payload, so that nothing of it is lost.
    """
    found: list[Packet] = []
    at, size = 0, len(packets)
    while at < size:
        first, length = packets[at], packets[at + 1]
        body = at + 2
        if length > 0x7F:
            if packets[body] <= 0x7F:
                length += (packets[body] << 7) - 0x80
                body += 1
            else:
                body, length = _long(packets, at + 1)
        at = body + length
        topic_end = body + 2 + (packets[body] << 8 | packets[body + 1])
        payload = topic_end + 2 if first & _QOS else topic_end
        if v5:
            # Nearly always one byte that says zero.
            none = payload < at and not packets[payload]
            payload = payload + 1 if none else _behind_properties(packets, payload, at)
        found.append((first, packets[body + 2 : topic_end], packets[payload:at]))
    return found


def packets_of(chunk: Chunk) -> list[Packet]:
    """Return what is in a chunk."""
    return split(chunk.packets, v5=bool(chunk.flags & MQTT_5))


class Span(NamedTuple):
    """Where one of several packets stands, its topic, and where that ends."""

    begin: int
    end: int
    topic: bytes
    topic_end: int


def spans(packets: bytes) -> Iterator[Span]:
    """Return where each of whole PUBLISH packets stands."""
    at = 0
    while at < len(packets):
        body, length = _long(packets, at + 1)
        topic_end = body + 2 + (packets[body] << 8 | packets[body + 1])
        yield Span(at, body + length, packets[body + 2 : topic_end], topic_end)
        at = body + length


def properties(chunk: Chunk) -> list[bytes]:
    """Return the MQTT 5 properties of each message of a chunk, as they came, without their length.

    Those of an earlier MQTT, or that run beyond their packet's end, are none.
    """
    packets = chunk.packets
    found = []
    for span in spans(packets):
        begin = end = 0
        if chunk.flags & MQTT_5:
            at = span.topic_end + 2 if packets[span.begin] & _QOS else span.topic_end
            end = _behind_properties(packets, at, span.end)
            begin = _long(packets, at)[0] if end > at else end
        found.append(packets[begin:end])
    return found


def publish(topic: bytes, payload: bytes) -> bytes:
    """Return an MQTT 3.1.1 PUBLISH of QoS 0."""
    length = 2 + len(topic) + len(payload)
    head = bytearray((PUBLISH,))
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return b"".join((head, len(topic).to_bytes(2, "big"), topic, payload))


def _long(data: bytes, at: int) -> tuple[int, int]:
    """Return where a variable byte integer ends and what it says; beyond the data when cut off."""
    value = 0
    for shift in range(_MOST_LENGTH_BYTES):
        if at + shift >= len(data):
            return len(data) + 1, 0
        byte = data[at + shift]
        value |= (byte & 0x7F) << 7 * shift
        if byte <= 0x7F:
            return at + shift + 1, value
    raise Malformed("a packet length of more than four bytes")


def _behind_properties(packets: bytes, at: int, end: int) -> int:
    try:
        begin, length = _long(packets, at)
    except Malformed:
        return at
    return begin + length if begin + length <= end else at
