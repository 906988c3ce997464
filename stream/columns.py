"""Flink's column types, derived from the Avro contracts."""

import json
from functools import cache
from typing import Any, Literal

from schemas.contracts import ContractName, contract_text

Times = Literal["BIGINT", "TIMESTAMP(3)"]

_PRIMITIVES = {
    "string": "STRING",
    "int": "INT",
    "long": "BIGINT",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "bytes": "BYTES",
}


@cache
def columns(contract: ContractName, times: Times = "BIGINT") -> dict[str, str]:
    """Return the contract's fields in its order, each with its Flink type.

    Enums are text. Times are milliseconds since the epoch, or TIMESTAMP(3) in UTC. Every column
    is nullable, as the tolerant format wants it: an undecodable record is a row of nulls.
    """
    schema = json.loads(contract_text(contract))
    enums: set[str] = set()
    return {field["name"]: _flink_type(field["type"], times, enums) for field in schema["fields"]}


def _flink_type(avro: Any, times: Times, enums: set[str]) -> str:
    """Return the type; ``enums`` collects those named so far, which later fields refer to."""
    if isinstance(avro, list):
        (some,) = (branch for branch in avro if branch != "null")
        return _flink_type(some, times, enums)
    if isinstance(avro, str):
        return "STRING" if avro.rpartition(".")[2] in enums else _PRIMITIVES[avro]
    if avro.get("logicalType") == "timestamp-millis":
        return times
    if avro["type"] == "enum":
        enums.add(avro["name"])
        return "STRING"
    if avro["type"] == "array":
        return f"ARRAY<{_flink_type(avro['items'], times, enums)} NOT NULL>"
    if avro["type"] == "map":
        return f"MAP<STRING NOT NULL, {_flink_type(avro['values'], times, enums)} NOT NULL>"
    return _flink_type(avro["type"], times, enums)
