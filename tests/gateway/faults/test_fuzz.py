"""T9: ten thousand payloads of each format, near to good ones and far: readings or a reason.

A fault of our own that the decoder turns into UNDECODABLE fails here too; only what a decoder of
somebody else's raises may end that way.
"""

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from typing import Any, NamedTuple, get_args

import cbor2
import pytest
from golden_cases import CASES, FORMATS, LIVE, opened

from gateway.decode import Decoder, Limits
from gateway.formats import choice, custom
from gateway.formats.choice import Words
from gateway.invalid import Invalid, Reason
from gateway.packets import PUBLISH
from gateway.payloads import Sample
from gateway.routes import compile_route
from gateway.wire import Wire
from schemas.codec import decode
from schemas.records import Reading

FUZZED = 10_000
MOST_BYTES = 256 << 10
SLOWEST_S = 1.0
REASONS = set(get_args(Reason))
# A birth certificate of nothing but texts is good, and no reading.
MAY_CARRY_NONE = {"sparkplug"}

Document = tuple[Callable[[bytes], Any], Callable[[Any], bytes]]
_JSON: Document = (json.loads, lambda tree: json.dumps(tree).encode())
_CBOR: Document = (cbor2.loads, cbor2.dumps)
DOCUMENTS = {
    **dict.fromkeys(("number", "json", "metrics", "mapped-json", "senml", "custom"), _JSON),
    **dict.fromkeys(("cbor", "senml-cbor"), _CBOR),
}
NASTY: list[Any] = [
    None, True, False, 0, -0.0, -1, 1e308, -1e308, float("nan"), float("inf"), 5e-324, 2**31,
    2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**30, 10**400, "", "x" * 64, "x" * 65,
    "\0", "a b", "../..", "\N{RIGHT-TO-LEFT OVERRIDE}", "\N{GRINNING FACE}" * 20, "1", "NaN", "GOOD",
    "2025-11-25T01:00:00Z", "2025-11-25T01:00:00", 1_764_032_400_000, 253_402_300_800_000, [], {},
    [[]], {"a": 1}, {"v": None}, [1, [2, [3]]],
]  # fmt: skip


class Door(NamedTuple):
    """Where a payload goes in: a route's decoder, a topic it takes, and good payloads for it."""

    decoder: Decoder
    topic: bytes
    seeds: list[bytes]
    good: bool = True


def doors_of(form: str) -> list[Door]:
    """Return a door for each golden case, good ones over and over: most of the rest is refused."""
    found = []
    for case in (case for case in CASES if case.parent.name == form):
        good = (case / "expected.json").read_text().startswith("[")
        seed = (case / "payload").read_bytes()[:2000]
        found += [Door(*opened(case), [seed], good)] * (8 if good else 1)
    return found


def foreign(payload: bytes) -> Iterator[Sample]:
    """Take a JSON array of rows for samples, unseen, as a decoder of somebody else's may."""
    for row in json.loads(payload):
        yield Sample(*row)


ROWS = (
    b'[[1.5,1764032400000,"degC",7,"b1","UNCERTAIN","temperature"]]',
    b'[[2,null,null,null,null,"GOOD","a"],[3,1764032400000.5,"K",8,3,"BAD","b"]]',
)


def foreign_doors(patch: pytest.MonkeyPatch) -> list[Door]:
    patch.setattr(EntryPoint, "load", lambda _self: foreign)
    offered = EntryPoint("rows", "nowhere:foreign", custom.GROUP)
    patch.setattr(custom, "entry_points", lambda group: [offered])
    route = compile_route("a/{site}/{device}", choice.payload(Words("custom", decoder="rows")))
    decoder = Decoder("gw", [route], Limits(MOST_BYTES, 1.7e308))
    return [Door(decoder, b"a/hall/d1", list(ROWS))]


def flipped(chance: random.Random, seed: bytes, seeds: list[bytes]) -> bytes:
    """Return a payload with bytes cut, put in, turned, spliced or doubled, or plain rubbish."""
    if chance.random() < 0.05:
        return chance.randbytes(chance.randint(0, 60))
    data = bytearray(seed)
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(6):
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
            case _:
                token = [b"9" * 25, b"-1e400", b"null", b"[", b"\xff", b"{}", b'"\\ud800"']
                data[at : at + 1] = chance.choice(token)
    return bytes(data)


def grown(chance: random.Random, seed: bytes) -> bytes:
    """Return a payload as large as a route takes, of a part of a good one over and over."""
    start = chance.randrange(len(seed) + 1)
    piece = seed[start : start + chance.randint(1, 40)] or b"["
    room = chance.choice([4096, MOST_BYTES])
    return (seed[:start] + piece * (room // len(piece)))[:room]


def branches(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every (container, key or index) below a document."""
    if isinstance(tree, dict | list):
        for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
            yield tree, key
            yield from branches(tree[key])


def pruned(chance: random.Random, seed: bytes, form: str) -> bytes:
    """Return a document still well-formed, of which a part is another, another's name, or gone."""
    load, dump = DOCUMENTS[form]
    tree = load(seed)
    places = list(branches(tree))
    if not places:
        return dump(chance.choice(NASTY))
    for _ in range(chance.randint(1, 2)):
        where, key = chance.choice(places)
        if isinstance(where, dict):
            value = where.pop(key, None)
            match chance.randrange(4):
                case 0:
                    where[chance.choice(["", "é", "n_", "value", "ts", 2])] = value
                case 1 | 2:
                    where[key] = chance.choice(NASTY)
        elif key < len(where):
            where[key : key + 1] = [chance.choice(NASTY)] * chance.randint(0, 3)
    return dump(tree)


def payload_for(chance: random.Random, form: str, door: Door, others: list[bytes]) -> bytes:
    seed = chance.choice(door.seeds)
    roll = chance.random()
    if roll < 0.002:
        return grown(chance, seed)
    if roll < 0.5 and door.good and form in DOCUMENTS:
        return pruned(chance, seed, form)
    return flipped(chance, seed, others)


def fuzzed(form: str, doors: list[Door], count: int, seed: str) -> Counter[str]:
    """Send so many payloads; return how many had which end."""
    chance, wire = random.Random(seed), Wire(1, 2)
    others = [seed for door in doors for seed in door.seeds]
    ends: Counter[str] = Counter()
    for _ in range(count):
        door = chance.choice(doors)
        payload = payload_for(chance, form, door, others)
        began = time.thread_time()
        try:
            got = door.decoder.readings(LIVE, 4096, (PUBLISH, door.topic, payload))
            values = [wire.reading(reading) for reading in got]
        except Invalid as invalid:
            ends[invalid.reason] += 1
        else:
            assert got or form in MAY_CARRY_NONE, payload
            assert [decode(Reading, value) for value in values] == got, payload
            ends["readings"] += 1
        assert time.thread_time() - began < SLOWEST_S, payload[:200]
    return ends


def judge(form: str, ends: Counter[str], count: int) -> None:
    assert ends.total() == count
    assert set(ends) - {"readings"} <= REASONS
    if form != "custom":
        assert "UNDECODABLE" not in ends, "a fault of ours"
    assert 0.05 * count < ends["readings"] < 0.95 * count, ends


def doors(form: str, patch: pytest.MonkeyPatch) -> list[Door]:
    return foreign_doors(patch) if form == "custom" else doors_of(form)


@pytest.mark.parametrize("form", [*FORMATS, "custom"])
def test_ten_thousand_payloads_are_readings_that_encode_or_a_reason(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = fuzzed(form, doors(form, monkeypatch), FUZZED, f"{form} 1")
    judge(form, ends, FUZZED)


@pytest.mark.slow
@pytest.mark.parametrize("form", [*FORMATS, "custom"])
def test_as_many_payloads_again_and_again_are_readings_or_a_reason(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A million over all formats."""
    ends = fuzzed(form, doors(form, monkeypatch), 10 * FUZZED, f"{form} 2")
    judge(form, ends, 10 * FUZZED)
