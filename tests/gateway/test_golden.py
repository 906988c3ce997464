"""Every case below ``golden/<format>/<case>``: a route, a topic and a payload, and what they are.

``case.toml`` holds the route's table and the topic, ``payload`` the bytes, ``expected.json`` either
the readings, as far as they are not the same in every case, or the reason of the dead letter.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from golden_cases import CASES, FORMATS, GOLDEN, LIVE, opened

from gateway.decode import Decoder
from gateway.invalid import Invalid
from gateway.packets import PUBLISH
from schemas.records import Reading

SHOWN = ("device_id", "metric", "value", "ts", "device_ts", "unit", "device_seq", "device_boot",
         "quality", "part", "repeat", "clock")  # fmt: skip
USUAL = {"unit": None, "device_seq": None, "device_boot": None, "quality": "GOOD", "repeat": 0,
         "clock": "SYNCED"}  # fmt: skip


def name(case: Path) -> str:
    return str(case.relative_to(GOLDEN))


def made(decoder: Decoder, topic: bytes, payload: bytes) -> list[Reading] | str:
    try:
        return decoder.readings(LIVE, 4096, (PUBLISH, topic, payload))
    except Invalid as invalid:
        return invalid.reason


def shown(reading: Reading) -> dict[str, Any]:
    fields = {field: getattr(reading, field) for field in SHOWN}
    return {k: v for k, v in fields.items() if USUAL.get(k, ...) != v}


@pytest.mark.parametrize("case", CASES, ids=name)
def test_a_golden_case_is_what_it_was(case: Path) -> None:
    decoder, topic = opened(case)
    got = made(decoder, topic, (case / "payload").read_bytes())
    expected = json.loads((case / "expected.json").read_text())
    assert (got if isinstance(got, str) else [shown(r) for r in got]) == expected


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_has_good_and_malformed_cases(form: str) -> None:
    expected = [json.loads(p.read_text()) for p in (GOLDEN / form).glob("*/expected.json")]
    assert {type(e) for e in expected} == {str, list}
