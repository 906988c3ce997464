"""What comes off the socket: PUBLISH packets for the spool, everything else for paho.

paho reads a QoS 1 message with four system calls and hands it on as an object, which costs some
forty times what it costs to find where it ends. So the connection is paho's, with its handshake,
session, keepalive and reconnect, and the reading is ours: one ``recv`` brings what is there, runs
of PUBLISH packets are cut out as bytes, and paho is given the other packets, through the method it
reads the socket with. Of paho's private names three are used; a test holds paho to them.
"""

import ssl
import struct
import time
from typing import Any, NamedTuple

from paho.mqtt.client import Client

from gateway.message import Chunk
from gateway.packets import Malformed, packet_end, scan

_READ_BYTES = 256 << 10
_BURST_BYTES = 1 << 20
_PUBACK = 0x40
# A PUBACK is four bytes: type, the length 2, packet id. In MQTT 5, too, when it is a success.
_PUBACK_WORD = 0x40020000


class Stamp(NamedTuple):
    """What is noted with a chunk: times in ms, wall and monotonic clock, and flags."""

    ts: int
    mono: int
    flags: int


class Receiver:
    """Reads for one paho client; made anew with it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._tail = b""
        self._staged = bytearray()
        self._ended = False
        self._broken = ""
        self._sock: object = None
        client._sock_recv = self._give  # type: ignore[assignment,method-assign] # noqa: SLF001 - see above

    def read(self, stamp: Stamp, chunks: list[Chunk], mids: list[int]) -> str:
        """Read what is there: runs of PUBLISH packets are added as chunks, the rest goes to paho.

        Nothing is added behind a packet that made paho end the connection.

        Returns:
            What ended the connection if it was not the peer's goodbye, else nothing.
        """
        sock: Any = self._client.socket()
        if sock is not self._sock:
            self._sock, self._tail = sock, b""
            self._ended, self._broken = False, ""
            self._staged.clear()
        size = 0
        while size < _BURST_BYTES:
            data = self._receive(sock)
            if not data:
                break
            size += len(data)
            # Else paho, which does not see this, would take a busy connection for a silent one.
            self._client._last_bytes_received = time.monotonic()  # noqa: SLF001
            if not self._cut(self._tail + data if self._tail else data, stamp, chunks, mids):
                break
            # TLS gives a record at a time, often one message, however many have come.
            if not isinstance(sock, ssl.SSLSocket):
                break
        return self._broken

    @property
    def pending(self) -> bool:
        """Return whether TLS holds bytes it has read already, which select does not see."""
        return isinstance(self._sock, ssl.SSLSocket) and self._sock.pending() > 0

    def acknowledge(self, mids: list[int]) -> None:
        """Queue the PUBACKs of these messages, in this order, as one piece."""
        packets = struct.pack(f">{len(mids)}I", *map(_PUBACK_WORD.__or__, mids))
        self._client._packet_queue(_PUBACK, packets, 0, 0)  # noqa: SLF001 - see above

    def _receive(self, sock: Any) -> bytes:
        """Return what is there, empty when nothing is; the end of the connection goes to paho."""
        if sock is None:
            return b""
        try:
            data: bytes = sock.recv(_READ_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return b""
        except OSError as error:
            data, self._broken = b"", str(error)
        if not data:
            self._end()
        return data

    def _cut(self, data: bytes, stamp: Stamp, chunks: list[Chunk], mids: list[int]) -> bool:
        """Take packets off; return whether the connection is still there."""
        at = 0
        try:
            while True:
                run = scan(data, at, mids)
                if run.messages:
                    chunks.append(Chunk(data[at : run.end], run.messages, *stamp))
                at = run.end
                if run.then == "part":
                    break
                if run.then == "other":
                    end = packet_end(data, at)
                    if end is None:
                        break
                    self._stage(data[at:end])
                    at = end
                    if self._client.socket() is not self._sock:
                        return False
        except Malformed as error:
            self._broken = f"the broker sent {error}"
            self._end()
            return False
        self._tail = data[at:]
        return True

    def _stage(self, packet: bytes) -> None:
        self._staged += packet
        self._client.loop_read()

    def _end(self) -> None:
        """Let paho find the end of the connection, as if it had read it."""
        self._staged.clear()
        self._ended = True
        self._client.loop_read()

    def _give(self, most: int) -> bytes:
        """Stand in for paho's reading of the socket."""
        if self._staged:
            given = bytes(self._staged[:most])
            del self._staged[:most]
            return given
        if self._ended:
            return b""
        raise BlockingIOError
