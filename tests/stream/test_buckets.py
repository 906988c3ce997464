"""The calls that PyFlink makes for the state of many devices under one key."""

import warnings
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("pyflink", reason="the extra [stream] is not installed")

with warnings.catch_warnings():
    # What Beam imports is behind its own libraries.
    warnings.simplefilter("ignore", DeprecationWarning)
    from apache_beam.coders import coder_impl
    from apache_beam.runners.worker.statecache import StateCache, WeightedValue
    from pyflink.fn_execution.beam.beam_coders import FlinkCoder
    from pyflink.fn_execution.coders import BinaryCoder, CharCoder, FlattenRowCoder
    from pyflink.fn_execution.state_impl import RemoteKeyedStateBackend

from stream.jobs.buckets import MOST_PIECES, Buckets

ITERATE, SET = 1, 2


class Jvm:
    """The other end of the calls, as `SimpleStateRequestHandler` of PyFlink's JVM part is one."""

    def __init__(self) -> None:
        self.held: dict[bytes, dict[str, bytes]] = {}
        self.calls: list[str] = []

    def get_raw(self, state_key: Any, request: bytes) -> tuple[bytes, bytes]:
        held = self.held.get(state_key.multimap_side_input.key, {})
        asked = coder_impl.create_InputStream(request)
        out = coder_impl.create_OutputStream()
        if asked.read_byte() == ITERATE:
            self.calls.append("iterate")
            for piece, data in held.items():
                CHAR.encode_to_stream(piece, out, True)
                out.write_byte(1)
                BINARY.encode_to_stream(data, out, True)
            return out.get(), b""
        self.calls.append("get")
        data = held.get(CHAR.decode_from_stream(asked, True))
        out.write_byte(2 if data is None else 0)
        if data is not None:
            BINARY.encode_to_stream(data, out, True)
        return out.get(), b""

    def append_raw(self, state_key: Any, request: bytes) -> Any:
        self.calls.append("append")
        held = self.held.setdefault(state_key.multimap_side_input.key, {})
        asked = coder_impl.create_InputStream(request)
        for _ in range(asked.read_bigendian_int32()):
            flag = asked.read_byte()
            asked.read_bigendian_int32()
            piece = CHAR.decode_from_stream(asked, True)
            held.pop(piece, None)
            if flag == SET:
                asked.read_bigendian_int32()
                held[piece] = BINARY.decode_from_stream(asked, True)
        return SimpleNamespace(get=lambda: None)


CHAR, BINARY = (FlinkCoder(each).get_impl() for each in (CharCoder(), BinaryCoder()))


class Worker:
    """A worker's keyed state, of PyFlink's own classes, as of its start."""

    def __init__(self, jvm: Jvm) -> None:
        handler = SimpleNamespace(
            _state_cache=Counting(StateCache(1000)),
            _underlying=jvm,
            _context=SimpleNamespace(user_state_cache_token=b"t", bundle_cache_token=None),
        )
        key = FlattenRowCoder([CharCoder()])
        self._backend = RemoteKeyedStateBackend(handler, key, None, 1000, MOST_PIECES, 1000)
        self.buckets = Buckets(self._backend.get_map_state("pieces", CharCoder(), BinaryCoder()))

    def turn(self, bucket: str) -> None:
        self._backend.set_current_key([bucket])
        self.buckets.reach(bucket)

    def end_bundle(self) -> None:
        self._backend.commit()


class Counting:
    """Beam's cache with each value of weight one, as PyFlink's workers have it."""

    def __init__(self, cache: StateCache) -> None:
        self.is_cache_enabled, self.peek = cache.is_cache_enabled, cache.peek
        self.put = lambda key, value: cache.put(key, WeightedValue(value, 1))


def test_a_bucket_is_read_in_one_call_and_written_back_in_one() -> None:
    jvm = Jvm()
    worker = Worker(jvm)
    for bundle in (b"one", b"two"):
        jvm.calls.clear()
        for device in ("a", "b", "c"):
            for bucket in ("07", "1f"):
                worker.turn(bucket)
                found = worker.buckets.load(device)
                assert found("device") == (None if bundle == b"one" else b"one" + device.encode())
                assert found("watch") is None
                worker.buckets.keep(device, "device", bundle + device.encode())
        worker.end_bundle()
        began = ["iterate", "iterate"] if bundle == b"one" else []
        assert jvm.calls == [*began, "append", "append"]
    # Another worker takes over.
    jvm.calls.clear()
    other = Worker(jvm)
    other.turn("07")
    assert [other.buckets.load(device)("device") for device in "abcd"] == [
        b"twoa", b"twob", b"twoc", None,
    ]  # fmt: skip
    assert jvm.calls == ["iterate"]
    other.buckets.keep("a", "device", None)
    other.end_bundle()
    assert sorted(jvm.held[KEY]) == ["1:b/device", "1:c/device"]
    assert other.buckets.load("a")("device") is None
    assert jvm.calls == ["iterate", "append"]


KEY = FlattenRowCoder([CharCoder()]).get_impl().encode(["07"])


def test_no_device_has_the_pieces_of_another() -> None:
    jvm = Jvm()
    worker = Worker(jvm)
    worker.turn("07")
    names = ["a", "a/series:b", "1:a", "", "/", "a/", "12:a", "ä", "aa"]
    pieces = ["device", "series:b", "series:b/series:b", "watch", "held:1"]
    for device in names:
        for piece in pieces:
            worker.buckets.keep(device, piece, f"{device}|{piece}".encode())
    worker.end_bundle()
    again = Worker(jvm)
    again.turn("07")
    for device in names:
        find = again.buckets.load(device)
        assert [find(piece) for piece in pieces] == [f"{device}|{p}".encode() for p in pieces]
