"""T9, W5, W6: what JSON parsers are known to trip over, one among a hundred good readings."""

import json
import math
from typing import Any, NamedTuple

import pytest
from edge_rig import seen, wait_for
from golden_cases import LIVE

from gateway.decode import Decoder, Limits
from gateway.formats import choice
from gateway.formats.choice import Words
from gateway.formats.mapped import Fields
from gateway.invalid import Invalid
from gateway.packets import PUBLISH
from gateway.payloads import plain
from gateway.routes import compile_route
from gateway.wire import Wire
from schemas.codec import decode
from schemas.records import Reading

KEPT = 900_000
"""Bytes of a payload that a dead letter has room for."""


class Poison(NamedTuple):
    """A payload and what the gateway must make of it: a reason, or a value that is fine."""

    payload: bytes
    end: str | float


def valued(text: str) -> bytes:
    return f'{{"value":{text}}}'.encode()


def nested(depth: int) -> bytes:
    return b'{"value":1,"x":' + b"[" * depth + b"]" * depth + b"}"


MANY_KEYS = json.dumps({"value": 1, **{f"k{i}": i for i in range(100_000)}}).encode()
CORPUS = {
    "open-brackets": Poison(b"[" * 100_000, "BAD_JSON"),
    "open-objects": Poison(b'{"a":' * 5000, "BAD_JSON"),
    "nested-900": Poison(nested(900), 1.0),
    "nested-2000": Poison(nested(2000), "BAD_JSON"),
    "nan": Poison(valued("NaN"), "NOT_FINITE"),
    "minus-infinity": Poison(valued("-Infinity"), "NOT_FINITE"),
    "double-overflow": Poison(valued("1e400"), "OUT_OF_RANGE"),
    "int-1e30": Poison(valued("1" + "0" * 30), 1e30),
    "int-5000-digits": Poison(valued("7" * 5000), "OUT_OF_RANGE"),
    "duplicate-keys": Poison(b'{"value":1,"value":2}', 2.0),
    "lone-surrogate": Poison(b'{"value":1,"unit":"\\ud800"}', "BAD_JSON"),
    "nul": Poison(b'{"value":1,"unit":"a\\u0000b"}', 1.0),
    "bad-utf8": Poison(b'{"value":1,"unit":"\xff"}', "BAD_JSON"),
    "bom": Poison(b"\xef\xbb\xbf" + valued("1"), "BAD_JSON"),
    "utf16": Poison('{"value":1}'.encode("utf-16"), "BAD_JSON"),
    "empty": Poison(b"", "BAD_JSON"),
    "trailing": Poison(valued("1") + b"{}", "BAD_JSON"),
    "text-of-1-mb": Poison(b'{"value":1,"x":"' + b"x" * 1_000_000 + b'"}', "TOO_LARGE"),
    "100k-keys": Poison(MANY_KEYS, "TOO_LARGE"),
    "true": Poison(valued("true"), "NOT_A_NUMBER"),
    "minus-zero": Poison(valued("-0.0"), -0.0),
}
MORE = {
    "text-as-number": Poison(valued('"5"'), "NOT_A_NUMBER"),
    "rubbish-of-2-mb": Poison(b"y" * 2_000_000, "TOO_LARGE"),
    "m" * 70: Poison(valued("1"), "BAD_ID"),
}
GOOD = 100
ROUNDS = 2

_FIELDS = Fields(value="value", unit="unit")
ROUTES = {
    "json": plain("json"),
    "number": plain("number"),
    "metrics": plain("metrics"),
    "mapped": choice.payload(Words("json", fields=_FIELDS)),
    "senml": choice.payload(Words("senml")),
}


def end_of(payload: bytes, form: str) -> str | float:
    metric = "x" if ROUTES[form].names_metrics else "{metric}"
    route = compile_route(f"a/{{site}}/{{device}}/{metric}", ROUTES[form])
    decoder = Decoder("gw", [route], Limits(4 << 20, 1.7e308))
    try:
        readings = decoder.readings(LIVE, 4096, (PUBLISH, b"a/hall/d1/x", payload))
    except Invalid as invalid:
        return invalid.reason
    assert [decode(Reading, Wire(1, 2).reading(r)) for r in readings] == readings
    return readings[-1].value


def test_the_corpus_is_complete() -> None:
    assert len(CORPUS) == 21


@pytest.mark.parametrize("name", CORPUS)
def test_every_json_format_names_a_reason_or_gives_readings(name: str) -> None:
    """Also of what is within the limit of size only where the operator has raised it."""
    for form in ROUTES:
        end = end_of(CORPUS[name].payload, form)
        assert end != "UNDECODABLE", form


@pytest.mark.stack
def test_a_poison_among_a_hundred_good_readings_costs_nobody_anything(edge: Any) -> None:
    """I11: every bad one is a dead letter with its bytes, every good one is on time."""
    cases = CORPUS | MORE
    gateway = edge.gateway()
    gateway.wait_ready()
    acked: set[tuple[str, int]] = set()
    for turn in range(ROUNDS):
        for place, (name, poison) in enumerate(cases.items()):
            edge.publisher.publish(f"sensors/plant/bad/{name}", poison.payload)
            start = (turn * len(cases) + place) * GOOD
            acked.update(edge.publisher.readings(GOOD, start=start))
    wait_for("the good", lambda: acked <= seen(edge))
    bad = {n: p for n, p in cases.items() if isinstance(p.end, str)}
    wait_for("the bad", lambda: len(edge.follower.dead) >= ROUNDS * len(bad))
    assert gateway.process.poll() is None
    judge_dead(edge.follower.dead, bad)
    fine = [r for r in edge.follower.readings if r.device_id == "plant.bad"]
    judge_fine(fine, {n: p for n, p in cases.items() if n not in bad})
    good = [r for r in edge.follower.readings if r.device_id != "plant.bad"]
    assert sorted((r.device_id, r.device_seq) for r in good) == sorted(acked)
    assert all(r.value == r.device_seq / 8 for r in good)
    assert max(r.received_ts - r.device_ts for r in good) < 1000


def judge_dead(letters: list[Any], bad: dict[str, Poison]) -> None:
    """Each bad message is a dead letter once a round, with its bytes as far as there is room."""
    assert len(letters) == ROUNDS * len(bad)
    for name, poison in bad.items():
        mine = [d for d in letters if d.mqtt_topic == f"sensors/plant/bad/{name}"]
        assert [d.reason for d in mine] == [poison.end] * ROUNDS, name
        assert {d.payload for d in mine} == {poison.payload[:KEPT]}, name
        cut = len(poison.payload) > KEPT
        assert all((f"of {len(poison.payload)} bytes" in d.detail) == cut for d in mine), name


def judge_fine(readings: list[Any], fine: dict[str, Poison]) -> None:
    for name, poison in fine.items():
        values = [r.value for r in readings if r.metric == name]
        assert values == [poison.end] * ROUNDS, name
        assert math.copysign(1, values[0]) == math.copysign(1, float(poison.end)), name
    assert len(readings) == ROUNDS * len(fine)
