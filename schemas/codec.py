"""Records to bytes and back: Avro bodies in Confluent wire format.

The wire format is one zero byte, the schema id as four big-endian bytes, then the Avro body
(Confluent's documentation, "Wire format"). Avro's binary encoding is that of the Avro 1.12
specification, section "Binary encoding".
"""

import struct
from io import BytesIO
from typing import Any, TypeVar

import msgspec
from fastavro import schemaless_reader, schemaless_writer

from schemas.contracts import ContractName, parsed
from schemas.records import (
    Alert,
    AlertCommand,
    DeadLetter,
    Device,
    Maintenance,
    Reading,
    RuleSet,
    WindowFeatures,
)

Record = (
    Reading | WindowFeatures | Alert | DeadLetter | Device | RuleSet | AlertCommand | Maintenance
)
R = TypeVar(
    "R", Reading, WindowFeatures, Alert, DeadLetter, Device, RuleSet, AlertCommand, Maintenance
)

CONTRACT_OF: dict[type, ContractName] = {
    Reading: "reading",
    WindowFeatures: "window_features",
    Alert: "alert",
    DeadLetter: "dead_letter",
    Device: "device",
    RuleSet: "rule_set",
    AlertCommand: "alert_command",
    Maintenance: "maintenance",
}

_HEADER = struct.Struct(">bI")


def header(schema_id: int) -> bytes:
    """Return the five bytes in front of every value.

    Raises:
        ValueError: the id does not fit four bytes.
    """
    try:
        return _HEADER.pack(0, schema_id)
    except struct.error as error:
        raise ValueError(f"schema id {schema_id} does not fit the wire format") from error


def unframe(value: bytes) -> tuple[int, bytes]:
    """Split a Kafka value into its schema id and Avro body.

    Raises:
        ValueError: it is not in Confluent wire format.
    """
    if len(value) < _HEADER.size or value[0] != 0:
        raise ValueError(f"not Confluent wire format: {value[:8]!r}")
    return _HEADER.unpack_from(value)[1], value[_HEADER.size :]


def encode(record: Record, schema_id: int) -> bytes:
    """Return a record as a Kafka value.

    Raises:
        ValueError, TypeError, OverflowError: a field does not fit the contract.
    """
    out = BytesIO()
    out.write(header(schema_id))
    schemaless_writer(out, parsed(CONTRACT_OF[type(record)]), msgspec.structs.asdict(record))
    return out.getvalue()


def decode(kind: type[R], value: bytes, writer: Any = None) -> R:
    """Return the record that a Kafka value holds.

    Args:
        kind: the record's type; its contract is the reader's schema.
        value: the bytes in Confluent wire format.
        writer: the schema it was written with, as of :func:`schemas.contracts.plain`;
            the shipped contract when left out.

    Raises:
        ValueError: the bytes are not such a record.
    """
    reader = parsed(CONTRACT_OF[kind])
    try:
        fields = schemaless_reader(BytesIO(unframe(value)[1]), writer or reader, reader)
        return kind(**fields)  # type: ignore[arg-type]
    except (EOFError, IndexError, KeyError, TypeError, OverflowError, MemoryError) as error:
        raise ValueError(f"not a {kind.__name__}: {error!r}") from error
