"""The bytes of one spooled batch.

A batch is a row of SQLite, and SQLite's data pages carry no checksums, so every chunk of messages
has its own: ``magic | length | first seq | count | epoch | times | flags | crc | packets``, all
little-endian. The CRC runs over the header in front of it and the packets from a seed that is not
zero: with ``crc(packets)`` and seed zero a tail of zeros reads as any number of empty records.
"""

import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gateway.message import Chunk, Stored

MAGIC = 0xB8
_SEED = 0x7D1E6A7E
_HEAD = struct.Struct("<BIQHQqqB")
_CRC = struct.Struct("<I")
OVERHEAD = _HEAD.size + _CRC.size
"""Bytes a chunk takes beside its packets."""
FLAGS_AT = _HEAD.size - 1
"""Where a chunk's flags stand in it."""

ROW_BITS = 12
MAX_MESSAGES = 1 << ROW_BITS
_LANE_BITS = 48
_MOST_ROW_BYTES = 1 << 20
_MOST_ROW_MESSAGES = 2000
LANES = 8
"""How many lanes there may be: a number has 63 bits, for lane, row and place in the row."""


class Opened(NamedTuple):
    """The chunks of a blob; ``damage`` says what was wrong with it, None when nothing was."""

    chunks: list[Stored]
    damage: str | None


def first_row(lane: int) -> int:
    """Return what stands before the rows of a lane, each of which has a range of ids of its own."""
    return lane << _LANE_BITS


def lane_of(row_id: int) -> int:
    """Return the lane of a row."""
    return row_id >> _LANE_BITS


def row_of(seq: int) -> int:
    """Return the row that a message's number belongs to."""
    return seq >> ROW_BITS


def first_seq(row_id: int) -> int:
    """Return the sequence number of a row's first message.

    Numbers come from row ids, which are counted, and never from time: they grow across restarts
    and clock jumps and are never given out twice.
    """
    return row_id << ROW_BITS


def seal(stored: Iterable[Stored]) -> bytes:
    """Return the blob of a row holding these chunks, in the order of their numbers."""
    pieces: list[bytes] = []
    for seq, epoch, (packets, count, received_ts, received_mono, flags) in stored:
        head = _HEAD.pack(MAGIC, len(packets), seq, count, epoch, received_ts, received_mono, flags)
        pieces += (head, _CRC.pack(zlib.crc32(packets, zlib.crc32(head, _SEED))), packets)
    return b"".join(pieces)


def numbered(row_id: int, epoch: int, chunks: Iterable[Chunk]) -> list[Stored]:
    """Return the chunks of a new row, of at most ``MAX_MESSAGES`` together, with their numbers."""
    stored: list[Stored] = []
    seq = first_seq(row_id)
    for chunk in chunks:
        stored.append(Stored(seq, epoch, chunk))
        seq += chunk.messages
    return stored


def unseal(row_id: int, count: int, blob: bytes) -> Opened:
    """Return the chunks of a blob that should hold ``count`` messages.

    Behind a damaged place reading goes on at the next chunk whose checksum and number fit. A row
    that was thinned has gaps between the numbers of its chunks.
    """
    chunks: list[Stored] = []
    lowest = first_seq(row_id)
    end, at, readable = lowest + MAX_MESSAGES, 0, 0
    gaps: list[int] = []
    while at < len(blob):
        stored = _sound(blob, at, lowest, end)
        if stored is None:
            gaps.append(at)
            at = _next(blob, at + 1, lowest, end)
            continue
        chunks.append(stored)
        lowest = stored.seq + stored.chunk.messages
        readable += stored.chunk.messages
        at += OVERHEAD + len(stored.chunk.packets)
    if not gaps and readable == count:
        return Opened(chunks, None)
    where = f", damaged from byte {gaps[0]}" if gaps else ""
    return Opened(chunks, f"{readable} of {count} messages readable{where}")


def _sound(blob: bytes, at: int, lowest: int, end: int) -> Stored | None:
    """Return the sound chunk at ``at``, or None when there is none."""
    body = at + OVERHEAD
    if len(blob) < body or blob[at] != MAGIC:
        return None
    _, length, seq, count, epoch, received_ts, received_mono, flags = _HEAD.unpack_from(blob, at)
    if not lowest <= seq < seq + count <= end or length > len(blob) - body:
        return None
    packets = blob[body : body + length]
    crc = zlib.crc32(packets, zlib.crc32(blob[at : at + _HEAD.size], _SEED))
    if crc != _CRC.unpack_from(blob, at + _HEAD.size)[0]:
        return None
    return Stored(seq, epoch, Chunk(packets, count, received_ts, received_mono, flags))


def _next(blob: bytes, at: int, lowest: int, end: int) -> int:
    while (at := blob.find(MAGIC, at)) >= 0:
        if _sound(blob, at, lowest, end) is not None:
            return at
        at += 1
    return len(blob)


def rows_of(chunks: Sequence[Chunk]) -> Iterable[Sequence[Chunk]]:
    """Return chunks cut into rows of a bounded number of messages and, roughly, bytes."""
    begin = size = count = 0
    for end, chunk in enumerate(chunks):
        if end > begin and (count + chunk.messages > _MOST_ROW_MESSAGES or size >= _MOST_ROW_BYTES):
            yield chunks[begin:end]
            begin, size, count = end, 0, 0
        size += len(chunk.packets)
        count += chunk.messages
    if begin < len(chunks):
        yield chunks[begin:]
