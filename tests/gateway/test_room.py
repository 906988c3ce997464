"""The spool as policy: who goes ahead, what goes when there is no room, and what is told of it."""

import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import edge_fakes
import msgspec
import pytest
from edge_fakes import STOP, chunk, opened
from edge_rig import wait_for

from gateway.blob import first_row, first_seq, lane_of
from gateway.classes import REST, Classes, ClassSection, problems
from gateway.gaps import HOLES_TOPIC, LOSS_TOPIC, TOPICS, Holes, Loss
from gateway.message import UNSYNCED, Arrivals, Batch, Chunk, Done
from gateway.room import Room
from gateway.spool import Spool, SpoolFull
from gateway.spooling import Spooling
from gateway.thinning import Alternate, drop_aged, drop_oldest, thin
from schemas.config import DurationMs

MB = 1 << 20
FIRE = ClassSection("alarms", ("fire-*",))
DROPS = ClassSection(REST, ("*",), "drop-oldest")
THINS = ClassSection(REST, ("*",), "thin")


class Rig:
    """A spool's thread on a real database, and an uplink that takes what it is told to."""

    def __init__(self, folder: Path, **given: object) -> None:
        self.done: list[Done] = []
        self._acknowledged = threading.Semaphore(0)
        quota = 2 * MB
        self.spooling: Spooling = edge_fakes.spooling(
            lambda: Spool(folder / "spool.db", quota, 9),
            self._on_done,
            room=Room(quota, 0),
            **given,  # type: ignore[arg-type]
        )
        self._thread = threading.Thread(target=self.spooling.run, daemon=True)
        self._thread.start()
        self.spooling.opened()

    def put(self, device: str, number: int, size: int = 1000) -> None:
        """Offer one message, and wait until it was acknowledged."""
        body = b"%d" % number
        topic = f"{device}/x".encode()
        self.spooling.offer(Arrivals(1, [1], [chunk(body.ljust(size, b"."), topic=topic)]))
        assert self._acknowledged.acquire(timeout=10), "it was not acknowledged"

    def _on_done(self, done: Done) -> None:
        self.done.append(done)
        self._acknowledged.release()

    def take(self) -> list[Batch]:
        """Take all there is."""
        found = []
        while (batch := self.spooling.take(0.3)) is not None:
            found.append(batch)
        return found

    def discard(self, batches: list[Batch]) -> None:
        upto = {lane_of(batch.row_id): batch.row_id for batch in batches}
        self.spooling.discard(list(upto.values()))

    def stop(self) -> None:
        self.spooling.stop()
        self._thread.join(10)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    made: list[Rig] = []

    def start(**given: object) -> Rig:
        made.append(Rig(tmp_path, **given))
        return made[-1]

    yield start
    for one in made:
        one.stop()


def told(batches: list[Batch]) -> list[tuple[str, int]]:
    """Return device and number of every message but the spool's own."""
    return [
        (topic.decode().split("/")[0], int(payload.rstrip(b".")))
        for _, topic, payload in opened(c for b in batches for c in b.chunks)
        if topic not in TOPICS
    ]


def losses(batches: list[Batch]) -> list[Loss]:
    return [
        msgspec.json.decode(payload, type=Loss)
        for _, topic, payload in opened(c for b in batches for c in b.chunks)
        if topic == LOSS_TOPIC
    ]


def named(batches: list[Batch]) -> set[int]:
    """Return the numbers that records say are gone, as far as rows of these tests go."""
    seqs: set[int] = set()
    for _, topic, payload in opened(c for b in batches for c in b.chunks):
        if topic == HOLES_TOPIC:
            found = msgspec.json.decode(payload, type=Holes)
            for first, last in found.ranges:
                seqs |= set(range(first, last + 1))
            for at, bits in found.bits.items():
                number = int.from_bytes(bytes.fromhex(bits), "little")
                seqs |= {int(at) + bit for bit in range(number.bit_length()) if number >> bit & 1}
    return seqs


def seqs(batches: list[Batch]) -> list[int]:
    """Return the numbers of all messages but the spool's own."""
    every = opened(c for b in batches for c in b.chunks)
    return [seq for seq, topic, _ in every if topic not in TOPICS]


@pytest.mark.parametrize("rest", [DROPS, THINS])
def test_a_spool_that_drops_goes_on_acknowledging_and_names_all_that_went(
    rig: Callable[..., Rig], rest: ClassSection
) -> None:
    running = rig(rest=rest)
    for number in range(400):
        running.put(f"d{number % 3}", number, size=20_000)
    first = running.take()
    running.discard(first)
    wait_for("the record in the feed", lambda: not running.spooling.drained(), 10)
    last = running.take()
    kept, (record,) = told(first + last), losses(last)
    assert (record.why, record.messages) == (rest.when_full, 400 - len(kept))
    # Each is a row of its own here, so its number says which message it was.
    given = {first_seq(row) for row in range(1, 401)}
    assert named(first + last) & given == given - set(seqs(first + last))
    assert sum(record.topics.values()) == record.messages
    assert set(record.topics) == {"d0/x", "d1/x", "d2/x"}
    for device in range(3):
        its = [number for name, number in kept if name == f"d{device}"]
        assert its == sorted(its)
        assert its[-1] == 397 + (device - 397 % 3) % 3, "the newest stays"
    assert running.spooling.level.dropped[rest.when_full] == 400 - len(kept)


def test_thinning_leaves_something_of_all_the_time_that_dropping_leaves_nothing_of(
    rig: Callable[..., Rig], tmp_path: Path
) -> None:
    running = rig(rest=THINS)
    for number in range(400):
        running.put(f"d{number % 4}", number, size=20_000)
    kept = [number for _, number in told(running.take())]
    steps = [then - now for now, then in itertools.pairwise(kept)]
    assert max(steps) <= 32, "no hole of more than some of the messages"


def test_every_second_message_of_each_topic_goes_and_keeps_its_number(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db", 16 * MB, 9)
    batch = [chunk(*[b"%d" % n * 100 for n in range(5)], topic=b"a/x")] * 2
    batch += [chunk(b"0", b"1", b"2", topic=b"b/x")]
    (row,) = spool.append(batch)
    left = spool.take_out(lambda db: thin(db, range(1, 2), 1 << 30, "rest", Alternate()))
    kept = spool.read(0, 1 << 30)
    assert seqs(kept) == [first_seq(1) + at for at in (0, 2, 4, 6, 8, 10, 12)]
    assert left.loss is not None
    assert (left.messages, left.loss.topics) == (6, {"a/x": 5, "b/x": 1})
    assert named(kept) == {first_seq(1) + at for at in (1, 3, 5, 7, 9, 11)}
    assert spool.messages == 7
    assert spool.bytes == sum(b.size for b in kept) < row.size
    assert kept[0].damage is None
    spool.close()


def test_who_goes_ahead_overtakes_a_backlog_and_each_device_stays_in_order(
    rig: Callable[..., Rig],
) -> None:
    running = rig(classes=[FIRE])
    for number in range(60):
        running.put("pump" if number % 10 else "fire-1", number, size=20_000)
    found = told(running.take())
    # 1 MiB of the rest may have been on its way before.
    fire = [at for at, (device, _) in enumerate(found) if device == "fire-1"]
    assert fire == list(range(6)), "nothing was taken meanwhile, so all of it is first"
    assert [n for d, n in found if d == "pump"] == [n for n in range(60) if n % 10]


def test_an_alarm_is_given_while_a_backlog_fills_the_feed(rig: Callable[..., Rig]) -> None:
    running = rig(classes=[FIRE])
    for number in range(100):
        running.put("pump", number, size=15_000)
    first = running.spooling.take(5)
    running.put("fire-1", 7)
    then = running.spooling.take(5)
    assert first is not None
    assert then is not None
    assert told([then]) == [("fire-1", 7)]
    running.put("fire-1", 8)
    assert told([running.spooling.take(5, urgent=True)]) == [("fire-1", 8)]  # type: ignore[list-item]
    assert running.spooling.take(0.05, urgent=True) is None


def test_what_goes_ahead_is_kept_by_dropping_the_rest(rig: Callable[..., Rig]) -> None:
    running = rig(classes=[FIRE], rest=DROPS)
    for number in range(300):
        running.put("fire-1" if number % 10 == 0 else "pump", number, size=20_000)
    found = told(running.take())
    assert [n for d, n in found if d == "fire-1"] == list(range(0, 300, 10))
    assert 0 < len([n for d, n in found if d == "pump"]) < 270


def test_what_is_on_its_way_to_kafka_is_never_said_to_be_gone(rig: Callable[..., Rig]) -> None:
    running = rig(rest=DROPS)
    for number in range(30):
        running.put("d", number, size=20_000)
    first = running.take()
    for number in range(30, 300):
        running.put("d", number, size=20_000)
    running.discard(first)
    last = running.take()
    assert named(last)
    assert not named(last) & set(seqs(first + last))


def test_a_long_loss_is_one_record(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db", 16 * MB, 9)
    for number in range(50):
        spool.append([chunk(b"%d" % number, ts=number)])
    for _ in range(40):
        spool.take_out(lambda db: drop_oldest(db, 0, 1, "rest"))
    (batch,) = spool.tell_loss(5, 5)
    (loss,) = losses([batch])
    assert (loss.messages, loss.first_ts, loss.last_ts) == (40, 0, 39)
    assert spool.tell_loss(5, 5) == []
    # What says so is not dropped itself.
    spool.take_out(lambda db: drop_oldest(db, 0, 1 << 30, "rest"))
    assert [loss.messages for loss in losses(spool.read(0, 1 << 30))] == [40]
    spool.close()


def test_records_outlive_a_restart_and_numbers_are_never_given_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db", 16 * MB, 9)
    spool.append([chunk(b"0")])
    spool.append([chunk(b"1", b"2")])
    spool.take_out(lambda db: drop_oldest(db, 0, 1 << 30, "rest"))
    spool.close()
    again = Spool(tmp_path / "spool.db", 16 * MB, 10)
    assert (again.messages, again.has_lost) == (0, True)
    # With nothing left behind it, a hole is a batch of its own, which Kafka has before it is over.
    (hole,) = again.read(0, 1 << 30)
    assert {first_seq(1), first_seq(2), first_seq(2) + 1} <= named([hole])
    assert hole.row_id == 2
    again.discard([2])
    assert again.read(2, 1 << 30) == []
    assert again.append([chunk(b"3")])[0].row_id == 3
    assert losses(again.tell_loss(1, 1))[0].messages == 3
    again.close()


def test_what_is_too_old_goes_unless_its_age_is_not_known(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db", 16 * MB, 9)
    for ts, flags in ((1000, 0), (1001, UNSYNCED), (1002, 0), (9000, 0), (1003, 0)):
        spool.append([chunk(b"%d" % ts, ts=ts, flags=flags)])
    left = spool.take_out(lambda db: drop_aged(db, 0, 5000, "rest", 100))
    assert left.messages == 2
    kept = spool.read(0, 1 << 30)
    assert [number for _, number in told(kept)] == [1001, 9000, 1003], "rows come in their order"
    assert left.loss is not None
    assert left.loss.why == "age"
    assert {first_seq(1), first_seq(3)} <= named(kept)
    assert not named(kept) & set(seqs(kept))
    spool.close()


def test_a_class_keeps_its_messages_for_its_own_time(rig: Callable[..., Rig]) -> None:
    old = msgspec.structs.replace(STOP, max_age=DurationMs(60_000))
    running = rig(classes=[FIRE], rest=old)
    for device in ("pump", "fire-1"):
        # Larger than what is read ahead, which does not age any more.
        for number in range(100 if device == "pump" else 5):
            running.put(device, number, size=15_000)
    wait_for("the old ones to go", lambda: running.spooling.level.dropped.get("age"), 10)
    found = told(running.take())
    assert len([n for d, n in found if d == "fire-1"]) == 5
    assert len([n for d, n in found if d == "pump"]) < 100


def test_classes_change_once_the_spool_is_empty(tmp_path: Path) -> None:
    running = Rig(tmp_path)
    for number in range(3):
        running.put("fire-1", number)
    running.stop()
    changed = Rig(tmp_path, classes=[FIRE])
    for number in range(3, 6):
        changed.put("fire-1", number)
    found = changed.take()
    assert [n for _, n in told(found)] == list(range(6)), "it never overtakes itself"
    assert {lane_of(batch.row_id) for batch in found} == {0}
    changed.discard(found)
    wait_for("empty", lambda: changed.spooling.level.messages == 0, 10)

    def in_force() -> bool:
        changed.put("fire-1", 9)
        batches = changed.take()
        changed.discard(batches)
        return {lane_of(batch.row_id) for batch in batches} == {1}

    wait_for("the new classes", in_force, 20)
    changed.stop()


def test_a_message_of_several_classes_is_cut_up_and_nothing_of_it_lost() -> None:
    classes = Classes([FIRE], STOP, lambda topic: topic.decode().split("/")[0])
    one, two = chunk(b"1", topic=b"pump/x"), chunk(b"2", b"3", topic=b"fire-9/x")
    mixed = Chunk(one.packets + two.packets + one.packets, 4, 5, 5, 0)
    rest, ahead = classes.sorted([mixed])
    assert [c.packets for c in rest] == [one.packets * 2]
    assert [c.packets for c in ahead[1]] == [two.packets]
    assert (rest[0].messages, ahead[1][0].messages) == (2, 2)


def test_a_disk_that_is_nearly_full_stops_the_file_from_growing_and_not_from_deleting(
    tmp_path: Path,
) -> None:
    spool = Spool(tmp_path / "spool.db", 16 * MB, 9)
    for _ in range(100):
        spool.append([chunk(b"x" * 10_000)])
    spool.may_grow(allowed=False)
    with pytest.raises(SpoolFull):
        spool.append([chunk(b"x" * 10_000)] * 100)
    spool.discard([50])
    for _ in range(40):
        spool.append([chunk(b"x" * 10_000)])
    spool.may_grow(allowed=True)
    for _ in range(100):
        spool.append([chunk(b"x" * 10_000)])
    spool.close()


def test_the_floor_of_the_disk_is_kept_and_left_when_it_is_free_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = [10 * MB]
    monkeypatch.setattr(
        "os.statvfs", lambda _path: type("Found", (), {"f_bavail": free[0], "f_frsize": 1})()
    )
    done: list[Done] = []
    spooling = edge_fakes.spooling(
        lambda: Spool(tmp_path / "spool.db", 64 * MB, 9), done.append, room=Room(64 * MB, 64 * MB)
    )
    thread = threading.Thread(target=spooling.run, daemon=True)
    thread.start()
    spooling.opened()
    wait_for("a first look at the disk", lambda: spooling._policy.disk_low, 10)
    for mid in range(30):
        spooling.offer(Arrivals(1, [mid], [chunk(b"x" * 100_000)]))
    wait_for("it is full", lambda: spooling.level.full, 10)
    assert len(done) < 30
    free[0] = 100 * MB
    wait_for("all acknowledged", lambda: len(done) == 30, 10)
    spooling.stop()
    thread.join(10)


def test_lanes_have_rows_and_numbers_of_their_own(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db", 16 * MB, 9)
    rows = spool.append([chunk(b"a")], {1: [chunk(b"b")], 7: [chunk(b"c")]})
    assert [row.row_id for row in rows] == [1, first_row(1) + 1, first_row(7) + 1]
    assert max(seqs(rows)) < 1 << 63
    spool.discard([first_row(1) + 1])
    spool.close()
    again = Spool(tmp_path / "spool.db", 16 * MB, 9)
    assert [place.cursor - first_row(lane) for lane, place in enumerate(again.places)][:2] == [0, 1]
    assert again.append([], {1: [chunk(b"d")]})[0].row_id == first_row(1) + 2
    assert [told_of(again, lane) for lane in (0, 1, 7)] == [[b"a"], [b"d"], [b"c"]]
    again.close()


def told_of(spool: Spool, lane: int) -> list[bytes]:
    batches = spool.read(first_row(lane), 1 << 30)
    return [payload for _, _, payload in opened(c for b in batches for c in b.chunks)]


@pytest.mark.parametrize(
    ("ahead", "rest", "wrong"),
    [
        ([FIRE, FIRE], STOP, (1, "name")),
        ([ClassSection(REST, ("x",))], STOP, (0, "name")),
        ([ClassSection("a", ())], STOP, (0, "devices")),
        ([ClassSection("a", ("x",), "drop-oldest")], STOP, (0, "when_full")),
        ([ClassSection(f"{n}", ("x",)) for n in range(8)], STOP, (7, "name")),
    ],
)
def test_classes_that_cannot_work_are_refused(
    ahead: list[ClassSection], rest: ClassSection, wrong: tuple[int, str]
) -> None:
    assert [problem[:2] for problem in problems(ahead, rest)] == [wrong]
    assert problems([FIRE], DROPS) == []
