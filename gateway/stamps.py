"""Times of receipt, set right once the clock is.

A device without a battery-backed clock boots in the past. What it receives before a time daemon
has set the clock is spooled with a wrong wall clock time and a right monotonic one, so when the
clock is set the difference of the two tells the true time of receipt.

That difference is taken once a boot and kept on disk before it is used. A message that is sent
again, after a rewind or by the next process, therefore gets the same time to the millisecond, and
so falls into the same window downstream; and what an earlier process of this boot received can be
set right as well, as the monotonic clock counts from the boot. Of an earlier boot nothing is known:
such messages stay as they are, flagged UNSYNCED.
"""

import json
import logging
import os
from pathlib import Path
from typing import NamedTuple

from gateway.message import INTERNAL, UNSYNCED, Stored
from schemas.files import replace

_log = logging.getLogger("tidegate.daemon")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# A process start each; their messages are long gone when so many more have started.
_REMEMBERED = 200


class _Era(NamedTuple):
    """A process that began with its clock not set; ``offset_ms`` is None until it was."""

    epoch: int
    boot: str
    offset_ms: int | None
    until_mono: int
    """Received later than this, the wall clock was right already."""


class Stamps:
    """What is known of the processes that began unsynchronised, kept in one file."""

    def __init__(self, path: Path, epoch: int, boot: str) -> None:
        """Read the file; one that cannot be read says nothing.

        Args:
            path: where it is.
            epoch: this process's random number, as in the spool.
            boot: what tells this boot of the machine from others.
        """
        self._path = path
        self._epoch = epoch
        self._boot = boot
        self._eras = _read(path)
        self.settled = True
        """False from an unsynchronised start until the clock was set."""
        self.restamped = 0

    def begin(self, *, synced: bool) -> None:
        """Note whether this process starts with its clock set."""
        if not synced:
            self.settled = False
            era = _Era(self._epoch, self._boot, None, 0)
            self._save({**self._eras, self._epoch: era})

    def learn(self, wall_ms: int, mono_ms: int) -> None:
        """Take the clock as set from this moment on, which is the same on both clocks."""
        if self.settled:
            return
        offset = wall_ms - mono_ms
        learned = {
            epoch: era._replace(offset_ms=offset, until_mono=mono_ms)
            for epoch, era in self._eras.items()
            if era.boot == self._boot and era.offset_ms is None
        }
        self._save({**self._eras, **learned})
        self.settled = True

    def right(self, stored: Stored) -> Stored:
        """Return a chunk with its true time of receipt, if that is known.

        The gateway's own messages say times inside, which stay as they are, and so does the flag.
        """
        chunk = stored.chunk
        if chunk.flags & (UNSYNCED | INTERNAL) != UNSYNCED:
            return stored
        era = self._eras.get(stored.epoch)
        if era is None or era.offset_ms is None or chunk.received_mono > era.until_mono:
            return stored
        self.restamped += chunk.messages
        true_ts = chunk.received_mono + era.offset_ms
        set_right = chunk._replace(received_ts=true_ts, flags=chunk.flags & ~UNSYNCED)
        return stored._replace(chunk=set_right)

    def _save(self, eras: dict[int, _Era]) -> None:
        """Keep them on disk, then use them: a time that is not on disk could come out otherwise."""
        kept = dict(list(eras.items())[-_REMEMBERED:])
        try:
            replace(self._path, json.dumps([list(era) for era in kept.values()]))
        except OSError as error:
            _log.warning("%s: %s; times of receipt stay as they are", self._path, error.strerror)
            return
        self._eras = kept


def boot_id() -> str:
    """Return what tells this boot from others; random, so as to match none, where unknown."""
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return os.urandom(16).hex()


def _read(path: Path) -> dict[int, _Era]:
    try:
        rows = json.loads(path.read_text("utf-8"))
        eras = [_Era(int(row[0]), str(row[1]), row[2], int(row[3])) for row in rows]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, LookupError) as error:
        _log.warning("%s: cannot be read, starting a new one: %s", path, error)
        return {}
    return {era.epoch: era for era in eras}
