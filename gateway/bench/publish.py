"""A fast MQTT publisher in a process of its own, so that it takes no time from what is measured.

``python -m gateway.bench.publish HOST PORT ROOT COUNT RATE`` publishes COUNT readings below the
topic ROOT at QoS 1, RATE a second (0: as fast as they are acknowledged), and prints how many the
broker acknowledged. Each reading is a JSON object of about 100 bytes; its ``seq`` is the time of
publication in µs.
"""

import socket
import struct
import sys
import time

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


def _packet(root: str, index: int, stamp_us: int) -> bytes:
    """Return one PUBLISH; the value is a slow wave with noise, as a real sensor's would be."""
    device = index % _DEVICES
    value = 20 + (index * 7919 % 1000) / 100 + device / 10
    payload = (
        f'{{"value":{value:.2f},"ts":{stamp_us // 1000},"unit":"degC","seq":{stamp_us},'
        f'"boot":"b1","quality":"GOOD"}}'
    ).encode()
    topic = f"{root}/bench/device-{device:03d}/temperature".encode()
    body = b"".join(
        (struct.pack(">H", len(topic)), topic, struct.pack(">H", index % 65535 + 1), payload)
    )
    length = len(body)
    return bytes((_PUBLISH_QOS1, (length & 0x7F) | 0x80, length >> 7)) + body


def publish(host: str, port: int, root: str, count: int, rate: float) -> int:
    """Publish and return how many were acknowledged."""
    link = _connect(host, port)
    sent = acked_bytes = 0
    last_us = 0
    begun = time.monotonic()
    while acked_bytes < count * _PUBACK_BYTES:
        allowed = min(count, acked_bytes // _PUBACK_BYTES + _WINDOW)
        if rate:
            allowed = min(allowed, int((time.monotonic() - begun) * rate) + 1)
        packets = []
        while sent < allowed:
            last_us = max(time.time_ns() // 1000, last_us + 1)
            packets.append(_packet(root, sent, last_us))
            sent += 1
            if len(packets) >= _WINDOW // 4:
                break
        if packets:
            link.sendall(b"".join(packets))
        link.settimeout(_PACE_S if rate or sent < count else 10.0)
        try:
            data = link.recv(65536)
        except TimeoutError:
            continue
        if not data:
            raise ConnectionError("the broker closed the connection")
        acked_bytes += len(data)
    link.close()
    return sent


if __name__ == "__main__":
    print(publish(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), float(sys.argv[5])))
