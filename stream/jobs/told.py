"""What the pane operator tells the rules: a MessagePack message a row, written by `Output.java`."""

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


Told = PaneTold | ReadingTold

told = msgspec.msgpack.Decoder(Told).decode
"""Return what a row tells."""

tell = msgspec.msgpack.encode
"""Return the bytes of what is told, as the operator writes it."""
