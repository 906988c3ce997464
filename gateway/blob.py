"""The bytes of one spooled batch.

A batch is a row of SQLite, and SQLite's data pages carry no checksums, so every record has its
own: ``magic | length | seq | crc | body``, all little-endian. The CRC runs over the header in
front of it and the body from a seed that is not zero: with ``crc(body)`` and seed zero a tail of
zeros reads as any number of empty records.
"""

import struct
import zlib
from collections.abc import Iterable
from typing import NamedTuple

from gateway.message import Message, Stored

MAGIC = 0xB7
_SEED = 0x7D1E6A7E
_HEAD = struct.Struct("<BIQ")
_CRC = struct.Struct("<I")
_BODY = struct.Struct("<QqqBH")
_FIRST = _HEAD.size + _CRC.size
OVERHEAD = _FIRST + _BODY.size
"""Bytes a record takes beside its topic and payload."""

ROW_BITS = 12
MAX_RECORDS = 1 << ROW_BITS


class Opened(NamedTuple):
    """The records of a blob; ``damage`` says what was wrong with it, None when nothing was."""

    records: list[Stored]
    damage: str | None


def first_seq(row_id: int) -> int:
    """Return the sequence number of a row's first record.

    Numbers come from SQLite's AUTOINCREMENT row ids and never from time, so they grow across
    restarts and clock jumps and are never given out twice.
    """
    return row_id << ROW_BITS


def seal(row_id: int, epoch: int, messages: Iterable[Message]) -> bytes:
    """Return the blob of a row holding these messages, at most ``MAX_RECORDS`` of them."""
    pieces: list[bytes] = []
    begin = first_seq(row_id)
    for seq, (topic, payload, received_ts, received_mono, flags) in enumerate(messages, begin):
        stamp = _BODY.pack(epoch, received_ts, received_mono, flags, len(topic))
        body = b"".join((stamp, topic, payload))
        head = _HEAD.pack(MAGIC, len(body), seq)
        pieces += (head, _CRC.pack(zlib.crc32(body, zlib.crc32(head, _SEED))), body)
    return b"".join(pieces)


def unseal(row_id: int, count: int, blob: bytes) -> Opened:
    """Return the records of a blob that should hold ``count`` of them.

    Behind a damaged place reading goes on at the next record whose checksum and number fit.
    """
    records: list[Stored] = []
    begin = first_seq(row_id)
    lowest, end, at = begin, begin + count, 0
    gaps: list[int] = []
    while at < len(blob):
        length = _record_length(blob, at, lowest, end)
        if length is None:
            gaps.append(at)
            at = _next_record(blob, at + 1, lowest, end)
            continue
        seq = _HEAD.unpack_from(blob, at)[2]
        records.append(_stored(blob, at + _FIRST, length, seq))
        lowest = seq + 1
        at += _FIRST + length
    if not gaps and len(records) == count:
        return Opened(records, None)
    where = f", damaged from byte {gaps[0]}" if gaps else ""
    return Opened(records, f"{len(records)} of {count} records readable{where}")


def _record_length(blob: bytes, at: int, lowest: int, end: int) -> int | None:
    """Return the body's length of the sound record at ``at``, or None when there is none."""
    if len(blob) - at < OVERHEAD:
        return None
    magic, length, seq = _HEAD.unpack_from(blob, at)
    start = at + _FIRST
    if magic != MAGIC or not lowest <= seq < end or not _BODY.size <= length <= len(blob) - start:
        return None
    crc = zlib.crc32(blob[start : start + length], zlib.crc32(blob[at : at + _HEAD.size], _SEED))
    return length if crc == _CRC.unpack_from(blob, at + _HEAD.size)[0] else None


def _next_record(blob: bytes, at: int, lowest: int, end: int) -> int:
    while (at := blob.find(MAGIC, at)) >= 0:
        if _record_length(blob, at, lowest, end) is not None:
            return at
        at += 1
    return len(blob)


def _stored(blob: bytes, at: int, length: int, seq: int) -> Stored:
    epoch, received_ts, received_mono, flags, topic_length = _BODY.unpack_from(blob, at)
    topic_at = at + _BODY.size
    payload_at = topic_at + topic_length
    message = Message(
        blob[topic_at:payload_at],
        blob[payload_at : at + length],
        received_ts,
        received_mono,
        flags,
    )
    return Stored(seq, epoch, message)
