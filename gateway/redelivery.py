"""Recognising an MQTT redelivery of a message that is on disk already.

When a connection is lost between a commit and its PUBACK the broker sends the message again. The
DUP flag alone proves nothing: it says that the broker may have sent it before, not that it
arrived. What does prove it is that all of this holds:

* the message was committed by this process, and its PUBACK was never written, so the broker could
  not give the packet id to another message (MQTT 5, 2.2.1);
* the connection it came on is the one before the present, and the broker kept the session between;
* it comes with DUP, the same packet id, and is the same to the byte otherwise;
* nothing without DUP has come on this connection before it: redeliveries come first and in order
  (4.4, 4.6), so what follows may use the packet ids again.

Such a message is acknowledged in its turn and not spooled again. Everything else is taken as new:
at least once is the promise, and a doubt is no proof.
"""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from gateway.message import Arrivals, Chunk, Done
from gateway.packets import DUP, packet_end

_QOS_1 = 0x02
# What waits for its commit is bounded by the network loop; beyond this the oldest are forgotten.
_MOST_OFFERED_BYTES = 32 << 20


class _Found(NamedTuple):
    """A packet of QoS 1 in a chunk."""

    begin: int
    end: int
    dup: bool
    mid: int


class Redelivery:
    """Remembers what is committed and was never acknowledged; for the network thread."""

    def __init__(self) -> None:
        self._offered: deque[Arrivals] = deque()
        self._proven: dict[int, bytes] = {}
        self._offered_bytes = 0
        self._proven_epoch = -1
        self._past_epoch = -1
        """The connection that is through with its redeliveries."""
        self.duplicates = 0

    def offered(self, arrivals: Arrivals) -> None:
        """Note what was handed to the spool."""
        self._offered.append(arrivals)
        self._offered_bytes += _size(arrivals)
        while self._offered_bytes > _MOST_OFFERED_BYTES:
            self._forget_oldest()

    def done(self, done: Done, *, written: bool) -> None:
        """Note a commit; ``written`` says whether its PUBACKs may have left."""
        arrivals = self._taken(done)
        if written or arrivals is None:
            return
        if arrivals.epoch != self._proven_epoch:
            self._proven, self._proven_epoch = {}, arrivals.epoch
        for chunk in arrivals.chunks:
            for found in _packets(chunk.packets):
                self._proven[found.mid] = _bytes(chunk.packets, found)

    def novel(self, arrivals: Arrivals, resumes: int | None) -> Arrivals:
        """Return the arrivals without what is proven to be on disk; all packet ids stay.

        Args:
            arrivals: what came.
            resumes: the epoch of the connection that this one continues, None if it begins anew.
        """
        if not self._proven or arrivals.epoch in (self._proven_epoch, self._past_epoch):
            return arrivals
        if resumes != self._proven_epoch:
            self._proven.clear()
            return arrivals
        chunks = [self._novel(chunk, arrivals.epoch) for chunk in arrivals.chunks]
        return arrivals._replace(chunks=[chunk for chunk in chunks if chunk.messages])

    def _novel(self, chunk: Chunk, epoch: int) -> Chunk:
        pieces: list[bytes] = []
        at, known = 0, 0
        for found in _packets(chunk.packets):
            if not found.dup:
                self._past_epoch = epoch
                self._proven.clear()
                break
            if self._proven.pop(found.mid, b"") == _bytes(chunk.packets, found):
                pieces.append(chunk.packets[at : found.begin])
                at, known = found.end, known + 1
        self.duplicates += known
        pieces.append(chunk.packets[at:])
        return chunk._replace(packets=b"".join(pieces), messages=chunk.messages - known)

    def _taken(self, done: Done) -> Arrivals | None:
        """Return and forget the arrivals of a commit; those before it the spool has let go."""
        if done not in ((a.epoch, a.mids) for a in self._offered):
            return None
        while True:
            arrivals = self._forget_oldest()
            if (arrivals.epoch, arrivals.mids) == done:
                return arrivals

    def _forget_oldest(self) -> Arrivals:
        arrivals = self._offered.popleft()
        self._offered_bytes -= _size(arrivals)
        return arrivals


def _size(arrivals: Arrivals) -> int:
    return sum(len(chunk.packets) for chunk in arrivals.chunks)


def _packets(packets: bytes) -> Iterator[_Found]:
    at = 0
    while (end := packet_end(packets, at)) is not None:
        body = at + 2
        while packets[body - 1] & 0x80:
            body += 1
        mid_at = body + 2 + (packets[body] << 8 | packets[body + 1])
        if packets[at] & _QOS_1:
            mid = packets[mid_at] << 8 | packets[mid_at + 1]
            yield _Found(at, end, bool(packets[at] & DUP), mid)
        at = end


def _bytes(packets: bytes, found: _Found) -> bytes:
    """Return a packet as it is without its DUP flag."""
    return bytes((packets[found.begin] & ~DUP,)) + packets[found.begin + 1 : found.end]
