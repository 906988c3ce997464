"""A fast MQTT publisher in a process of its own, so that it takes no time from what is measured.

``python -m gateway.bench.publish HOST PORT ROOT COUNT RATE [FILE]`` publishes COUNT readings below
the topic ROOT at QoS 1, RATE a second (0: as fast as they are acknowledged), and prints how many
the broker acknowledged. Each reading is a JSON object of about 100 bytes; its ``seq`` is the time
of publication in µs. With a file its lines are published, a topic and a payload with a tab between.
"""

import socket
import struct
import sys
import time
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

_DEVICES = 50
_WINDOW = 1000
_PACE_S = 0.001
_PUBLISH_QOS1 = 0x32
_PUBACK_BYTES = 4


def _connect(host: str, port: int) -> socket.socket:
    """Connect with MQTT 3.1.1 and a clean session."""
    link = socket.create_connection((host, port))
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client_id = f"tidegate-bench-{time.time_ns()}".encode()
    body = b"\x00\x04MQTT\x04\x02\x00\x00" + struct.pack(">H", len(client_id)) + client_id
    link.sendall(bytes((0x10, len(body))) + body)
    if link.recv(4)[3:] != b"\x00":
        raise ConnectionError("the broker refuses the connection")
    return link


def _synthetic(root: str) -> Iterator[bytes]:
    """Yield readings; the value is a slow wave with noise, as a real sensor's would be."""
    stamp_us = 0
    for index in count():
        stamp_us = max(time.time_ns() // 1000, stamp_us + 1)
        device = index % _DEVICES
        value = 20 + (index * 7919 % 1000) / 100 + device / 10
        payload = (
            f'{{"value":{value:.2f},"ts":{stamp_us // 1000},"unit":"degC","seq":{stamp_us},'
            f'"boot":"b1","quality":"GOOD"}}'
        )
        yield _packet(f"{root}/bench/device-{device:03d}/temperature", index, payload)


def _lines(root: str, path: str) -> Iterator[bytes]:
    with Path(path).open(encoding="utf-8") as lines:
        for index, line in enumerate(lines):
            topic, _, payload = line.rstrip("\n").partition("\t")
            yield _packet(f"{root}/{topic}", index, payload)


def _packet(topic: str, index: int, payload: str) -> bytes:
    name, number = topic.encode(), struct.pack(">H", index % 65535 + 1)
    body = b"".join((struct.pack(">H", len(name)), name, number, payload.encode()))
    length = len(body)
    return bytes((_PUBLISH_QOS1, (length & 0x7F) | 0x80, length >> 7)) + body


def publish(host: str, port: int, packets: Iterator[bytes], total: int, rate: float) -> int:
    """Publish so many packets and return how many were acknowledged."""
    link = _connect(host, port)
    sent = acked_bytes = 0
    begun = time.monotonic()
    while acked_bytes < total * _PUBACK_BYTES:
        allowed = min(total, acked_bytes // _PUBACK_BYTES + _WINDOW)
        if rate:
            allowed = min(allowed, int((time.monotonic() - begun) * rate) + 1)
        due = list(islice(packets, min(allowed - sent, _WINDOW // 4)))
        sent += len(due)
        if due:
            link.sendall(b"".join(due))
        link.settimeout(_PACE_S if rate or sent < total else 10.0)
        try:
            data = link.recv(65536)
        except TimeoutError:
            continue
        if not data:
            raise ConnectionError("the broker closed the connection")
        acked_bytes += len(data)
    link.close()
    return sent


def main(host: str, port: str, root: str, total: str, rate: str, path: str = "") -> None:
    """Publish what the words of the command say."""
    packets = _lines(root, path) if path else _synthetic(root)
    print(publish(host, int(port), packets, int(total), float(rate)))


if __name__ == "__main__":
    main(*sys.argv[1:])
