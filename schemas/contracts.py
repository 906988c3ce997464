"""The Avro contracts as shipped: their text, fingerprint and parsed form."""

import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import Any, Literal, get_args

from fastavro.schema import parse_schema

ContractName = Literal[
    "reading",
    "window_features",
    "alert",
    "dead_letter",
    "device",
    "rule_set",
    "alert_command",
    "maintenance",
]
CONTRACTS: tuple[ContractName, ...] = get_args(ContractName)


@cache
def contract_text(name: ContractName) -> str:
    """Return the contract as compact JSON: the text that is registered and fingerprinted."""
    return json.dumps(
        json.loads(files("schemas").joinpath(f"{name}.avsc").read_text("utf-8")),
        separators=(",", ":"),
    )


@cache
def fingerprint(name: ContractName) -> str:
    """Return the SHA-256 of the contract's text in hex; a schema id is kept under it on disk."""
    return hashlib.sha256(contract_text(name).encode()).hexdigest()


def plain(text: str) -> Any:
    """Parse an Avro schema with its logical types left out, so that times stay integers (ms)."""
    return parse_schema(_without_logical_types(json.loads(text)))


@cache
def parsed(name: ContractName) -> Any:
    """Return the shipped contract, parsed by :func:`plain`."""
    return plain(contract_text(name))


def _without_logical_types(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_logical_types(branch) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    if "logicalType" in schema:
        return schema["type"]
    return {
        key: _without_logical_types(value)
        if key in ("type", "fields", "items", "values")
        else value
        for key, value in schema.items()
    }
