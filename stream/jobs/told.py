"""What the pane operator tells the rules, and what stands beside it, as the bytes of a row."""

from typing import Any

import msgspec

from stream.panes import Pane


class PaneTold(msgspec.Struct, tag="PANE", array_like=True, frozen=True, gc=False):
    """A closed pane and whose it is; a marker of a quiet device is one of no metric."""

    device_id: str
    metric: str
    site: str
    unit: str | None
    pane: Pane


class ReadingTold(msgspec.Struct, tag="READING", array_like=True, frozen=True):
    """A reading that went into no pane: why, its fields in the contract's order, and its place.

    ``why`` is LATE, FUTURE or INVALID; in an INVALID one any field may be missing.
    """

    why: str
    fields: list[Any]
    kafka_partition: int | None
    kafka_offset: int | None


class Undecodable(msgspec.Struct, frozen=True):
    """A record that is no reading, None if it has no value, and why."""

    record: bytes | None
    reason: str | None
    kafka_partition: int
    kafka_offset: int


Told = PaneTold | ReadingTold

_told = msgspec.msgpack.Decoder(list[Told]).decode
_undecodable = msgspec.json.Decoder(Undecodable).decode

UNDECODABLE_SQL = """ENCODE(JSON_OBJECT(
  'record' VALUE undecodable, 'reason' VALUE undecodable_reason,
  'kafka_partition' VALUE kafka_partition, 'kafka_offset' VALUE kafka_offset), 'UTF-8')"""
"""What SQL makes of an undecodable record: JSON, in which bytes are base64."""


def told(row: bytes) -> list[Told] | Undecodable:
    """Return what a row tells: of one device, in order, as `Output.java` writes it, or of none."""
    return _undecodable(row) if row.startswith(b"{") else _told(row)


tell = msgspec.msgpack.encode
"""Return the bytes of what is told, a list, as the operator writes it."""
