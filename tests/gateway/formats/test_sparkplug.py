"""Sparkplug messages one after the other: aliases, gaps, rebirths, and what a crash repeats."""

import random
import sqlite3
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.decode import Decoder, Limits, Origin
from gateway.formats import choice, protobuf, sparkplug_payload
from gateway.formats.births import Births, Entry
from gateway.formats.choice import Words
from gateway.formats.protobuf import field
from gateway.formats.sparkplug import Host
from gateway.invalid import Invalid
from gateway.packets import PUBLISH
from gateway.routes import compile_route
from schemas.records import Reading

T0 = 1_764_032_400_000
LIVE = Origin(7, T0 + 5000, "SYNCED", internal=False, replayed=False)
INT8, INT16, INT32, INT64, UINT8, UINT32, UINT64 = 1, 2, 3, 4, 5, 7, 8
FLOAT, DOUBLE, BOOLEAN, STRING, DATETIME, DATASET = 9, 10, 11, 12, 13, 16
_VALUE_FIELD = {**dict.fromkeys((1, 2, 3, 5, 6, 7), 10), 4: 11, 8: 11, 13: 11, 11: 14, 12: 15}


def metric(
    value: Any, datatype: int = 0, *, name: str = "", alias: int | None = None, ts: int = T0,
    null: bool = False, kind: int = 0, properties: dict[str, bytes] | None = None,
) -> bytes:  # fmt: skip
    out = (field(1, name.encode()) if name else b"") + field(3, ts)
    out += field(2, alias) if alias is not None else b""
    out += field(4, datatype) if datatype else b""
    if properties:
        keys = b"".join(field(1, key.encode()) for key in properties)
        out += field(9, keys + b"".join(field(2, value) for value in properties.values()))
    if null:
        return out + field(7, 1)
    kind = kind or datatype
    if kind == DOUBLE:
        return out + protobuf.varint(13 << 3 | 1) + struct.pack("<d", value)
    if kind == FLOAT:
        return out + protobuf.varint(12 << 3 | 5) + struct.pack("<f", value)
    number = _VALUE_FIELD[kind]
    return out + field(number, value.encode() if isinstance(value, str) else value)


def message(seq: int | None, *metrics: bytes, ts: int = T0) -> bytes:
    out = field(1, ts) + b"".join(field(2, m) for m in metrics)
    return out + (field(3, seq) if seq is not None else b"")


class Plant:
    """A gateway's decoder, what it published, and its number of the next message."""

    def __init__(self, births: Births) -> None:
        self.asked: list[tuple[str, bytes]] = []
        self.now_s = 1000.0
        self.host = Host(
            births,
            lambda topic, payload: self.asked.append((topic, payload)),
            now_s=lambda: self.now_s,
            wall_s=lambda: T0 / 1000,
        )
        route = compile_route("spBv1.0/{site}/#", choice.payload(Words("sparkplug"), self.host))
        self._decoder = Decoder("gw", [route], Limits(1 << 18, 1e308))
        self.seq = 4096

    def say(self, topic: str, payload: bytes, seq: int | None = None) -> list[Reading]:
        if seq is None:
            self.seq += 1
            seq = self.seq
        return self._decoder.readings(LIVE, seq, (PUBLISH, f"spBv1.0/{topic}".encode(), payload))

    def refused(self, topic: str, payload: bytes, seq: int | None = None) -> str:
        with pytest.raises(Invalid) as refused:
            self.say(topic, payload, seq)
        return refused.value.reason


@pytest.fixture
def plant() -> Plant:
    return Plant(Births(None))


def told(readings: list[Reading]) -> list[tuple[str, str, float]]:
    return [(r.device_id, r.metric, r.value) for r in readings]


BIRTH = message(0, metric(20.5, DOUBLE, name="Motor/Bearing temp", alias=1, properties={
    "engUnit": field(1, STRING) + field(8, b"degC")}), metric(3, UINT64, name="bdSeq"),
    metric(0, BOOLEAN, name="Node Control/Rebirth"))  # fmt: skip


def test_data_go_by_the_alias_and_the_unit_of_the_birth(plant: Plant) -> None:
    (born,) = plant.say("hall/NBIRTH/e1", BIRTH)
    (r,) = plant.say("hall/NDATA/e1", message(1, metric(21.5, alias=1, kind=DOUBLE, ts=T0 + 1)))
    assert told([born, r]) == [
        ("hall.e1", "Motor.Bearing_temp", 20.5), ("hall.e1", "Motor.Bearing_temp", 21.5)]  # fmt: skip
    assert (r.unit, r.device_ts, r.device_seq, r.site) == ("degC", T0 + 1, 1, "hall")
    assert plant.asked == []


def test_a_node_and_its_devices_are_devices_and_count_together(plant: Plant) -> None:
    plant.say("hall/NBIRTH/e1", BIRTH)
    plant.say("hall/DBIRTH/e1/d1", message(1, metric(1.0, DOUBLE, name="flow", alias=9)))
    readings = plant.say("hall/DDATA/e1/d1", message(2, metric(2.0, alias=9, kind=DOUBLE)))
    assert told(readings) == [("hall.e1__d1", "flow", 2.0)]
    assert plant.asked == []


def test_a_missing_number_asks_for_a_rebirth_once_a_minute(plant: Plant) -> None:
    plant.say("hall/NBIRTH/e1", BIRTH)
    data = [message(s, metric(1.0, alias=1, kind=DOUBLE)) for s in (2, 5, 9)]
    plant.say("hall/NDATA/e1", data[0])
    plant.say("hall/NDATA/e1", data[1])
    ((topic, payload),) = plant.asked
    assert topic == "spBv1.0/hall/NCMD/e1"
    asked = sparkplug_payload.message(payload)
    assert [(m.name, m.datatype, m.raw) for m in asked.metrics] == [
        ("Node Control/Rebirth", BOOLEAN, (14, 1))]  # fmt: skip
    plant.now_s += 61
    plant.say("hall/NDATA/e1", data[2])
    assert len(plant.asked) == plant.host.rebirths == 2


def test_numbers_go_on_after_255_and_a_doubled_message_is_no_gap(plant: Plant) -> None:
    plant.say("hall/NBIRTH/e1", BIRTH)
    for seq in [*range(1, 256), 0, 0, 1]:
        plant.say("hall/NDATA/e1", message(seq, metric(1.0, alias=1, kind=DOUBLE)))
    assert plant.asked == []


def test_messages_decoded_again_are_no_gap(plant: Plant) -> None:
    plant.say("hall/NBIRTH/e1", BIRTH, 5000)
    data = [message(n, metric(1.0, alias=1, kind=DOUBLE)) for n in range(5)]
    for n in (1, 2, 3, 1, 2, 3, 4):
        plant.say("hall/NDATA/e1", data[n], 5000 + n)
    assert plant.asked == []


def test_a_birth_begins_a_new_count_and_a_death_ends_it(plant: Plant) -> None:
    plant.say("hall/NBIRTH/e1", BIRTH)
    assert plant.say("hall/NDEATH/e1", message(None, metric(3, UINT64, name="bdSeq"))) == []
    plant.say("hall/NBIRTH/e1", BIRTH)
    plant.say("hall/NDATA/e1", message(1, metric(1.0, alias=1, kind=DOUBLE)))
    assert plant.asked == []


def test_an_alias_nobody_was_born_with_is_a_dead_letter_and_asks(plant: Plant) -> None:
    data = message(4, metric(1.0, alias=1, kind=DOUBLE))
    assert plant.refused("hall/NDATA/e1", data) == "MISSING"
    assert [topic for topic, _ in plant.asked] == ["spBv1.0/hall/NCMD/e1"]


def test_a_name_with_its_type_needs_no_birth(plant: Plant) -> None:
    untyped = message(4, metric(1.0, name="x", kind=DOUBLE))
    assert plant.refused("hall/NDATA/e1", untyped) == "MISSING"
    signed = message(5, metric((1 << 64) - 2, INT32, name="level", kind=INT64))
    assert told(plant.say("hall/NDATA/e1", signed)) == [("hall.e1", "level", -2.0)]


def test_a_rebirth_of_the_node_ends_the_aliases_of_its_devices(plant: Plant) -> None:
    plant.say("hall/NBIRTH/e1", BIRTH)
    plant.say("hall/DBIRTH/e1/d1", message(1, metric(1.0, DOUBLE, name="flow", alias=9)))
    plant.say("hall/NBIRTH/e1", BIRTH)
    late = message(1, metric(2.0, alias=9, kind=DOUBLE))
    assert plant.refused("hall/DDATA/e1/d1", late) == "MISSING"


def born(name: str) -> bytes:
    return message(0, metric(1.0, DOUBLE, name=name, alias=1))


DATA = message(1, metric(2.0, alias=1, kind=DOUBLE))


def test_after_a_crash_each_message_has_the_map_of_its_place(tmp_path: Path) -> None:
    plant = Plant(Births(tmp_path / "sparkplug.db"))
    script = [("NBIRTH", born("old")), ("NDATA", DATA), ("NBIRTH", born("new")), ("NDATA", DATA)]

    def play(plant: Plant, first: int) -> list[tuple[str, str, float]]:
        steps = list(enumerate(script, 5000))[first:]
        return [
            t for seq, (kind, body) in steps for t in told(plant.say(f"hall/{kind}/e1", body, seq))
        ]

    whole = play(plant, 0)
    assert [name for _, name, _ in whole] == ["old", "old", "new", "new"]
    for first in range(4):
        # A rewind inside the process, and another process; both begin anywhere.
        assert play(plant, first) == whole[first:]
        plant = Plant(Births(tmp_path / "sparkplug.db"))
        assert play(plant, first) == whole[first:]
        assert plant.asked == []


@pytest.mark.parametrize("run", range(4))
def test_any_messages_decoded_again_from_anywhere_are_what_they_were(
    tmp_path: Path, run: int
) -> None:
    chance = random.Random(f"again {run}")
    edges = ["NBIRTH/e1", "NDATA/e1", "NDEATH/e1", "NBIRTH/e2", "NDATA/e2"]
    devices = ["DBIRTH/e1/d1", "DDATA/e1/d1"]
    script = []
    for n in range(40):
        topic = chance.choice([*edges, *devices, "NDATA/e1", "DDATA/e1/d1"])
        value, name = float(n), chance.choice(["a", "b", "c"])
        alias = chance.choice([1, 2])
        one = (metric(value, DOUBLE, name=name, alias=alias) if "BIRTH" in topic
               else metric(value, alias=alias, kind=DOUBLE))  # fmt: skip
        payload = bytearray(message(n % 256, one))
        if chance.random() < 0.2:
            payload[chance.randrange(len(payload))] ^= 1 << chance.randrange(8)
        script.append((topic, bytes(payload)))

    def play(plant: Plant, first: int) -> list[Any]:
        made: list[Any] = []
        for seq, (topic, payload) in list(enumerate(script, 5000))[first:]:
            try:
                made.append(told(plant.say(f"hall/{topic}", payload, seq)))
            except Invalid as invalid:
                made.append(invalid.reason)
        return made

    path = tmp_path / "sparkplug.db"
    whole = play(Plant(Births(path)), 0)
    assert {type(one) for one in whole} == {list, str}
    plant = Plant(Births(path))
    for first in chance.sample(range(40), 3):
        assert repr(play(plant, first)) == repr(whole[first:])
        plant = Plant(Births(path))


def test_a_spool_that_counts_anew_does_not_bring_an_old_map_back(tmp_path: Path) -> None:
    plant = Plant(Births(tmp_path / "sparkplug.db"))
    for seq in (900_000, 900_100, 900_200):
        plant.say("hall/NBIRTH/e1", born("old"), seq)
    plant.say("hall/NBIRTH/e1", born("new"), 4096)
    for one in (plant, Plant(Births(tmp_path / "sparkplug.db"))):
        for seq in (4097, 900_050, 900_300):
            assert told(one.say("hall/NDATA/e1", DATA, seq)) == [("hall.e1", "new", 2.0)]


def test_versions_are_bounded(tmp_path: Path) -> None:
    births = Births(tmp_path / "sparkplug.db")
    for seq in range(100):
        births.record("hall/e1", "", seq, (Entry(f"m{seq}", 1, DOUBLE, None),))
    with sqlite3.connect(tmp_path / "sparkplug.db") as db:
        assert db.execute("SELECT count(*) FROM birth").fetchone() == (64,)
    again = Births(tmp_path / "sparkplug.db").at("hall/e1", "", 100)
    assert again is not None
    assert again.aliases[1].name == "m99"


def test_a_full_quota_forgets_the_oldest_births(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.formats.births._MOST_BYTES", 60 * 4096)
    births = Births(tmp_path / "sparkplug.db")
    for seq in range(100):
        entries = tuple(Entry(f"metric {n}", n, DOUBLE, None) for n in range(300))
        births.record(f"hall/e{seq}", "", seq, entries)
    assert (tmp_path / "sparkplug.db").stat().st_size <= 60 * 4096
    again = Births(tmp_path / "sparkplug.db")
    assert again.at("hall/e99", "", 100) is not None
    assert again.at("hall/e0", "", 100) is None


def test_a_file_that_is_no_database_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "sparkplug.db").write_bytes(b"no database" * 1000)
    plant = Plant(Births(tmp_path / "sparkplug.db"))
    plant.say("hall/NBIRTH/e1", born("m"))
    assert told(plant.say("hall/NDATA/e1", DATA)) == [("hall.e1", "m", 2.0)]
    (aside,) = tmp_path.glob("sparkplug.db.corrupt-*")
    assert aside.read_bytes().startswith(b"no database")


def test_a_disk_that_fails_costs_no_reading(tmp_path: Path) -> None:
    plant = Plant(Births(tmp_path / "missing folder" / "sparkplug.db"))
    plant.say("hall/NBIRTH/e1", born("m"))
    assert told(plant.say("hall/NDATA/e1", DATA)) == [("hall.e1", "m", 2.0)]


@pytest.mark.parametrize(
    ("datatype", "kind", "raw", "value"),
    [
        (INT8, INT32, 0xFFFFFFFF, -1.0), (INT8, INT32, 0xFF, -1.0), (INT8, INT32, 127, 127.0),
        (INT8, INT32, 300, "OUT_OF_RANGE"), (INT16, INT32, 0xFFFF8000, -32768.0),
        (INT32, INT32, 0x80000000, -(2.0**31)), (INT32, INT64, (1 << 64) - 1, -1.0),
        (INT64, INT64, (1 << 64) - 1, -1.0), (INT64, INT64, 1 << 63, -(2.0**63)),
        (UINT8, INT32, 255, 255.0), (UINT8, INT32, 256, "OUT_OF_RANGE"),
        (UINT32, INT64, 0xFFFFFFFF, 2.0**32 - 1), (UINT64, INT64, (1 << 64) - 1, 2.0**64),
        (BOOLEAN, BOOLEAN, 1, 1.0), (BOOLEAN, BOOLEAN, 0, 0.0), (FLOAT, FLOAT, 1.5, 1.5),
        (FLOAT, DOUBLE, 1.5, "BAD_PAYLOAD"), (BOOLEAN, INT32, 1, "BAD_PAYLOAD"),
        (DOUBLE, DOUBLE, float("nan"), "NOT_FINITE"), (DOUBLE, DOUBLE, float("-inf"), "NOT_FINITE"),
        (DATETIME, DATETIME, T0, "NOT_A_NUMBER"), (STRING, STRING, "x", "NOT_A_NUMBER"),
        (35, INT32, 1, "BAD_PAYLOAD"),
    ],
)  # fmt: skip
def test_values_are_read_by_their_datatype(
    plant: Plant, datatype: int, kind: int, raw: Any, value: float | str
) -> None:
    data = message(1, metric(raw, datatype, name="m", kind=kind))
    if isinstance(value, str):
        assert plant.refused("hall/NDATA/e1", data) == value
    else:
        assert told(plant.say("hall/NDATA/e1", data)) == [("hall.e1", "m", value)]


def test_null_and_text_are_no_readings_beside_a_number(plant: Plant) -> None:
    data = [metric(1.0, DOUBLE, name="a"), metric(None, DOUBLE, name="b", null=True),
            metric("on", STRING, name="c")]  # fmt: skip
    assert told(plant.say("hall/NDATA/e1", message(1, *data))) == [("hall.e1", "a", 1.0)]


@pytest.mark.parametrize(("code", "quality"), [(0, "BAD"), (192, "GOOD"), (500, "UNCERTAIN")])
def test_the_quality_property_is_the_quality(plant: Plant, code: int, quality: str) -> None:
    properties = {"Quality": field(1, INT32) + field(3, code)}
    (r,) = plant.say("h/NDATA/e", message(1, metric(1.0, DOUBLE, name="a", properties=properties)))
    assert r.quality == quality


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        ("hall/NBIRTH/e1/d1", "NO_ROUTE"), ("hall/DDATA/e1", "NO_ROUTE"), ("hall/X/e1", "NO_ROUTE"),
        ("hall/NDATA", "NO_ROUTE"), ("hall/NDATA/e 1", "BAD_ID"), ("ha ll/NDATA/e1", "BAD_ID"),
        ("hall/NDATA/a__b", "BAD_ID"), ("hall/DDATA/a_/b", "BAD_ID"), ("hall/DDATA/a/_b", "BAD_ID"),
        ("hall/DDATA/a/b/c", "NO_ROUTE"), ("hall/NDATA/e1/", "NO_ROUTE"),
    ],
)  # fmt: skip
def test_a_topic_that_is_none_is_a_reason(plant: Plant, topic: str, reason: str) -> None:
    assert plant.refused(topic, message(1, metric(1.0, DOUBLE, name="m"))) == reason


@pytest.mark.parametrize("topic", ["hall/NCMD/e1", "hall/DCMD/e1/d1", "STATE/scada"])
def test_what_hosts_say_is_no_reading_and_no_dead_letter(plant: Plant, topic: str) -> None:
    assert plant.say(topic, b"\xff{") == []


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (message(0, metric(1.0, DOUBLE)), "BAD_PAYLOAD"),
        (message(0, *[metric(1.0, DOUBLE, name="a", alias=n) for n in (1, 2)]), "BAD_PAYLOAD"),
        (message(0, *[metric(1.0, DOUBLE, name=n, alias=1) for n in "ab"]), "BAD_PAYLOAD"),
        (message(0, *[metric(1.0, DOUBLE, name=n) for n in ("a b", "a_b")]), "BAD_ID"),
        (message(0, metric(1.0, kind=DOUBLE, name="a")), "BAD_PAYLOAD"),
        (message(256, metric(1.0, DOUBLE, name="a")), "BAD_PAYLOAD"),
        (message(0, metric(1.0, DOUBLE, name="a", ts=1 << 62)), "OUT_OF_RANGE"),
        (field(2, b"") * 10_001, "TOO_LARGE"),
        (b"\x0b\x0c", "BAD_PAYLOAD"), (b"\x12\xff\xff\xff\xff\x0f", "BAD_PAYLOAD"),
        (b"\x80" * 11, "BAD_PAYLOAD"), (BIRTH + b"\x2a\x05abcd", "BAD_PAYLOAD"), (b"\x00\x01", "BAD_PAYLOAD"),
    ],
)  # fmt: skip
def test_a_birth_that_cannot_be_understood_is_a_reason(
    plant: Plant, payload: bytes, reason: str
) -> None:
    assert plant.refused("hall/NBIRTH/e1", payload) == reason


@pytest.mark.parametrize(
    ("topic", "words"),
    [
        ("spBv1.0/{site}", {}), ("a/{site}/#", {}), ("spBv1.0/{site}/#", {"site": "x"}),
        ("spBv1.0/Plant 1/#", {}), ("spBv1.0/{site}/#", {"metric": "m"}),
        ("spBv1.0/a/#", {"site": "x y"}),
    ],
)  # fmt: skip
def test_a_wrong_route_is_refused(topic: str, words: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"spBv1|site|metric|id"):
        compile_route(topic, choice.payload(Words("sparkplug")), **words)


def test_a_group_that_is_no_id_gets_its_site_from_the_route() -> None:
    route = compile_route("spBv1.0/Plant 1/#", choice.payload(Words("sparkplug")), site="p1")
    decoder = Decoder("gw", [route], Limits(1 << 18, 1e308))
    (r,) = decoder.readings(LIVE, 4096, (PUBLISH, b"spBv1.0/Plant 1/NBIRTH/e1", BIRTH))
    assert (route.mqtt_filter, r.device_id) == ("spBv1.0/Plant 1/#", "p1.e1")


def test_google_reads_what_we_write_and_we_what_google_writes(plant: Plant) -> None:
    pytest.importorskip("google.protobuf", reason="the oracle is no dependency of ours")
    payload_class: Callable[[], Any] = google_payload()
    ours = payload_class()
    ours.ParseFromString(sparkplug_payload.rebirth(T0))
    assert (ours.timestamp, ours.metrics[0].name) == (T0, "Node Control/Rebirth")
    assert (ours.metrics[0].datatype, ours.metrics[0].boolean_value) == (BOOLEAN, True)
    theirs = payload_class()
    theirs.timestamp, theirs.seq = T0, 0
    for name, datatype, attribute, value in (
        ("i", INT32, "int_value", 0xFFFFFFFE), ("l", INT64, "long_value", (1 << 64) - 3),
        ("f", FLOAT, "float_value", 0.5), ("d", DOUBLE, "double_value", 1e300),
        ("b", BOOLEAN, "boolean_value", True), ("s", STRING, "string_value", "é"),
    ):  # fmt: skip
        one = theirs.metrics.add(name=name, datatype=datatype, timestamp=T0)
        setattr(one, attribute, value)
    readings = plant.say("hall/NBIRTH/e1", theirs.SerializeToString())
    assert [(r.metric, r.value) for r in readings] == [
        ("i", -2.0), ("l", -3.0), ("f", 0.5), ("d", 1e300), ("b", 1.0)]  # fmt: skip


def google_payload() -> Any:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="s.proto", package="s", syntax="proto2")
    types = descriptor_pb2.FieldDescriptorProto
    tables = {
        "Metric": [("name", 1, types.TYPE_STRING), ("alias", 2, types.TYPE_UINT64),
                   ("timestamp", 3, types.TYPE_UINT64), ("datatype", 4, types.TYPE_UINT32),
                   ("is_null", 7, types.TYPE_BOOL), ("int_value", 10, types.TYPE_UINT32),
                   ("long_value", 11, types.TYPE_UINT64), ("float_value", 12, types.TYPE_FLOAT),
                   ("double_value", 13, types.TYPE_DOUBLE), ("boolean_value", 14, types.TYPE_BOOL),
                   ("string_value", 15, types.TYPE_STRING)],
        "Payload": [("timestamp", 1, types.TYPE_UINT64), ("metrics", 2, types.TYPE_MESSAGE),
                    ("seq", 3, types.TYPE_UINT64)],
    }  # fmt: skip
    for name, rows in tables.items():
        table = file.message_type.add(name=name)
        for row, number, kind in rows:
            one = table.field.add(name=row, number=number, type=kind, label=types.LABEL_OPTIONAL)
            if kind == types.TYPE_MESSAGE:
                one.label, one.type_name = types.LABEL_REPEATED, ".s.Metric"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("s.Payload"))
