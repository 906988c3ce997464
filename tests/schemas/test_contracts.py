"""Contracts evolve so that readers of the new one still read what the old one wrote."""

import json
from io import BytesIO
from pathlib import Path

import pytest
from fastavro import schemaless_reader

from schemas.contracts import CONTRACTS, contract_text, parsed, plain
from schemas.topics import TOPICS, subject

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("case", sorted(path.stem for path in GOLDEN.glob("*.json")))
def test_todays_contract_reads_what_older_ones_wrote(case: str) -> None:
    golden = json.loads((GOLDEN / f"{case}.json").read_text())
    body = bytes.fromhex(golden["value"])[5:]
    read = schemaless_reader(
        BytesIO(body), plain(json.dumps(golden["writer"])), parsed(golden["contract"])
    )
    assert golden["record"].keys() <= read.keys()


@pytest.mark.parametrize("name", CONTRACTS)
def test_every_contract_is_in_the_projects_namespace(name: str) -> None:
    contract = json.loads(contract_text(name))  # type: ignore[arg-type]
    assert contract["namespace"] == "tidegate.v1"


def test_times_are_declared_in_the_contract_and_integers_in_the_codec() -> None:
    declared = {
        field["name"]: field["type"] for field in json.loads(contract_text("reading"))["fields"]
    }
    assert declared["ts"] == {"type": "long", "logicalType": "timestamp-millis"}
    used = {field["name"]: field["type"] for field in parsed("reading")["fields"]}
    assert used["ts"] == "long"


def test_readings_are_kept_by_append_time() -> None:
    config = {topic.name: topic.config for topic in TOPICS}
    for name in ("readings", "windows", "alerts", "dead-letters", "late"):
        assert config[name]["message.timestamp.type"] == "LogAppendTime", name


def test_subjects_are_named_after_topics() -> None:
    assert subject("tidegate.readings") == "tidegate.readings-value"
