"""The spool thread: group commit for the network, a bounded feed for the uplink.

It commits whenever it is free, with no timer: while one commit is on its way to the disk the next
batch gathers, so latency and batching both come from the load. Discards ride in the same loop.
An uplink that is level is fed what was just committed, one that is behind from the disk.

    network ──offer──▶ [ mail ] ──▶ commit ──▶ acknowledgements ──▶ network
    uplink ◀──take── [ feed, bounded ] ◀── read back from disk
    uplink ──discard, rewind, own messages──▶ [ mail ]
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from gateway import spool_file, spool_rows
from gateway.classes import Classes
from gateway.feed import Feed
from gateway.mail import Mail, Question
from gateway.message import Arrivals, Batch, Chunk, Done, Level
from gateway.pacing import Trouble
from gateway.room import Policy, Room
from gateway.spool import Spool, SpoolFull
from gateway.spool_file import DeviceRow, Remembered, Told

T = TypeVar("T")

_log = logging.getLogger("tidegate.gateway.spool")
_RETRY_S = 0.5
_LEVEL_S = 0.2
# What a row takes in the database beside its messages, generously.
_ROW_BYTES = 64 << 10
# The gateway's own messages have no epoch: no connection has to live for them.
_NO_EPOCH = -1


class Spooling:
    """Owns the spool from inside one thread; the other methods are for the other threads."""

    def __init__(
        self,
        open_spool: Callable[[], Spool],
        on_done: Callable[[Done], None],
        *,
        classes: Classes,
        room: Room,
        devices_heard_after: int = 0,
    ) -> None:
        """Prepare it.

        Args:
            open_spool: opens the one connection, in the thread itself.
            on_done: called in that thread after each commit; it must only hand over.
            classes: the priority classes that are wanted.
            room: the bounds of the spool.
            devices_heard_after: which remembered devices still matter, wall clock ms.
        """
        self._open = open_spool
        self._on_done = on_done
        self._devices_heard_after = devices_heard_after
        self._policy = Policy(classes, room)
        self._mail = Mail()
        self._posted = threading.Condition()
        self._feed = Feed()
        self._pending: list[Arrivals] = []
        self._pending_bytes = 0
        self._full = False
        self._trouble = Trouble(_log, "spool")
        self._commits = 0
        self._remembered = Remembered([], [])
        self._ready = threading.Event()
        self.level = Level()
        self._level_at_s = 0.0
        self.beat_s = time.monotonic()

    def offer(self, arrivals: Arrivals) -> None:
        """Hand over messages for the next commit; returns at once."""
        with self._posted:
            self._mail.arrivals.append(arrivals)
            self._pending_bytes += arrivals.memory
            self._posted.notify()

    @property
    def waiting_bytes(self) -> int:
        """Return roughly how much memory messages take that are not on disk yet."""
        return self._pending_bytes

    def opened(self) -> Remembered:
        """Wait until the spool is open; return what it remembers."""
        self._ready.wait()
        return self._remembered

    def take(self, wait_s: float, *, urgent: bool = False) -> Batch | None:
        """Return the next batch, the most urgent first, with ``urgent`` none of the last class.

        None when none came in time.
        """
        batch = self._feed.take(wait_s, urgent=urgent)
        if batch is not None and self._feed.hungry:
            self._wake()
        return batch

    def drained(self) -> bool:
        """Return whether the uplink has taken everything that was ever committed or offered."""
        return self._feed.empty and not (self._pending or self._mail.arrivals)

    def discard(
        self,
        upto: Sequence[int],
        devices: Sequence[DeviceRow] = (),
        told: Sequence[Told] = (),
    ) -> None:
        """Let the spool forget, up to and with a row each of some lanes; Kafka has them."""
        with self._posted:
            self._mail.discard += upto
            self._mail.devices += devices
            self._mail.told += told
            self._posted.notify()

    def rewind(self) -> None:
        """Start the feed again behind the last discarded batch; returns once that is so."""
        with self._posted:
            self._mail.rewind = True
            self._posted.notify()
            self._posted.wait_for(lambda: not self._mail.rewind or self._mail.stop)

    def append_own(self, chunks: list[Chunk]) -> None:
        """Spool the gateway's own messages behind all that waits now."""
        self.offer(Arrivals(_NO_EPOCH, [], chunks))

    def ask(self, about: Callable[[Spool], T]) -> T:
        """Return what the spool's thread finds out at its next turn; what fails is raised here."""
        return self._post(Question(about)).answer()

    def follow(self, device: Callable[[bytes], str]) -> None:
        """Tell the devices of topics by another routing table from its next turn on."""
        self._post(Question(lambda _: self._policy.follow(device)))

    def stop(self) -> None:
        """Let the thread commit what it has and end."""
        with self._posted:
            self._mail.stop = True
            self._posted.notify_all()

    def run(self) -> None:
        """Serve until stopped.

        Raises:
            SpoolCorrupt, sqlite3.Error: the process must end; nothing was acknowledged for it.
        """
        spool = self.begin()
        try:
            while self.turn(spool, _RETRY_S):
                pass
        finally:
            spool.close()

    def begin(self) -> Spool:
        """Open the spool and let the uplink begin."""
        spool = self._open()
        if spool.set_aside:
            _log.error("the spool could not be read and was set aside: possible loss")
        self._remembered = spool.look(
            lambda db: spool_file.remembered(db, self._devices_heard_after)
        )
        self._feed.begin(spool.places)
        self._policy.settle(spool, self._feed)
        self._set_level(spool)
        self._ready.set()
        return spool

    def turn(self, spool: Spool, wait_s: float) -> bool:
        """Do what there is to do, or comes within a time; return whether it goes on."""
        with self._posted:
            if not self._mail and not self._feed.starved:
                self._posted.wait(wait_s)
            mail, self._mail = self._mail, Mail()
            self._mail.stop = mail.stop
            # The uplink waits for its rewind; the flag falls once it was done.
            self._mail.rewind = mail.rewind
        self.beat_s = time.monotonic()
        self._serve(spool, mail)
        return not mail.stop

    def _serve(self, spool: Spool, mail: Mail) -> None:
        if mail.discard:
            spool.discard(mail.discard, mail.devices, mail.told)
            self._commits += 1
        self._pending += mail.arrivals
        if self._pending:
            self._append(spool)
        if mail.rewind:
            self._rewind(spool)
        for question in mail.questions:
            question.put(spool)
            self._feed.look_again(spool)
        self._policy.look(spool, self._feed, self.beat_s, idle=not self._pending)
        if spool.has_lost and (mail.discard or not spool.messages):
            self._policy.tell_loss(spool, self._feed, self.beat_s)
        self._feed.refill(spool)
        if self.beat_s >= self._level_at_s:
            self._set_level(spool)

    def _append(self, spool: Spool) -> None:
        if self._full:
            self._append_what_fits(spool)
            return
        try:
            rows = self._written(spool, self._pending)
        except SpoolFull:
            self._append_what_fits(spool)
            return
        self._committed(self._pending)
        self._feed.add(rows, spool)
        # Last: until it is in the feed or known to be on disk it is still pending.
        self._pending = []

    def _written(self, spool: Spool, arrivals: Sequence[Arrivals]) -> list[Batch]:
        """Write arrivals in one commit, making room as far as the classes allow.

        Raises:
            SpoolFull: there is none.
        """
        by_class = self._policy.sorted([chunk for one in arrivals for chunk in one.chunks])
        need = sum(one.memory for one in arrivals) + _ROW_BYTES
        while True:
            try:
                return spool.append(*by_class)
            except SpoolFull:
                if not self._policy.make_room(spool, self._feed, need):
                    raise

    def _append_what_fits(self, spool: Spool) -> None:
        """Commit as many of the pending arrivals, in order, as the spool still takes."""
        # Those of an earlier connection will come again on this one, so they are not kept twice.
        newest = max(arrivals.epoch for arrivals in self._pending)
        keep = [a for a in self._pending if a.epoch == newest]
        self._let_go([a for a in self._pending if a.epoch != newest])
        fitted = 0
        for arrivals in keep:
            try:
                self._written(spool, [arrivals])
            except SpoolFull:
                break
            fitted += 1
        self._full = fitted < len(keep)
        if self._full and self._policy.disk_low:
            self._trouble.seen("its disk is nearly full; nothing is acknowledged until it is not")
        elif self._full:
            self._trouble.seen("full; nothing is acknowledged until Kafka has taken some")
        else:
            self._trouble.over()
        self._committed(keep[:fitted])
        self._feed.look_again(spool)
        self._pending = keep[fitted:]

    def _committed(self, written: list[Arrivals]) -> None:
        self._commits += 1
        for arrivals in written:
            if arrivals.mids:
                self._on_done(Done(arrivals.epoch, arrivals.mids))
        # Last: a network thread that ends waits for nothing more once nothing is pending.
        self._let_go(written)

    def _let_go(self, gone: list[Arrivals]) -> None:
        with self._posted:
            self._pending_bytes -= sum(arrivals.memory for arrivals in gone)

    def _rewind(self, spool: Spool) -> None:
        self._feed.begin(spool.places)
        with self._posted:
            self._mail.rewind = False
            self._posted.notify_all()

    def _post(self, question: Question[T]) -> Question[T]:
        with self._posted:
            self._mail.questions.append(question)
            self._posted.notify()
        return question

    def _wake(self) -> None:
        with self._posted:
            self._posted.notify()

    def _set_level(self, spool: Spool) -> None:
        """Ask the database how full it is: not at every commit, the questions cost like one."""
        self._level_at_s = self.beat_s + _LEVEL_S
        self.level = Level(
            spool.messages,
            spool.look(spool_rows.used_bytes),
            spool.look(spool_rows.oldest_ts) if spool.messages else None,
            self._full,
            self._commits,
            spool.damaged,
            spool.set_aside,
            {str(why): count for why, count in spool.dropped.items()},
        )
