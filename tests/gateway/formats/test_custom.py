"""A decoder of somebody else's can fail in any way and never ends the gateway."""

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from gateway.decode import Decoder, Limits, Origin
from gateway.formats import choice, custom
from gateway.formats.choice import Words
from gateway.invalid import Invalid
from gateway.packets import PUBLISH
from gateway.payloads import MAX_METRICS, Sample
from gateway.routes import compile_route
from gateway.wire import Wire
from schemas.codec import decode
from schemas.records import Reading

LIVE = Origin(7, 1_764_032_400_000, "SYNCED", internal=False, replayed=False)


class Broken(Exception):
    """An exception that only its package knows."""


def raising(error: Exception) -> Callable[[bytes], Iterable[Sample]]:
    def decoder(_payload: bytes) -> Iterable[Sample]:
        raise error

    return decoder


def halfway(_payload: bytes) -> Iterator[Sample]:
    yield Sample(1.0, metric="m")
    raise Broken("after a reading")


def endless(_payload: bytes) -> Iterator[Sample]:
    while True:
        yield Sample(1.0, metric="m")


def readings(decoder: Callable[[bytes], Any], monkeypatch: pytest.MonkeyPatch) -> list[Reading]:
    entry = EntryPoint("ours", "nowhere:decoder", custom.GROUP)
    monkeypatch.setattr(EntryPoint, "load", lambda _self: decoder)
    monkeypatch.setattr(custom, "entry_points", lambda group: [entry])
    payload = choice.payload(Words("custom", decoder="ours"))
    route = compile_route("a/{site}/{device}", payload)
    return Decoder("gw", [route], Limits(1 << 18, 1e308)).readings(
        LIVE, 4096, (PUBLISH, b"a/hall/d1", b"xy")
    )


def test_what_it_gives_becomes_readings_that_encode(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = Sample(1.5, 1_764_032_400_000, "degC", 7, "b1", "UNCERTAIN", "temperature")
    (reading,) = readings(lambda _payload: [sample], monkeypatch)
    assert (reading.device_id, reading.metric, reading.value) == ("hall.d1", "temperature", 1.5)
    assert decode(Reading, Wire(1, 2).reading(reading)) == reading


@pytest.mark.parametrize(
    "error",
    [struct.error("short"), zlib.error("bad"), OSError("gone"), RuntimeError("x"), Broken("x"),
     AssertionError("x"), KeyError("x"), EOFError("x")],
    ids=lambda e: type(e).__name__,
)  # fmt: skip
def test_whatever_it_raises_is_a_reason(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Invalid, match="the decoder raised") as refused:
        readings(raising(error), monkeypatch)
    assert refused.value.reason == "UNDECODABLE"


def test_a_reason_of_its_own_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Invalid) as refused:
        readings(raising(Invalid("NOT_A_NUMBER", "off")), monkeypatch)
    assert refused.value.reason == "NOT_A_NUMBER"


@pytest.mark.parametrize(
    ("decoder", "reason"),
    [
        (halfway, "UNDECODABLE"),
        (endless, "TOO_LARGE"),
        (lambda _: None, "UNDECODABLE"),
        (lambda _: [], "MISSING"),
        (lambda _: [1.0], "UNDECODABLE"),
        (lambda _: [Sample(1.0)], "BAD_ID"),
        (lambda _: [Sample(1.0, metric="a b")], "BAD_ID"),
        (lambda _: [Sample(1.0, metric=5)], "UNDECODABLE"),  # type: ignore[arg-type]
        (lambda _: [Sample("1", metric="m")], "NOT_A_NUMBER"),  # type: ignore[arg-type]
        (lambda _: [Sample(float("nan"), metric="m")], "NOT_FINITE"),
        (lambda _: [Sample(1.0, metric="m", ts=-1)], "OUT_OF_RANGE"),
        (lambda _: [Sample(1.0, metric="m", ts=True)], "BAD_PAYLOAD"),
        (lambda _: [Sample(1.0, metric="m", seq=1.5)], "BAD_PAYLOAD"),  # type: ignore[arg-type]
        (lambda _: [Sample(1.0, metric="m", unit=5)], "BAD_PAYLOAD"),  # type: ignore[arg-type]
        (lambda _: [Sample(1.0, metric="m", quality="x")], "BAD_PAYLOAD"),  # type: ignore[arg-type]
        (lambda _: [Sample(1.0, metric="m")] * (MAX_METRICS + 1), "TOO_LARGE"),
    ],
)
def test_what_is_no_sample_is_refused(
    decoder: Callable[[bytes], Any], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Invalid) as refused:
        readings(decoder, monkeypatch)
    assert refused.value.reason == reason


def test_a_time_with_a_fraction_is_rounded_and_encodes(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = Sample(1.0, metric="m", ts=1_764_032_399_999.6)  # type: ignore[arg-type]
    (reading,) = readings(lambda _payload: [sample], monkeypatch)
    assert reading.device_ts == 1_764_032_400_000
    assert decode(Reading, Wire(1, 2).reading(reading)) == reading


def test_a_decoder_that_is_not_installed_is_told_with_those_that_are() -> None:
    with pytest.raises(ValueError, match=r"no decoder 'nobodys' in the entry points"):
        choice.payload(Words("custom", decoder="nobodys"))
