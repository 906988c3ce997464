"""A blob gives back what was put in, and after any damage never a chunk that was not."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.blob import MAGIC, MAX_MESSAGES, first_seq, numbered, seal, unseal
from gateway.message import Chunk

chunks = st.builds(
    Chunk,
    st.binary(min_size=1, max_size=300),
    st.integers(1, 200),
    st.integers(0, 1 << 62),
    st.integers(0, 1 << 62),
    st.integers(0, 255),
)
batches = st.lists(chunks, min_size=1, max_size=20)


def count(batch: list[Chunk]) -> int:
    return sum(chunk.messages for chunk in batch)


@given(st.integers(1, 1 << 40), st.integers(0, (1 << 63) - 1), batches)
def test_a_blob_gives_back_its_chunks(row: int, epoch: int, batch: list[Chunk]) -> None:
    opened = unseal(row, count(batch), seal(numbered(row, epoch, batch)))
    assert opened.damage is None
    assert opened.chunks == numbered(row, epoch, batch)
    seqs = [first_seq(row) + count(batch[:place]) for place in range(len(batch))]
    assert [stored.seq for stored in opened.chunks] == seqs


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
def test_damage_never_makes_a_chunk(batch: list[Chunk], how: int, at: int, bit: int) -> None:
    blob = crashed(seal(numbered(7, 99, batch)), how, at, bit)
    opened = unseal(7, count(batch), blob)
    whole = numbered(7, 99, batch)
    assert all(stored in whole for stored in opened.chunks)
    assert (opened.damage is None) == (opened.chunks == whole)


def test_an_empty_tail_of_zeros_holds_nothing() -> None:
    assert unseal(1, 5, bytes(1000)).chunks == []


def test_chunks_behind_a_damaged_one_are_still_read() -> None:
    batch = [Chunk(bytes([i]) * 50, 2, i, i, 0) for i in range(10)]
    blob = bytearray(seal(numbered(3, 1, batch)))
    blob[len(blob) // 2] ^= 0x10
    opened = unseal(3, 20, bytes(blob))
    assert len(opened.chunks) == 9
    assert opened.damage is not None
    assert opened.damage.startswith("18 of 20 messages readable, damaged from byte ")


def test_packets_that_look_like_a_chunk_are_none() -> None:
    inner = seal(numbered(3, 1, [Chunk(b"inner", 1, 0, 0, 0)]))
    batch = [Chunk(inner, 1, 0, 0, 0), Chunk(bytes([MAGIC]), 1, 0, 0, 0)]
    assert unseal(3, 2, seal(numbered(3, 1, batch))).chunks == numbered(3, 1, batch)


def test_a_chunk_of_another_row_is_not_taken() -> None:
    batch = [Chunk(b"p", 1, 0, 0, 0)]
    assert unseal(4, 1, seal(numbered(3, 1, batch))).chunks == []
    assert first_seq(4) - first_seq(3) == MAX_MESSAGES
