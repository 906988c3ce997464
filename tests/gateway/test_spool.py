"""The spool keeps what it accepted, gives no number twice, and frees what it is told to."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from edge_fakes import chunk, opened

from gateway.blob import first_seq
from gateway.message import Chunk
from gateway.spool import Spool, SpoolCorrupt, SpoolFull
from gateway.spool_file import DeviceRow, devices
from gateway.spool_rows import oldest_ts, used_bytes

MB = 1 << 20


def message(text: str, size: int = 0) -> Chunk:
    return chunk(text.encode().ljust(size, b"."), ts=1000)


def texts(spool: Spool, after: int = 0) -> list[str]:
    chunks = [c for b in spool.read(after, 1 << 30) for c in b.chunks]
    return [payload.decode().rstrip(".") for _, _, payload in opened(chunks)]


def open_spool(folder: Path, quota: int = 64 * MB, epoch: int = 5) -> Spool:
    return Spool(folder / "spool.db", quota, epoch)


def fill(spool: Spool, size: int) -> int:
    """Append until it is full; return how many were accepted."""
    for i in range(10_000):
        try:
            spool.append([message(f"{i}", size)])
        except SpoolFull:
            return i
    raise AssertionError("it never was full")


def test_what_was_appended_is_read_back_in_order(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    spool.append([message(f"a{i}") for i in range(2500)])
    spool.append([message("b")])
    assert texts(spool) == [*(f"a{i}" for i in range(2500)), "b"]
    assert (spool.messages, len(spool.read(0, 1 << 30))) == (2501, 3)
    spool.close()


def test_settings_that_make_a_commit_durable(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    asked = [
        spool._db.execute(f"PRAGMA {p}").fetchone()[0] for p in ("journal_mode", "synchronous")
    ]
    assert asked == ["wal", 2]
    spool.close()


def test_a_new_process_goes_on_behind_what_was_delivered(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, epoch=1)
    for text in "abc":
        spool.append([message(text)])
    spool.discard([2])
    spool.close()
    again = open_spool(tmp_path, epoch=2)
    again.append([message("d")])
    batches = again.read(again.places[0].cursor, 1 << 30)
    chunks = [c for b in batches for c in b.chunks]
    assert [(opened([c])[0][2], c.epoch) for c in chunks] == [(b"c", 1), (b"d", 2)]
    assert again.messages == 2
    again.close()


def test_no_number_is_given_twice_even_when_the_spool_was_empty(tmp_path: Path) -> None:
    seqs = []
    for _ in range(3):
        spool = open_spool(tmp_path)
        spool.append([message("x"), message("y")])
        batch = spool.read(spool.places[0].cursor, 1 << 30)[-1]
        seqs += [seq for seq, _, _ in opened(batch.chunks)]
        spool.discard([batch.row_id])
        spool.append([message("z")])
        # What comes after an emptied table must still lie behind the cursor.
        assert texts(spool, spool.places[0].cursor) == ["z"]
        spool.discard([spool.read(spool.places[0].cursor, 1)[-1].row_id])
        spool.close()
    assert seqs == sorted(set(seqs))


def test_a_full_spool_refuses_whole_batches_and_frees_what_is_discarded(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, quota=2 * MB)
    accepted = fill(spool, 100_000)
    assert texts(spool) == [str(i) for i in range(accepted)]
    assert spool.messages == accepted
    assert 2 * MB - 200_000 < spool.look(used_bytes) <= 2 * MB
    rows = spool.read(0, 1 << 30)
    spool.discard([rows[4].row_id], [DeviceRow("d", True, "s", 1, 1, 1)])
    spool.append([message("again", 100_000)])
    assert texts(spool, spool.places[0].cursor)[-1] == "again"
    assert (tmp_path / "spool.db").stat().st_size <= 2 * MB
    spool.close()


def test_discarding_works_when_there_is_no_room_for_devices(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, quota=1 * MB)
    fill(spool, 3000)
    many = [DeviceRow(f"site.device-{i}" + "x" * 100, True, "s", 1, 1, 1) for i in range(20_000)]
    spool.discard([1], many)
    assert spool.places[0].cursor == 1
    assert spool.look(lambda db: devices(db, 0)) == []
    spool.close()


def test_devices_are_remembered_and_old_ones_forgotten(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    spool.discard(
        [1], [DeviceRow("a", True, "s", 10, 100, 5), DeviceRow("b", False, "s", 20, 200, 6)]
    )
    spool.discard([1], [DeviceRow("a", True, "s", 11, 101, 7)])
    spool.close()
    again = open_spool(tmp_path)
    assert again.look(lambda db: devices(db, 100)) == [
        DeviceRow("a", True, "s", 11, 101, 7),
        DeviceRow("b", False, "s", 20, 200, 6),
    ]
    assert again.look(lambda db: devices(db, 150)) == [DeviceRow("b", False, "s", 20, 200, 6)]
    again.close()


def test_a_file_that_is_no_database_is_set_aside_and_counted(tmp_path: Path) -> None:
    (tmp_path / "spool.db").write_bytes(b"rubbish" * 1000)
    spool = open_spool(tmp_path)
    spool.append([message("x")])
    assert (spool.set_aside, texts(spool)) == (1, ["x"])
    (aside,) = tmp_path.glob("spool.db.corrupt-*")
    assert aside.read_bytes() == b"rubbish" * 1000
    spool.close()


def test_a_database_that_breaks_while_running_is_set_aside_for_the_next_start(
    tmp_path: Path,
) -> None:
    spool = open_spool(tmp_path)
    spool.append([message(f"{i}", 5000) for i in range(200)])
    spool.close()
    path = tmp_path / "spool.db"
    data = bytearray(path.read_bytes())
    for page in range(4096, len(data), 4096):
        data[page : page + 8] = b"\xee" * 8
    path.write_bytes(data)
    try:
        broken = open_spool(tmp_path)
    except (SpoolCorrupt, sqlite3.DatabaseError):
        pass
    else:
        if not broken.set_aside:
            with pytest.raises(SpoolCorrupt, match="set aside as"):
                broken.read(0, 1 << 30)
    fresh = open_spool(tmp_path)
    assert texts(fresh) in ([], ["x"])
    assert list(tmp_path.glob("spool.db.corrupt-*"))
    fresh.close()


def test_a_damaged_row_gives_what_can_be_read_and_its_bytes_are_kept(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    spool.append([message(f"m{i}") for i in range(10)])
    (row,) = spool._db.execute("SELECT blob FROM batch").fetchall()
    bad = bytearray(row[0])
    bad[len(bad) // 2] ^= 1
    spool._db.execute("UPDATE batch SET blob = ?", (bytes(bad),))
    assert len(texts(spool)) == 9
    assert (spool.damaged, texts(spool)[0]) == (1, "m0")
    (kept,) = tmp_path.glob("spool.db.row-*")
    assert kept.read_bytes() == bytes(bad)
    spool.discard([1])
    spool.close()
    assert open_spool(tmp_path).damaged == 1


KILLED = """
import os, sys
from pathlib import Path
from gateway.message import Chunk
from gateway.packets import publish
from gateway.spool import Spool
spool = Spool(Path(sys.argv[1]), 64 << 20, 1)
for i in range(10 ** 9):
    packets = b"".join(publish(b"t", b"%d" % (i * 10 + j)) for j in range(10))
    spool.append([Chunk(packets, 10, 1, 1, 0)])
    os.write(1, b"%d\\n" % i)
"""


def test_what_was_reported_as_written_survives_a_kill(tmp_path: Path) -> None:
    done = -1
    for _ in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path / "spool.db")],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        assert child.stdout
        for _ in range(50):
            done = int(child.stdout.readline())
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        rest = child.stdout.read().split()
        child.stdout.close()
        done = int(rest[-1]) if rest else done
        spool = open_spool(tmp_path)
        assert spool.set_aside == 0
        kept = [int(t) for t in texts(spool, spool.places[0].cursor)]
        assert kept[: (done + 1) * 10] == list(range((done + 1) * 10))
        spool.discard([spool.places[0].last_id])
        spool.close()


def test_messages_carry_the_number_of_their_row(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    spool.append([message("a"), message("b")])
    (batch,) = spool.read(0, 1)
    assert [seq for seq, _, _ in opened(batch.chunks)] == [first_seq(1), first_seq(1) + 1]
    assert spool.look(oldest_ts) == 1000
    spool.close()
