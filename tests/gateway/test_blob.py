"""A blob gives back what was put in, and after any damage never a record that was not."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.blob import MAGIC, MAX_RECORDS, first_seq, seal, unseal
from gateway.message import Message

messages = st.builds(
    Message,
    st.binary(max_size=40),
    st.binary(max_size=300),
    st.integers(0, 1 << 62),
    st.integers(0, 1 << 62),
    st.integers(0, 255),
)
batches = st.lists(messages, min_size=1, max_size=20)


@given(st.integers(1, 1 << 40), st.integers(0, (1 << 63) - 1), batches)
def test_a_blob_gives_back_its_records(row: int, epoch: int, batch: list[Message]) -> None:
    opened = unseal(row, len(batch), seal(row, epoch, batch))
    assert opened.damage is None
    assert [r.message for r in opened.records] == batch
    assert [r.seq for r in opened.records] == [first_seq(row) + i for i in range(len(batch))]
    assert {r.epoch for r in opened.records} == {epoch}


def crashed(blob: bytes, how: int, at: int, bit: int) -> bytes:
    """What a disk may hold of a blob after a crash: cut, zeros, a lost block, a torn sector, a bit."""
    at %= len(blob)
    match how:
        case 0:
            return blob[:at]
        case 1:
            return blob[:at] + bytes(len(blob) - at)
        case 2:
            return blob[:at] + bytes(min(512, len(blob) - at)) + blob[at + 512 :]
        case 3:
            return blob[: at - at % 512] + b"\xff" * (at % 512) + bytes(len(blob) - at)
        case _:
            return blob[:at] + bytes((blob[at] ^ (1 << bit),)) + blob[at + 1 :]


@settings(max_examples=400, deadline=None)
@given(batches, st.integers(0, 4), st.integers(0, 1 << 20), st.integers(0, 7))
def test_damage_never_makes_a_record(batch: list[Message], how: int, at: int, bit: int) -> None:
    blob = crashed(seal(7, 99, batch), how, at, bit)
    opened = unseal(7, len(batch), blob)
    whole = {first_seq(7) + i: m for i, m in enumerate(batch)}
    assert all(whole[r.seq] == r.message and r.epoch == 99 for r in opened.records)
    assert (opened.damage is None) == (
        opened.records == unseal(7, len(batch), seal(7, 99, batch)).records
    )


def test_an_empty_tail_of_zeros_holds_no_records() -> None:
    assert unseal(1, 5, bytes(1000)).records == []


def test_records_behind_a_damaged_one_are_still_read() -> None:
    batch = [Message(b"t", bytes([i]) * 50, i, i, 0) for i in range(10)]
    blob = bytearray(seal(3, 1, batch))
    blob[len(blob) // 2] ^= 0x10
    opened = unseal(3, 10, bytes(blob))
    assert len(opened.records) == 9
    assert opened.damage is not None
    assert opened.damage.startswith("9 of 10 records readable, damaged from byte ")


def test_a_payload_that_looks_like_a_record_is_no_record() -> None:
    inner = seal(3, 1, [Message(b"x", b"inner", 0, 0, 0)])
    blob = seal(3, 1, [Message(b"t", inner, 0, 0, 0), Message(b"t", bytes([MAGIC]), 0, 0, 0)])
    opened = unseal(3, 2, blob)
    assert [r.message.topic for r in opened.records] == [b"t", b"t"]


def test_a_record_of_another_row_is_not_taken() -> None:
    batch = [Message(b"t", b"p", 0, 0, 0)]
    assert unseal(4, 1, seal(3, 1, batch)).records == []
    assert first_seq(4) - first_seq(3) == MAX_RECORDS
