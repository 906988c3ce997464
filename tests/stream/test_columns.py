"""Flink's columns are the contracts' fields."""

import pytest
from fastavro.schema import parse_schema

from schemas.contracts import CONTRACTS, ContractName, parsed
from stream.columns import columns


@pytest.mark.parametrize("contract", CONTRACTS)
def test_every_field_of_a_contract_is_a_column_in_its_order(contract: ContractName) -> None:
    fields = [field["name"] for field in parse_schema(parsed(contract))["fields"]]
    assert list(columns(contract)) == fields


def test_each_kind_of_field_has_its_type() -> None:
    alert, device = columns("alert", "TIMESTAMP(3)"), columns("device")
    assert alert["severity"] == alert["prev_severity"] == alert["prev_state"] == "STRING"
    assert alert["starts_at"] == alert["ends_at"] == "TIMESTAMP(3)"
    assert (alert["seq"], alert["sample_count"], alert["score"]) == ("INT", "BIGINT", "DOUBLE")
    assert (alert["late"], columns("dead_letter")["payload"]) == ("BOOLEAN", "BYTES")
    assert alert["labels"] == "MAP<STRING NOT NULL, STRING NOT NULL>"
    assert device["own_clock_metrics"] == "ARRAY<STRING NOT NULL>"
    assert device["valid_from"] == "BIGINT"
