"""PUBLISH packets: found in a stream cut anywhere, and taken apart to what was published."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.packets import DUP, PUBLISH, RETAIN, Malformed, packet_end, publish, scan, split


def variable(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*out, number))


def packet(
    first: int, topic: bytes, mid: int, payload: bytes, properties: bytes | None = None
) -> bytes:
    told = b"" if properties is None else variable(len(properties)) + properties
    mids = struct.pack(">H", mid) if first & 6 else b""
    body = struct.pack(">H", len(topic)) + topic + mids + told + payload
    return bytes((first,)) + variable(len(body)) + body


firsts = st.sampled_from(
    [PUBLISH, PUBLISH | 2, PUBLISH | 2 | DUP, PUBLISH | 2 | RETAIN, PUBLISH | RETAIN]
)
payloads = st.one_of(st.binary(max_size=20), st.integers(100, 20_000).map(bytes))
packets = st.tuples(firsts, st.binary(max_size=40), st.integers(1, 65535), payloads)
properties = st.one_of(st.just(b""), st.binary(max_size=200))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(packets, properties), min_size=1, max_size=20),
    st.booleans(),
    st.lists(st.integers(1, 30_000), max_size=20),
)
def test_a_stream_cut_anywhere_gives_every_packet_once(
    sent: list, v5: bool, cuts: list[int]
) -> None:
    stream = b"".join(packet(*p, properties=extra if v5 else None) for p, extra in sent)
    mids: list[int] = []
    found, tail = [], b""
    while stream or tail:
        size = cuts.pop() if cuts else len(stream)
        data, stream = tail + stream[:size], stream[size:]
        at = 0
        while True:
            run = scan(data, at, mids)
            assert bool(run.messages) == (run.end > at)
            got = split(data[at : run.end], v5=v5)
            assert len(got) == run.messages
            found += got
            at = run.end
            if run.then != "full":
                assert run.then == "part"
                break
        tail = data[at:]
        assert stream or not tail
    assert found == [(first, topic, payload) for (first, topic, _, payload), _ in sent]
    assert mids == [mid for (first, _, mid, _), _ in sent if first & 6]


@settings(max_examples=1000, deadline=None)
@given(st.binary(max_size=60).map(lambda raw: bytes((PUBLISH | 2,)) + raw), st.booleans())
def test_rubbish_is_refused_or_gives_as_many_messages_as_it_says(data: bytes, v5: bool) -> None:
    mids: list[int] = []
    try:
        run = scan(data, 0, mids)
    except Malformed:
        return
    assert len(split(data[: run.end], v5=v5)) == run.messages


def test_a_run_ends_before_another_packet_and_is_of_bounded_size() -> None:
    one = packet(PUBLISH, b"t", 0, bytes(1000))
    run = scan(one * 3 + b"\xd0\x00", 0, [])
    assert (run.messages, run.then) == (3, "other")
    assert packet_end(b"\xd0\x00", 0) == 2
    run = scan(one * 100, 0, [])
    assert (run.messages, run.then) == (17, "full")
    small = packet(PUBLISH, b"t", 0, b"")
    assert scan(small * 3000, 0, []).messages == 1000


@pytest.mark.parametrize(
    "bad",
    [
        bytes((PUBLISH | 4, 5)) + b"\x00\x01t\x00\x01",
        bytes((PUBLISH | 6, 5)) + b"\x00\x01t\x00\x01",
        bytes((PUBLISH, 1, 0)),
        bytes((PUBLISH, 0)),
        bytes((PUBLISH, 3)) + b"\x00\x09t",
        bytes((PUBLISH | 2, 4)) + b"\x00\x01t\x00",
        bytes((PUBLISH, 0xFF, 0xFF, 0xFF, 0xFF, 1)),
    ],
)
def test_what_no_server_may_send_is_refused(bad: bytes) -> None:
    with pytest.raises(Malformed):
        scan(bad, 0, [])


def test_properties_that_run_beyond_the_packet_cost_no_byte_of_it() -> None:
    stream = packet(PUBLISH, b"t", 0, b"\x7fabc") + packet(PUBLISH, b"u", 0, b"\x00ok")
    assert split(stream, v5=True) == [(PUBLISH, b"t", b"\x7fabc"), (PUBLISH, b"u", b"ok")]


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_an_own_packet_is_one(topic: bytes, payload: bytes) -> None:
    made = publish(topic, payload)
    assert scan(made, 0, []) == (len(made), 1, "part")
    assert split(made, v5=False) == [(PUBLISH, topic, payload)]
