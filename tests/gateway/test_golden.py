"""Every case below ``golden/<format>/<case>``: a route, a topic and a payload, and what they are.

``case.toml`` holds the route's table and the topic, ``payload`` the bytes, ``expected.json`` either
the readings, as far as they are not the same in every case, or the reason of the dead letter.
"""

import json
import random
import tomllib
from pathlib import Path
from typing import Any

import pytest

from gateway.decode import Decoder, Limits, Origin
from gateway.invalid import Invalid
from gateway.packets import PUBLISH
from gateway.sections import RouteSection, compiled
from gateway.wire import Wire
from schemas.codec import decode
from schemas.config import Complaint, read_table
from schemas.records import Reading

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(path.parent for path in GOLDEN.rglob("case.toml"))
RECEIVED = 1_764_032_400_000
LIVE = Origin(epoch=7, received_ts=RECEIVED, clock="SYNCED", internal=False, replayed=False)
SHOWN = ("device_id", "metric", "value", "ts", "device_ts", "unit", "device_seq", "device_boot",
         "quality", "part", "repeat", "clock")  # fmt: skip
USUAL = {"unit": None, "device_seq": None, "device_boot": None, "quality": "GOOD", "repeat": 0,
         "clock": "SYNCED"}  # fmt: skip
FUZZED = 10_000
# A birth certificate of nothing but texts is good, and no reading.
MAY_CARRY_NONE = {"sparkplug"}


def name(case: Path) -> str:
    return str(case.relative_to(GOLDEN))


def opened(case: Path) -> tuple[Decoder, bytes]:
    """Return the case's decoder and its topic."""
    table = tomllib.loads((case / "case.toml").read_text())
    topic = table.pop("sent_to")
    complaints: list[Complaint] = []
    section = read_table(RouteSection, table, (), complaints)
    assert section is not None, complaints
    decoder = Decoder("gw", [compiled(section)], Limits(256 << 10, 1.7e308))
    return decoder, topic.encode()


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


FORMATS = sorted({case.parent.name for case in CASES})


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_has_good_and_malformed_cases(form: str) -> None:
    expected = [json.loads(p.read_text()) for p in (GOLDEN / form).glob("*/expected.json")]
    assert {type(e) for e in expected} == {str, list}


def mutated(chance: random.Random, own: bytes, seeds: list[bytes]) -> bytes:
    """Return a payload near to good ones: cut, doubled, flipped, spliced, or plain rubbish."""
    data = bytearray(own if chance.random() < 0.7 else chance.choice(seeds))
    for _ in range(chance.randint(0, 3)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(7):
            case 0:
                del data[at:]
            case 1:
                data[at:at] = chance.randbytes(chance.randint(1, 8))
            case 2 if at < len(data):
                data[at] ^= 1 << chance.randrange(8)
            case 3:
                other = chance.choice(seeds)
                data[at:] = other[chance.randrange(len(other) + 1) :]
            case 4:
                data[at:at] = data[: chance.randint(0, 40)]
            case 5:
                data[at : at + 1] = chance.choice(
                    [b"9" * 25, b"-1e400", b"null", b"[", b"\xff", b"{}"]
                )
            case _:
                data = bytearray(chance.randbytes(chance.randint(0, 60)))
    return bytes(data[:4096])


@pytest.mark.parametrize("form", FORMATS)
def test_ten_thousand_payloads_are_readings_that_encode_or_a_reason(form: str) -> None:
    chance = random.Random(f"{form} 1")
    cases = [case for case in CASES if case.parent.name == form]
    seeds = [data for case in cases if len(data := (case / "payload").read_bytes()) < 2000]
    doors = [(*opened(case), (case / "payload").read_bytes()[:2000]) for case in cases]
    wire = Wire(1, 2)
    counted = {"readings": 0, "reasons": 0}
    for _ in range(FUZZED):
        decoder, topic, own = chance.choice(doors)
        got = made(decoder, topic, mutated(chance, own, seeds))
        if isinstance(got, str):
            counted["reasons"] += 1
            continue
        assert got or form in MAY_CARRY_NONE
        for reading in got:
            assert decode(Reading, wire.reading(reading)) == reading
        counted["readings"] += 1
    assert sum(counted.values()) == FUZZED
    assert min(counted.values()) > 100, counted
