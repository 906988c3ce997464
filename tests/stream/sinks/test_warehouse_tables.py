"""How a record's columns are made fit for PostgreSQL."""

import pytest

from stream.columns import columns
from stream.sinks.warehouse import WAREHOUSE, WarehouseTable

TABLES = {table.name: table for table in WAREHOUSE}


@pytest.mark.parametrize("table", WAREHOUSE, ids=lambda table: table.name)
def test_every_field_of_the_contract_is_a_column(table: WarehouseTable) -> None:
    assert list(table.columns) == list(columns(table.contract))
    assert len(table.values) == len(table.columns)
    assert set(table.key) <= set(table.columns)


def test_times_and_maps_go_as_text_that_the_database_parses() -> None:
    of = dict(zip(TABLES["alerts"].columns, TABLES["alerts"].values, strict=True))
    assert of["emitted_at"] == "CAST(`emitted_at` AS STRING) || '+00'"
    assert of["value"] == "`value`"
    assert of["rule"] == "REPLACE(`rule`, CHR(0), '\ufffd')"
    assert of["labels"] == "REPLACE(JSON_STRING(`labels`), '\\u0000', '\\ufffd')"
    assert TABLES["alerts"].columns["labels"] == "STRING"


def test_a_row_is_held_against_the_length_of_its_key_and_the_range_of_its_times() -> None:
    storable = TABLES["windows"].storable
    assert storable.startswith(
        "CHAR_LENGTH(`device_id`) + CHAR_LENGTH(`metric`) + CHAR_LENGTH(`session`) <= 600 AND "
    )
    assert "`window_end` BETWEEN TIMESTAMP '0001-01-01 00:00:00' AND" in storable
    assert "`seq`" not in TABLES["alerts"].storable
