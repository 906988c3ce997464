"""T2: a power cut at every boundary of what SQLite does to the disk for the spool.

A workload runs once on a VFS that writes every write, truncation, sync and deletion down. For each
point between two of them, and for each way in which a disk may keep what was not synced yet, the
files are made as a power cut would leave them, and opened by the real spool.

Oracles: I1, what ``append`` returned for is there unless its discard was asked for; I2, nothing else
is gone, but what a policy took out, and then a gap record names it, and it alone; no phantom, what
is read was appended, once; I7, no row id is given twice.
"""

import contextlib
import itertools
import os
import random
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from crash_vfs import FULL, IOERR_FSYNC, IOERR_WRITE, Event, Vfs
from edge_fakes import chunk, opened

from gateway.blob import MAX_MESSAGES, first_row, lane_of
from gateway.gaps import HOLES_TOPIC, TOPICS, Holes
from gateway.message import Batch
from gateway.spool import Spool, SpoolCorrupt, SpoolFull
from gateway.spool_file import DeviceRow
from gateway.thinning import Alternate, drop_oldest, thin

QUOTA = 256 << 10
BLOCK, SECTOR = 4096, 512
Files = dict[str, bytes]


class Hasty(sqlite3.Connection):
    """Folds the log into the database every few pages: more boundaries, in smaller files."""

    def execute(self, sql: str, *given: Any) -> sqlite3.Cursor:
        return super().execute(
            sql.replace("wal_autocheckpoint=1000", "wal_autocheckpoint=12"), *given
        )


class Unsynced(Hasty):
    """A mutant: commits reach the disk when it likes."""

    def execute(self, sql: str, *given: Any) -> sqlite3.Cursor:
        return super().execute(sql.replace("synchronous=FULL", "synchronous=OFF"), *given)


class LogUnsynced(Hasty):
    """A mutant: SQLite's usual advice for WAL, which syncs at checkpoints only."""

    def execute(self, sql: str, *given: Any) -> sqlite3.Cursor:
        return super().execute(sql.replace("synchronous=FULL", "synchronous=NORMAL"), *given)


class Early(Hasty):
    """A mutant: says that it has committed, and does so before the next transaction."""

    late = False

    def execute(self, sql: str, *given: Any) -> sqlite3.Cursor:
        if self.late and sql != "COMMIT":
            self.late = False
            super().execute("COMMIT")
        if sql == "COMMIT":
            self.late = True
            return self.cursor()
        return super().execute(sql, *given)


class Step(NamedTuple):
    """What the spool had promised after so many events."""

    events: int
    kind: str
    texts: tuple[str, ...] = ()
    row_id: int = 0
    seqs: tuple[int, ...] = ()


class Trace(NamedTuple):
    events: list[Event]
    steps: list[Step]


def recorded(folder: Path, seed: int, connection: type[Hasty] = Hasty) -> Trace:
    """Run the workload: appends of all sizes, discards, a quota that is reached, a restart."""
    chance, number = random.Random(seed), itertools.count()
    with Vfs(f"crash-{seed}-{connection.__name__}") as vfs:
        steps = Steps(vfs)
        for _ in range(2):
            spool = opened_on(vfs, folder, connection)
            for _ in range(40):
                lane = int(chance.random() < 0.25)
                texts = tuple(f"{next(number)}" for _ in range(chance.randint(1, 4)))
                steps.append(spool, texts, chance.choice([10, 300, 5000, 20_000]), lane)
                cursor = spool.places[lane].cursor
                if chance.random() < 0.12 and (batches := spool.read(cursor, 200_000)):
                    steps.discard(spool, batches, chance.choice(batches).row_id)
                if chance.random() < 0.12:
                    steps.take_out(spool, cursor, thins=chance.random() < 0.5)
                if chance.random() < 0.05:
                    steps.tell(spool)
            spool.close()
        return Trace(vfs.events, steps.taken)


def opened_on(vfs: Vfs, folder: Path, connection: type[Hasty] = Hasty) -> Spool:
    def connect(path: Path) -> sqlite3.Connection:
        return sqlite3.connect(vfs.uri(path), uri=True, isolation_level=None, factory=connection)

    return Spool(folder / "spool.db", QUOTA, 7, connect=connect)


class Steps:
    """What the spool was asked and what it promised, each behind so many events."""

    def __init__(self, vfs: Vfs) -> None:
        self._vfs = vfs
        self.taken: list[Step] = []

    def _note(
        self, kind: str, texts: tuple[str, ...] = (), row_id: int = 0, seqs: tuple[int, ...] = ()
    ) -> None:
        self.taken.append(Step(len(self._vfs.events), kind, texts, row_id, seqs))

    def append(self, spool: Spool, texts: tuple[str, ...], size: int, lane: int = 0) -> None:
        self._note("append", texts)
        chunks = [chunk(text.encode().ljust(size, b".")) for text in texts]
        try:
            rows = spool.append(*(([], {1: chunks}) if lane else (chunks,)))
        except SpoolFull:
            self._note("full", texts)
        else:
            seqs = tuple(seq for row in rows for seq, _, _ in opened(row.chunks))
            self._note("appended", texts, rows[-1].row_id, seqs)

    def take_out(self, spool: Spool, after: int, *, thins: bool) -> None:
        self._note("take out")
        try:
            if thins:
                left = spool.take_out(
                    lambda db: thin(
                        db, range(after + 1, first_row(lane_of(after) + 1)), 9000, "c", Alternate()
                    )
                )
            else:
                left = spool.take_out(lambda db: drop_oldest(db, after, 9000, "c"))
        except SpoolFull:
            return
        if left.messages:
            self._note("thinned" if thins else "dropped")

    def tell(self, spool: Spool) -> None:
        with contextlib.suppress(SpoolFull):
            spool.tell_loss(1, 1)

    def discard(self, spool: Spool, batches: list[Batch], upto: int) -> None:
        its = [b for b in batches if b.row_id <= upto]
        gone = [t for b in its for t in texts_of(b.chunks) if t]
        # What a record named is Kafka's with the record.
        self._note("discard", tuple(gone), upto, tuple(named(its)))
        spool.discard([upto], [DeviceRow("d", True, "s", 1, 1, 1)])


def texts_of(chunks) -> list[str]:
    """Return what the messages say; of the spool's own, nothing."""
    return [
        "" if topic in TOPICS else payload.decode().rstrip(".")
        for _, topic, payload in opened(chunks)
    ]


def named(batches: list[Batch]) -> set[int]:
    """Return the numbers that records say are gone, of rows of at most four messages."""
    seqs: set[int] = set()
    for _, topic, payload in opened(c for b in batches for c in b.chunks):
        if topic == HOLES_TOPIC:
            found = msgspec.json.decode(payload, type=Holes)
            for first, last in found.ranges:
                rows = range(first, last + 1, MAX_MESSAGES)
                seqs |= {row + at for row in rows for at in range(4)}
            for at, bits in found.bits.items():
                number = int.from_bytes(bytes.fromhex(bits), "little")
                seqs |= {int(at) + bit for bit in range(number.bit_length()) if number >> bit & 1}
    return seqs


class Disk:
    """Files as far as they are synced, and what has been done to them since."""

    def __init__(self) -> None:
        self.durable: dict[str, bytearray] = {}
        self.pending: dict[str, list[Event]] = {}

    def do(self, event: Event) -> None:
        if event.kind == "sync":
            apply(
                self.durable.setdefault(event.file, bytearray()), self.pending.pop(event.file, [])
            )
        elif event.kind == "delete":
            self.durable.pop(event.file, None)
            self.pending.pop(event.file, None)
        else:
            self.pending.setdefault(event.file, []).append(event)

    def left(self, mode: str, chance: random.Random) -> Files:
        """Return what a power cut now leaves."""
        files = {name: bytes(data) for name, data in self.durable.items()}
        for name, events in self.pending.items():
            data = bytearray(self.durable.get(name, b""))
            apply(data, list(MODES[mode](events, len(data), chance)))
            if data or name in self.durable:
                files[name] = bytes(data)
        return files


def apply(data: bytearray, events: list[Event]) -> None:
    for event in events:
        if event.kind == "truncate":
            del data[event.offset :]
        else:
            data.extend(bytes(max(event.offset - len(data), 0)))
            data[event.offset : event.offset + len(event.data)] = event.data


def dropped(_events: list[Event], _size: int, _chance: random.Random) -> Iterator[Event]:
    """Nothing of it reached the disk."""
    return iter(())


def kept(events: list[Event], _size: int, _chance: random.Random) -> Iterator[Event]:
    """All of it did: the process was killed and the machine lives."""
    return iter(events)


def torn(events: list[Event], _size: int, chance: random.Random) -> Iterator[Event]:
    """It did in order, up to the middle of a write."""
    last = chance.randrange(len(events))
    yield from events[:last]
    keep = chance.randrange(0, len(events[last].data) + 1, SECTOR)
    yield events[last]._replace(data=events[last].data[:keep])


def zeros(events: list[Event], size: int, _chance: random.Random) -> Iterator[Event]:
    """The file has its new length, and zeros where the data should be."""
    for event in events:
        new = event.kind == "write" and event.offset >= size
        yield event._replace(data=bytes(len(event.data))) if new else event


def blocks(events: list[Event], _size: int, chance: random.Random) -> Iterator[Event]:
    """Any of its blocks did, in any order."""
    for event in events:
        for at in range(0, max(len(event.data), 1), BLOCK):
            if chance.random() < 0.5:
                yield event._replace(offset=event.offset + at, data=event.data[at : at + BLOCK])


def flipped(events: list[Event], _size: int, chance: random.Random) -> Iterator[Event]:
    """All of it did, with one bit wrong."""
    bad = chance.randrange(len(events))
    for place, event in enumerate(events):
        data = bytearray(event.data)
        if place == bad and data:
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        yield event._replace(data=bytes(data))


MODES = {f.__name__: f for f in (dropped, kept, torn, zeros, blocks, flipped)}


class Promise(NamedTuple):
    """What must, and what may, be read after a power cut."""

    must: set[str]
    may: set[str]
    seqs: dict[str, int]
    last_rows: tuple[int, int]


def promises(trace: Trace) -> Iterator[Promise]:
    """Return the promise at each point: before the first event, and behind each one."""
    must: set[str] = set()
    may: set[str] = set()
    seqs: dict[str, int] = {}
    last_rows, at = [0, 0], 0
    for count in range(len(trace.events) + 1):
        while at < len(trace.steps) and trace.steps[at].events <= count:
            step = trace.steps[at]
            at += 1
            if step.kind == "append":
                may |= set(step.texts)
            elif step.kind == "full":
                may -= set(step.texts)
            elif step.kind == "appended":
                must |= set(step.texts)
                seqs.update(zip(step.texts, step.seqs, strict=True))
                last_rows[lane_of(step.row_id)] = step.row_id
            else:
                must -= set(step.texts)
                must -= {
                    text for text in must if seqs[text] in step.seqs and step.kind == "discard"
                }
        yield Promise(set(must), set(may), dict(seqs), (last_rows[0], last_rows[1]))


def broken(folder: Path, files: Files, promise: Promise) -> str:
    """Open what is left with the real spool; return what is wrong, nothing if all is well."""
    for old in folder.iterdir():
        old.unlink()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    spool = Spool(folder / "spool.db", QUOTA, 8)
    try:
        if spool.set_aside or spool.damaged:
            return f"set aside {spool.set_aside}, damaged {spool.damaged}"
        batches = [b for lane in (0, 1) for b in read_all(spool, lane)]
        found = [t for b in batches for t in texts_of(b.chunks) if t]
        if spool.damaged:
            return "a damaged row"
        if len(found) != len(set(found)):
            return f"twice: {found}"
        told = named(batches)
        missing = {t for t in promise.must - set(found) if promise.seqs[t] not in told}
        if missing:
            return f"lost: {sorted(missing)}"
        if phantoms := set(found) - promise.may:
            return f"phantoms: {sorted(phantoms)}"
        if lies := {t for t in found if promise.seqs.get(t) in told}:
            return f"said to be gone: {sorted(lies)}"
        return given_again(spool, promise)
    finally:
        spool.close()


def read_all(spool: Spool, lane: int) -> Iterator[Batch]:
    """Return a lane's batches, as the feed reads them: until there are none."""
    after = first_row(lane)
    while batches := spool.read(after, 1 << 30):
        yield from batches
        after = batches[-1].row_id


def given_again(spool: Spool, promise: Promise) -> str:
    """Return which row id comes a second time once all rows are gone."""
    spool.discard([place.last_id for place in spool.places[:2]])
    rows = spool.append([chunk(b"new")], {1: [chunk(b"new")]})
    for row, last in zip(rows, promise.last_rows, strict=True):
        if row.row_id <= last:
            return f"row id {row.row_id} again, {last} was given"
    return ""


def cases(trace: Trace, seed: int) -> Iterator[tuple[str, Files, Promise]]:
    """Return every point in every way."""
    chance, disk = random.Random(seed), Disk()
    for place, promise in enumerate(promises(trace)):
        if place:
            disk.do(trace.events[place - 1])
        for mode in MODES if disk.pending else ("dropped",):
            yield f"{mode} behind event {place}", disk.left(mode, chance), promise


@pytest.fixture
def fast(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: the model stands in for the disk."""
    shm = Path("/dev/shm")
    folder = (shm if os.access(shm, os.W_OK) else tmp_path) / f"tidegate-crash-{os.getpid()}"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("seed", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 3))])
def test_no_power_cut_loses_what_was_promised_or_makes_anything_up(
    tmp_path: Path, fast: Path, seed: int
) -> None:
    """More than 7000 cases a seed."""
    trace = recorded(tmp_path, seed)
    assert {"append", "appended", "full", "discard", "dropped", "thinned"} <= {
        step.kind for step in trace.steps
    }
    wrong = []
    for count, (what, files, promise) in enumerate(cases(trace, seed), 1):  # noqa: B007
        if problem := broken(fast, files, promise):
            wrong.append(f"{what}: {problem}")
    assert wrong == []
    assert count > 7_000


@pytest.mark.parametrize("mutant", [Unsynced, LogUnsynced, Early])
def test_the_model_catches_a_spool_that_promises_too_early(
    tmp_path: Path, fast: Path, mutant: type[Hasty]
) -> None:
    """T17: else the test above would prove nothing."""
    trace = recorded(tmp_path, 1, mutant)
    found = (broken(fast, files, promise) for _, files, promise in cases(trace, 1))
    first = next((problem for problem in found if problem), "")
    assert first.startswith(("lost: ", "set aside 1", "row id "))


@pytest.mark.parametrize("code", [IOERR_FSYNC, IOERR_WRITE, FULL])
def test_a_disk_that_fails_once_gets_nothing_acknowledged_that_is_not_there(
    tmp_path: Path, fast: Path, code: int
) -> None:
    """T3: at the n-th write or sync, for every n; a full disk is gone on with, an error ends it."""
    failed = {"full": 0, "ended": 0}
    kind = "sync" if code == IOERR_FSYNC else "write"
    for nth in range(400):
        (tmp_path / f"{nth}").mkdir()
        calls = itertools.count()
        with Vfs(f"fault-{code}-{nth}") as vfs:
            spool = opened_on(vfs, tmp_path / f"{nth}")
            vfs.fault = lambda e: code if e.kind == kind and next(calls) == nth else 0  # noqa: B023
            steps = Steps(vfs)
            failed["ended"] += ran_out(spool, steps)
            spool.close()
        failed["full"] += any(step.kind == "full" for step in steps.taken)
        disk = Disk()
        for event in vfs.events:
            disk.do(event)
        *_, promise = promises(Trace(vfs.events, steps.taken))
        for mode in ("dropped", "kept", "torn"):
            assert broken(fast, disk.left(mode, random.Random(nth)), promise) == "", (nth, mode)
        if next(calls) <= nth:
            break
    assert failed["full" if code == FULL else "ended"] > 5, failed
    assert 20 < nth < 399


def ran_out(spool: Spool, steps: Steps) -> bool:
    """Append and discard for a while; return whether the spool said that it must end."""
    try:
        for number in range(12):
            steps.append(spool, (f"{number}",), 3000)
            if number % 5 == 4:
                steps.discard(
                    spool, spool.read(spool.places[0].cursor, 1 << 20), spool.places[0].cursor + 3
                )
    except (sqlite3.OperationalError, SpoolCorrupt):
        return True
    return False
