"""The machine: its clock, and the disk below the data folder."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from gateway.clock import clock_is_synced
from gateway.online.finding import Finding
from gateway.sections import Config

_SYNCS = 20
_SLOW_MS = 50.0
_BESIDE = 64 << 20
_IN_MEMORY = ("tmpfs", "ramfs")


def check(config: Config) -> Iterator[Finding]:
    """Return what is to be said of the clock and the disk."""
    if clock_is_synced():
        yield Finding("ok", "clock", "synchronised, or no time daemon to say so")
    else:
        cure = "readings without a time of their own are flagged UNSYNCED until it is"
        yield Finding("warn", "clock", "the time daemon has not set it yet", cure)
    folder = Path(config.gateway.data_dir)
    there = next(each for each in (folder, *folder.parents) if each.is_dir())
    kind = file_system(there)
    if kind in _IN_MEMORY:
        cure = "name a data_dir on a disk: what is acknowledged must survive a power cut"
        yield Finding("fail", "disk", f"{folder} is in memory ({kind})", cure)
    yield from _room(there, folder, int(config.spool.quota))
    yield from _syncs(folder if folder.is_dir() else None)


def file_system(folder: Path) -> str:
    """Return the kind of file system that a folder is on."""
    lines = Path("/proc/self/mounts").read_text("utf-8").splitlines()
    mounts = {Path(line.split()[1]): line.split()[2] for line in lines}
    where = folder.resolve()
    return next(mounts[each] for each in (where, *where.parents) if each in mounts)


def _room(there: Path, folder: Path, quota: int) -> Iterator[Finding]:
    free = shutil.disk_usage(there).free
    spool = folder / "spool.db"
    taken = spool.stat().st_size if spool.exists() else 0
    if free + taken < quota + _BESIDE:
        told = f"{free >> 20} MiB are free for a quota of {quota >> 20} MiB"
        cure = "lower spool.quota: a full disk, unlike a full quota, cannot even delete"
        yield Finding("fail", "disk", told, cure)
    else:
        yield Finding("ok", "disk", f"{free >> 20} MiB are free for a quota of {quota >> 20} MiB")


def _syncs(folder: Path | None) -> Iterator[Finding]:
    if folder is None or not os.access(folder, os.W_OK):
        yield Finding("unseen", "fsync", "the data folder is not there yet, or another user's")
        return
    took = sorted(_sync_ms(folder / f".check-{os.getpid()}") for _ in range(_SYNCS))
    told = f"{took[_SYNCS // 2]:.1f} ms usually, {took[-1]:.1f} ms at the worst of {_SYNCS}"
    slow = took[_SYNCS // 2] > _SLOW_MS
    cure = "readings a second are at most receive_maximum divided by it" if slow else ""
    yield Finding("warn" if slow else "ok", "fsync", told, cure)


def _sync_ms(path: Path) -> float:
    begun = time.perf_counter()
    with path.open("wb") as file:
        file.write(bytes(4096))
        file.flush()
        os.fsync(file.fileno())
    took = 1000 * (time.perf_counter() - begun)
    path.unlink()
    return took
