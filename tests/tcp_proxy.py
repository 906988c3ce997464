"""A TCP proxy on the loopback that is as bad as a radio link: it delays, stalls, cuts, goes dumb."""

import random
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

_ABORT = struct.pack("ii", 1, 0)


class Weather(NamedTuple):
    """What happens to every piece of data, either way; the shares are of pieces."""

    piece: int = 16 << 10
    delay_s: float = 0.0
    cut_share: float = 0.0
    stall_share: float = 0.0
    stall_s: float = 0.0


class Proxy:
    """Passes connections on to a port, each with two threads of its own."""

    def __init__(self, port: int, seed: int = 0) -> None:
        self._target = port
        self._chance = random.Random(seed)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.weather = Weather()
        self.cut_after: Callable[[], int | None] = lambda: None
        """Asked at each connection: after how many bytes of it to cut it, in the middle of one."""
        self.links: list[Link] = []
        self.keeps = False
        """Whether links keep what they pass on."""
        self.cuts = self.stalls = 0
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near = self._server.accept()[0]
                try:
                    far = socket.create_connection(("127.0.0.1", self._target), 5)
                except OSError:
                    near.close()
                    continue
                far.settimeout(None)
                link = Link(near, far, self.cut_after())
                self.links.append(link)
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(link, *ends), daemon=True).start()

    def _pump(self, link: "Link", source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(self.weather.piece):
                self._suffer()
                link.flows.wait()
                kept = link.within(len(data))
                if self._chance.random() < self.weather.cut_share:
                    kept = self._chance.randrange(len(data))
                if self.keeps:
                    link.passed.append((source is link.ends[1], data[:kept]))
                sink.sendall(data[:kept])
                if kept < len(data):
                    self.cuts += 1
                    break
        link.cut()

    def _suffer(self) -> None:
        weather = self.weather
        time.sleep(weather.delay_s)
        if self._chance.random() < weather.stall_share:
            self.stalls += 1
            time.sleep(weather.stall_s)

    def go_dumb(self) -> None:
        """Pass nothing on for the connections there are, and let neither end know."""
        for link in self.links:
            link.flows.clear()

    def close(self) -> None:
        """End it, and every connection."""
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for link in self.links:
            link.cut()


class Link:
    """One connection: both its sockets, and how much may still pass."""

    def __init__(self, near: socket.socket, far: socket.socket, room: int | None) -> None:
        self.ends = (near, far)
        self.passed: list[tuple[bool, bytes]] = []
        """What went through, in the order of it: whether from the server, and the bytes."""
        self._room = room
        self.flows = threading.Event()
        self.flows.set()

    def within(self, size: int) -> int:
        """Return how many of so many bytes may pass."""
        if self._room is None:
            return size
        kept = min(size, self._room)
        self._room -= kept
        return kept

    def cut(self) -> None:
        """Reset it on both sides."""
        for end in self.ends:
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self.flows.set()
