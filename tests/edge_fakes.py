"""Scripted stand-ins for what the gateway talks to."""

import socket
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from confluent_kafka import KafkaError

from gateway.classes import REST, Classes, ClassSection
from gateway.message import Batch, Chunk, Done, Stored
from gateway.packets import packets_of, publish
from gateway.room import Room
from gateway.spool_file import DeviceRow, Told
from gateway.spooling import Spooling

STOP = ClassSection(REST, ("*",))
"""The class of all devices where there is no other: it stops when there is no room."""
ROOMY = Room(64 << 20, 0)


def chunk(
    *payloads: bytes, topic: bytes = b"t", ts: int = 1, mono: int = 1, flags: int = 0
) -> Chunk:
    """Return messages of one topic as a connection would have read them."""
    packets = [publish(topic, payload) for payload in payloads]
    return Chunk(b"".join(packets), len(packets), ts, mono, flags)


def spooling(
    open_spool: Callable[[], Any],
    on_done: Callable[[Done], None],
    *,
    classes: Sequence[ClassSection] = (),
    rest: ClassSection = STOP,
    room: Room = ROOMY,
) -> Spooling:
    """Return a spool's thread's work; a topic's device is what stands before its first slash."""
    made = Classes(classes, rest, lambda topic: topic.split(b"/")[0].decode())
    return Spooling(open_spool, on_done, classes=made, room=room)


def opened(chunks: Iterable[Stored]) -> list[tuple[int, bytes, bytes]]:
    """Return sequence number, topic and payload of every message."""
    return [
        (seq, topic, payload)
        for stored in chunks
        for seq, (_, topic, payload) in enumerate(packets_of(stored.chunk), stored.seq)
    ]


class Broker:
    """Accepts connections and says exactly what a test tells it to."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.link: socket.socket | None = None

    def accept(self) -> None:
        if self.link is not None:
            self.link.close()
        self._server.settimeout(5)
        self.link = self._server.accept()[0]
        self.link.settimeout(5)

    def hang_up(self) -> None:
        assert self.link
        self.link.close()

    def read(self) -> tuple[int, bytes]:
        """Return the next packet's type and body."""
        assert self.link
        head = self._exactly(2)
        length, shift, byte = head[1] & 0x7F, 7, head[1]
        while byte & 0x80:
            byte = self._exactly(1)[0]
            length |= (byte & 0x7F) << shift
            shift += 7
        return head[0] >> 4, self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self.link.recv(count - len(data))  # type: ignore[union-attr]
            if not more:
                raise EOFError
            data += more
        return data

    def connack(self, *, session: bool, reason: int = 0, v5: bool = True) -> None:
        body = bytes((session, reason)) + (b"\x00" if v5 else b"")
        self.link.sendall(bytes((0x20, len(body))) + body)  # type: ignore[union-attr]

    def suback(self, body: bytes, reasons: bytes = b"\x01", *, v5: bool = True) -> None:
        answer = body[:2] + (b"\x00" if v5 else b"") + reasons
        self.link.sendall(bytes((0x90, len(answer))) + answer)  # type: ignore[union-attr]

    def publish(self, mid: int, payload: bytes = b"1", *, flags: int = 2, v5: bool = True) -> None:
        topic = b"t/a"
        packet_id = struct.pack(">H", mid) if flags & 6 else b""
        body = (
            struct.pack(">H", len(topic)) + topic + packet_id + (b"\x00" if v5 else b"") + payload
        )
        self.link.sendall(bytes((0x30 | flags, len(body))) + body)  # type: ignore[union-attr]

    def quiet(self) -> bool:
        """Return whether nothing more comes within a moment."""
        assert self.link
        self.link.settimeout(0.2)
        try:
            return self.link.recv(1) == b""
        except TimeoutError:
            return True
        finally:
            self.link.settimeout(5)

    def stop(self) -> None:
        self._server.close()
        if self.link:
            self.link.close()


class Sent(NamedTuple):
    """A record as Kafka would see it."""

    topic: str
    key: bytes
    value: bytes
    report: Callable[[Any, Any], None]


class Report:
    """What librdkafka hands to a delivery callback."""

    def __init__(self, sent: Sent) -> None:
        self._sent = sent

    def topic(self) -> str:
        return self._sent.topic

    def key(self) -> bytes:
        return self._sent.key

    def value(self) -> bytes:
        return self._sent.value


class FakeLink:
    """Delivers what is queued as one batch per poll; `judge` says with which error, if any."""

    def __init__(self) -> None:
        self.queue: list[Sent] = []
        self.delivered: list[Sent] = []
        self.rounds: list[int] = []
        self.judge: Callable[[list[Sent]], int | None] = lambda _batch: None
        self.holding = False
        self.refuses: Callable[[str, bytes], bool] = lambda _topic, _value: False

    @property
    def queued(self) -> int:
        return len(self.queue)

    def produce(self, topic: str, key: bytes, value: bytes, report: Any) -> bool:
        if self.refuses(topic, value):
            return False
        self.queue.append(Sent(topic, key, value, report))
        return True

    def poll(self, _wait_s: float) -> None:
        if self.holding or not self.queue:
            return
        batch, self.queue = self.queue, []
        self.rounds.append(len(batch))
        code = self.judge(batch)
        for sent in batch:
            if code is None:
                self.delivered.append(sent)
            sent.report(None if code is None else KafkaError(code), Report(sent))

    def probe(self, _topic: str) -> None:
        pass


class FakeFeed:
    """A spool of a list of batches."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.discarded: list[int] = []
        self.devices: list[DeviceRow] = []
        self.own: list[Chunk] = []
        self.told: list[Told] = []

    def take(self, _wait_s: float, *, urgent: bool = False) -> Batch | None:
        return self.batches.pop(0) if self.batches and not urgent else None

    def drained(self) -> bool:
        return not self.batches

    def discard(self, upto: list[int], devices: Any = (), told: Any = ()) -> None:
        self.discarded += upto
        self.told += told
        self.devices += devices

    def append_own(self, chunks: list[Chunk]) -> None:
        self.own += chunks
