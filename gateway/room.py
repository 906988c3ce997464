"""What happens to messages in the spool when there is no room, or when they are too old.

Only classes that are to drop lose any, the least urgent first, and only what has not been given to
the uplink. Everything that goes is written down, see :mod:`gateway.gaps`.
"""

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from gateway import thinning
from gateway.blob import lane_of
from gateway.classes import Classes, Sorted
from gateway.feed import Feed
from gateway.message import Chunk
from gateway.pacing import Trouble
from gateway.spool import Spool, SpoolFull
from gateway.thinning import Alternate, Left

_log = logging.getLogger("tidegate.gateway.spool")
# At least so much is freed at once: a little for each message would cost a commit each.
_LEAST = 4 << 20
_LEAST_SHARE = 256
_AGED_ROWS = 1000
_LOOK_S = 1.0
# Thinned so often, a thousandth is left.
_LEVELS = 10
_GAPS_S = 60.0


class Room(NamedTuple):
    """The bounds of the spool: its quota, and what it has to leave free on its disk, in bytes."""

    quota: int
    floor: int
    synced: Callable[[], bool] = lambda: True
    """Whether the clock can be trusted: else nothing has an age."""


class _Pass:
    """A pass of thinning: the last row it came to, and of each topic whether the next one stays."""

    def __init__(self, upto: int) -> None:
        self.upto = upto
        self.alternate = Alternate()


class Policy:
    """Makes room by class; used in the spool's thread."""

    def __init__(self, wanted: Classes, room: Room) -> None:
        self._wanted = self._classes = wanted
        self._room = room
        self._look_at_s = self._gaps_at_s = 0.0
        self._passes: dict[int, list[_Pass]] = {}
        self._trouble = Trouble(_log, "spool")
        self.disk_low = False
        """Whether the disk has less free than it should: the file may then not grow."""

    def sorted(self, chunks: Sequence[Chunk]) -> Sorted:
        """Return chunks by class."""
        return self._classes.sorted(chunks)

    def follow(self, device: Callable[[bytes], str]) -> None:
        """Tell the devices of topics by another routing table from now on."""
        self._classes.follow(device)
        self._wanted.follow(device)

    def settle(self, spool: Spool, feed: Feed) -> None:
        """Go over to the wanted classes once nothing is left that was spooled under others.

        Else a device that is of another class now could overtake itself.
        """
        former = spool.classes() or "[]"
        if former != self._wanted.doc and spool.messages:
            self._classes = self._wanted.former(former)
            _log.warning("spool: it is not empty: the new classes count once it is")
        elif former != self._wanted.doc:
            self._classes = self._wanted
            spool.remember_classes(self._wanted.doc)
        feed.drain_in(self._classes.order)

    def look(self, spool: Spool, feed: Feed, now_s: float, *, idle: bool) -> None:
        """Look at the disk, at what is too old, and at the classes, every now and then."""
        if now_s < self._look_at_s:
            return
        self._look_at_s = now_s + _LOOK_S
        self.watch_disk(spool)
        self.expire(spool, feed, time.time_ns() // 1_000_000)
        if self._classes is not self._wanted and idle and not spool.messages:
            self.settle(spool, feed)

    def tell_loss(self, spool: Spool, feed: Feed, now_s: float) -> None:
        """Spool for Kafka what went; not often, so that one long loss is told as one."""
        if now_s < self._gaps_at_s:
            return
        self._gaps_at_s = now_s + _GAPS_S
        try:
            rows = spool.tell_loss(time.time_ns() // 1_000_000, time.monotonic_ns() // 1_000_000)
        except SpoolFull:
            return
        feed.add(rows, spool)
        if not spool.has_lost:
            self._trouble.over()

    def make_room(self, spool: Spool, feed: Feed, need: int) -> bool:
        """Take out what the least urgent class can do without; return whether anything went."""
        need = max(need, min(_LEAST, self._room.quota // _LEAST_SHARE))
        for lane in reversed(self._classes.order):
            section = self._classes.section(lane)
            try:
                if section.when_full == "drop-oldest":
                    left = self._drop(spool, feed.upto(lane), need, section.name)
                elif section.when_full == "thin":
                    left = self._thin(spool, feed.upto(lane), need, section.name)
                else:
                    continue
            except SpoolFull:
                return False
            if left.messages:
                told = (
                    "the oldest go" if section.when_full == "drop-oldest" else "every second goes"
                )
                self._trouble.seen(f"full: of the messages of class {section.name} {told}")
                return True
        return False

    def expire(self, spool: Spool, feed: Feed, now_ms: int) -> None:
        """Drop what is older than its class is kept."""
        if not self._room.synced():
            return
        for lane in self._classes.order:
            section = self._classes.section(lane)
            if section.max_age:
                before_ts = now_ms - section.max_age
                try:
                    left = self._drop_aged(spool, feed.upto(lane), before_ts, section.name)
                except SpoolFull:
                    return
                if left.messages:
                    self._trouble.seen(f"messages of class {section.name} are too old, and go")

    def watch_disk(self, spool: Spool) -> None:
        """Keep the file from growing while its disk is nearly full.

        A full disk, unlike a full quota, could not even delete.
        """
        found = os.statvfs(spool.folder)
        low = found.f_bavail * found.f_frsize < self._room.floor
        if low != self.disk_low:
            self.disk_low = low
            spool.may_grow(not low)

    def _drop(self, spool: Spool, after: int, need: int, name: str) -> Left:
        return spool.take_out(lambda db: thinning.drop_oldest(db, after, need, name))

    def _drop_aged(self, spool: Spool, after: int, before_ts: int, name: str) -> Left:
        return spool.take_out(lambda db: thinning.drop_aged(db, after, before_ts, name, _AGED_ROWS))

    def _thin(self, spool: Spool, after: int, need: int, name: str) -> Left:
        """Thin what is densest, the oldest of it first: so all the time of an outage is told alike.

        Up to where a level's pass has come all rows were thinned once more than that; a row that
        is new is dense, and is brought to the others' level before they are thinned again.
        """
        lane = lane_of(after)
        passes = self._passes.setdefault(lane, [_Pass(after) for _ in range(_LEVELS)])
        end = spool.places[lane].last_id
        gone = Left(None, 0, 0, after)
        for one in passes:
            rows = range(max(one.upto, after) + 1, end + 1)
            if gone.size >= need:
                break
            left = spool.take_out(partial(_thinned, rows, need - gone.size, name, one.alternate))
            one.upto = end = left.upto
            gone = Left(None, gone.messages + left.messages, gone.size + left.size, after)
        return gone if gone.messages else self._drop(spool, after, need, name)


def _thinned(
    rows: range, need: int, name: str, alternate: Alternate, db: sqlite3.Connection
) -> Left:
    return thinning.thin(db, rows, need, name, alternate)
