"""Priority classes: which devices go ahead of the rest, and what may go when there is no room.

A class is made of devices, never of single topics or metrics: what a device sends has to stay in
order, so all of it is of one class. Each class has a lane of the spool; the rest has lane 0.
"""

import fnmatch
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import msgspec

from gateway.blob import LANES
from gateway.message import INTERNAL, Chunk
from gateway.packets import spans
from schemas.config import DurationMs

_MOST_TOPICS = 20_000
REST = "rest"
"""The name of the class of all devices that no other class has."""

WhenFull = Literal["stop", "drop-oldest", "thin"]


class ClassSection(msgspec.Struct, frozen=True):
    """One of ``[[spool.classes]]``; see samples/gateway.toml."""

    name: str
    devices: tuple[str, ...]
    when_full: WhenFull = "stop"
    max_age: DurationMs = DurationMs(0)


class Sorted(NamedTuple):
    """Chunks by class: those of the rest, and those of other lanes."""

    rest: list[Chunk]
    ahead: dict[int, list[Chunk]]


class Classes:
    """The classes in force, the first one the most urgent."""

    def __init__(
        self, ahead: Sequence[ClassSection], rest: ClassSection, device: Callable[[bytes], str]
    ) -> None:
        """Take the classes, that of the rest, and what tells the device of a topic, or nothing."""
        self._sections = (rest, *ahead)
        self._device = device
        self._known: dict[bytes, int] = {}
        self.order = (*range(1, len(self._sections)), 0)
        """The lanes as they are to be drained."""

    @property
    def doc(self) -> str:
        """Return what the lanes stand for, to be remembered with the messages in them."""
        told = [{"name": s.name, "devices": s.devices} for s in self._sections[1:]]
        return msgspec.json.encode(told).decode()

    def section(self, lane: int) -> ClassSection:
        """Return the class of a lane."""
        return self._sections[lane]

    def former(self, doc: str) -> "Classes":
        """Return the classes of messages that were spooled under others.

        A class that is there no more stops when there is no room.
        """
        present = {section.name: section for section in self._sections}
        ahead = [
            msgspec.structs.replace(present.get(s.name, s), devices=s.devices)
            for s in remembered(doc)
        ]
        return Classes(ahead, self._sections[0], self._device)

    def follow(self, device: Callable[[bytes], str]) -> None:
        """Go on with what another routing table tells of a topic's device."""
        self._device = device
        self._known.clear()

    def sorted(self, chunks: Sequence[Chunk]) -> Sorted:
        """Return chunks by class, in their order; one of several classes is cut up."""
        if len(self._sections) == 1:
            return Sorted(list(chunks), {})
        by_lane: dict[int, list[Chunk]] = {}
        for chunk in chunks:
            for lane, part in self._parts(chunk):
                by_lane.setdefault(lane, []).append(part)
        return Sorted(by_lane.pop(0, []), by_lane)

    def _parts(self, chunk: Chunk) -> list[tuple[int, Chunk]]:
        # Its own messages come behind all that they may speak of.
        if chunk.flags & INTERNAL:
            return [(0, chunk)]
        pieces: dict[int, list[bytes]] = {}
        for span in spans(chunk.packets):
            packet = chunk.packets[span.begin : span.end]
            pieces.setdefault(self._lane(span.topic), []).append(packet)
        if len(pieces) == 1:
            return [(lane, chunk) for lane in pieces]
        return [
            (lane, chunk._replace(packets=b"".join(its), messages=len(its)))
            for lane, its in pieces.items()
        ]

    def _lane(self, topic: bytes) -> int:
        lane = self._known.get(topic)
        if lane is None:
            if len(self._known) >= _MOST_TOPICS:
                self._known.clear()
            lane = self._known[topic] = self._found(self._device(topic))
        return lane

    def _found(self, device: str) -> int:
        for lane, section in enumerate(self._sections[1:], 1):
            if device and any(fnmatch.fnmatchcase(device, glob) for glob in section.devices):
                return lane
        return 0


def remembered(doc: str) -> list[ClassSection]:
    """Return the classes of :attr:`Classes.doc`: names and devices."""
    return msgspec.json.decode(doc, type=list[ClassSection])


def problems(ahead: Sequence[ClassSection], rest: ClassSection) -> list[tuple[int, str, str]]:
    """Return what is wrong with classes: which one, which key of it, and what."""
    found = []
    names = [section.name for section in ahead]
    for index, section in enumerate(ahead):
        if not section.name or section.name == REST or section.name in names[:index]:
            found.append((index, "name", f"each class needs a name of its own, not {REST!r}"))
        if not section.devices:
            found.append(
                (index, "devices", 'needs patterns of device ids, such as "plant1.fire-*"')
            )
        behind = [*ahead[index + 1 :], rest]
        if section.when_full != "stop" and any(s.when_full == "stop" for s in behind):
            found.append(
                (index, "when_full", "would drop for less urgent messages: those must drop, too")
            )
    if len(ahead) >= LANES:
        found.append((LANES - 1, "name", f"there may be {LANES - 1} classes beside the rest"))
    return found
