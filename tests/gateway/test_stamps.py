"""Messages received before the clock was set get their true time once it is."""

from pathlib import Path

import pytest
from edge_fakes import chunk
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import SystemClock
from gateway.message import INTERNAL, MQTT_5, UNSYNCED, Stored
from gateway.stamps import Stamps, boot_id
from gateway.upkeep import Upkeep

SET = 1_790_000_000_000
"""The true time at monotonic zero."""


def stored(mono: int, *, epoch: int = 7, flags: int = UNSYNCED | MQTT_5, ts: int = 5) -> Stored:
    return Stored(4096, epoch, chunk(b"1", b"2", ts=ts, mono=mono, flags=flags))


def started(folder: Path, epoch: int = 7, boot: str = "b1", *, synced: bool = False) -> Stamps:
    made = Stamps(folder / "clock.json", epoch, boot)
    made.begin(synced=synced)
    return made


def test_before_the_clock_is_set_nothing_is_changed(tmp_path: Path) -> None:
    stamps = started(tmp_path)
    assert not stamps.settled
    assert stamps.right(stored(100)) == stored(100)


def test_once_it_is_set_the_monotonic_time_tells_the_true_one(tmp_path: Path) -> None:
    stamps = started(tmp_path)
    stamps.learn(SET + 60_000, 60_000)
    assert stamps.settled
    right = stamps.right(stored(100))
    assert (right.chunk.received_ts, right.chunk.flags) == (SET + 100, MQTT_5)
    assert right.chunk.packets == stored(100).chunk.packets
    assert (right.seq, right.epoch, stamps.restamped) == (4096, 7, 2)


def test_what_came_later_was_stamped_right_already(tmp_path: Path) -> None:
    stamps = started(tmp_path)
    stamps.learn(SET + 60_000, 60_000)
    late = stored(60_001, ts=SET + 60_001)
    assert stamps.right(late) == late, "unsynchronised anew: the offset is not known any more"
    good = stored(100, flags=MQTT_5)
    assert stamps.right(good) == good
    marker = stored(100, flags=UNSYNCED | INTERNAL)
    assert stamps.right(marker) == marker, "the time inside it is of the old clock"


@given(st.integers(0, 60_000), st.integers(-5000, 5000))
def test_a_message_sent_again_gets_the_same_time(mono: int, drift: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        stamps = started(Path(folder))
        stamps.learn(SET + 60_000, 60_000)
        first = stamps.right(stored(mono))
        stamps.learn(SET + 90_000 + drift, 90_000)
        assert stamps.right(stored(mono)) == first
        other = started(Path(folder), epoch=8, synced=drift > 0)
        other.learn(SET + 99_000 + drift, 99_000)
        assert other.right(stored(mono)) == first


def test_an_earlier_process_of_this_boot_is_set_right_one_of_another_boot_is_not(
    tmp_path: Path,
) -> None:
    started(tmp_path, epoch=5, boot="b0")
    started(tmp_path, epoch=6, boot="b1")
    stamps = started(tmp_path, epoch=7, boot="b1")
    stamps.learn(SET + 60_000, 60_000)
    times = [stamps.right(stored(100, epoch=epoch)).chunk.received_ts for epoch in (5, 6, 7, 8)]
    assert times == [5, SET + 100, SET + 100, 5]


def test_a_synchronised_start_writes_nothing(tmp_path: Path) -> None:
    stamps = started(tmp_path, synced=True)
    stamps.learn(SET, 0)
    assert stamps.settled
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_kept_is_not_used(tmp_path: Path) -> None:
    stamps = started(tmp_path / "missing")
    stamps.learn(SET, 0)
    assert stamps.right(stored(100)) == stored(100)


def test_a_bent_file_says_nothing_and_is_replaced(tmp_path: Path) -> None:
    for text in ("", "{}", "[[1]]", "[[1, 2, 3, null]]", "\x00", '["x"]'):
        (tmp_path / "clock.json").write_text(text)
        stamps = started(tmp_path)
        stamps.learn(SET + 10, 10)
        assert stamps.right(stored(1)).chunk.received_ts == SET + 1, text


def test_only_so_many_processes_are_remembered(tmp_path: Path) -> None:
    for epoch in range(230):
        started(tmp_path, epoch=epoch)
    assert len(Stamps(tmp_path / "clock.json", 1, "b1")._eras) == 200
    assert boot_id()


def test_a_clock_that_is_not_set_ends_no_certificate(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = [False]
    clock = SystemClock(ask=lambda: state[0], every_s=0.0)
    upkeep = Upkeep(clock, started(tmp_path), "v")
    upkeep.expiries[0].renewed(SET // 1000)
    upkeep.look(2 * SET, 1000)
    assert caplog.records == []
    state[0] = True
    upkeep.look(SET - 86_400_000, 2000)
    told = [record.getMessage() for record in caplog.records]
    assert told[0].startswith("the system's clock was set by -")
    assert told[-1] == "the mqtt certificate ends in 1.0 days"
    assert upkeep.stamps.settled
