"""What a connection between the gateway and its broker says, read off the wire: an own witness."""

import json
from collections.abc import Iterator
from typing import NamedTuple

from edge_mqtt import PUBACK
from tcp_proxy import Link

PUBLISH = 3
QOS, QOS_1 = 6, 2


class Told(NamedTuple):
    """What a connection's traffic says was acknowledged, and acknowledged without being sent."""

    acknowledged: set[tuple[str, int]]
    unsent: list[int]


def packets(stream: bytearray) -> Iterator[tuple[int, bytes]]:
    """Take whole MQTT packets off a stream: first byte and body (MQTT 5, 2.1.4)."""
    while len(stream) >= 2:
        size = shift = 0
        at = 1
        while at < len(stream):
            size |= (stream[at] & 0x7F) << shift
            shift += 7
            at += 1
            if stream[at - 1] < 0x80:
                break
        else:
            return
        if len(stream) < at + size:
            return
        yield stream[0], bytes(stream[at : at + size])
        del stream[: at + size]


def published(body: bytes) -> tuple[int, tuple[str, int]]:
    """Return packet id, and device and sequence number, of a PUBLISH of QoS 1 in MQTT 5."""
    end = 2 + int.from_bytes(body[:2], "big")
    _, site, device, _ = body[2:end].decode().split("/")
    assert body[end + 2] == 0, "it has properties"
    reading = json.loads(body[end + 3 :])
    return int.from_bytes(body[end : end + 2], "big"), (f"{site}.{device}", reading["seq"])


def told(link: Link) -> Told:
    """Read a connection: an acknowledgement is of a message it brought and that still waits."""
    waiting: dict[int, tuple[str, int]] = {}
    acknowledged: set[tuple[str, int]] = set()
    unsent = []
    streams = {False: bytearray(), True: bytearray()}
    for from_broker, data in link.passed:
        streams[from_broker] += data
        for first, body in packets(streams[from_broker]):
            if from_broker and first >> 4 == PUBLISH:
                assert first & QOS == QOS_1
                mid, reading = published(body)
                waiting[mid] = reading
            elif not from_broker and first >> 4 == PUBACK:
                mid = int.from_bytes(body[:2], "big")
                if mid in waiting:
                    acknowledged.add(waiting.pop(mid))
                else:
                    unsent.append(mid)
    return Told(acknowledged, unsent)
