"""What a broker carries becomes routes that read it, and what they do not read is said."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from golden_cases import CASES, opened
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from gateway import config
from gateway.bench.mosquitto import Mosquitto
from gateway.cli import gateway
from gateway.discovery import listening, report
from gateway.discovery.listening import Heard, Sample
from gateway.discovery.payloads import guessed, time_unit
from gateway.discovery.proposal import Proposal, decoder, proposal, readings
from gateway.discovery.topics import template

GUESSABLE = ("json", "metrics", "number", "mapped-json", "cbor", "senml", "senml-cbor")


def heard(*messages: tuple[str, bytes], every_s: float = 1.0) -> list[Sample]:
    return [Sample(topic, body, at * every_s) for at, (topic, body) in enumerate(messages)]


def routes(found: Proposal) -> list[tuple[str, str]]:
    return [(route.words["topic"], route.words["payload"]) for route in found.routes]


@pytest.mark.parametrize(
    ("topics", "named", "expected"),
    [
        (["sensors/p/d1/temp", "sensors/p/d2/rpm"], False, "sensors/{site}/{device}/{metric}"),
        (["sensors/p1/d/temp", "sensors/p2/d/temp"], False, "sensors/{device}/d/{metric}"),
        (["m/p/d1", "m/p/d2"], True, "m/{site}/{device}"),
        (["a/d1/x/temp", "a/d2/x/temp"], False, "a/{device}/x/{metric}"),
        (["d1/temp", "d2/temp"], False, "{device}/{metric}"),
        (["temp"], False, "{device}"),
        (["w/l1/s1/d1/t", "w/l2/s1/d2/t"], False, "w/{level_b}/{site}/{device}/{metric}"),
    ],
)
def test_levels_get_the_names_that_they_deserve(
    topics: list[str], named: bool, expected: str
) -> None:
    assert template(topics, names_metrics=named, names_devices=False).topic == expected


@pytest.mark.parametrize(
    ("payload", "form", "words"),
    [
        (b"21.5", "number", {}),
        (b'{"value":1,"ts":1764032400000,"unit":"degC"}', "json", {}),
        (b'{"temp":1,"rpm":2,"ts":1764032400000}', "metrics", {}),
        (b'{"val":1,"time":"2026-01-01T00:00:00Z"}', "json",
         {"fields": {"value": "/val", "ts": "/time"}, "ts_unit": "rfc3339"}),
        (b'{"data":{"v":1},"t":1764032400}', "json",
         {"fields": {"value": "/data/v", "ts": "/t"}, "ts_unit": "s"}),
        (b'{"env":{"t/a":1,"h":2},"timestamp":1764032400123}', "json",
         {"metrics": {"env.t_a": "/env/t~1a", "env.h": "/env/h"}, "fields": {"ts": "/timestamp"}}),
    ],
)  # fmt: skip
def test_a_payload_is_known_by_what_is_in_it(
    payload: bytes, form: str, words: dict[str, Any]
) -> None:
    guess = guessed("a/b/c", payload)
    assert not isinstance(guess, str)
    assert (guess.payload, guess.words) == (form, words)


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"", "empty"),
        (b"hello", "text that is neither a number nor JSON"),
        (b"\x01\x02\xff\xfe", "binary of 4 bytes: needs a layout"),
        (b'{"a":"b"}', "a document without a number"),
        (b"[1,2]", "neither a number nor an object"),
    ],
)
def test_what_no_route_could_read_is_said(payload: bytes, why: str) -> None:
    found = proposal(heard(("a/b/c", payload)))
    assert found.routes == []
    assert why in found.unplaced[0].why


def test_times_are_told_by_their_size() -> None:
    assert [time_unit(1_764_032_400 * 10**power) for power in (0, 3, 6, 9)] == [
        "s", "ms", "us", "ns",
    ]  # fmt: skip
    assert time_unit(21.5) is time_unit("noon") is time_unit(True) is None


def test_every_good_golden_case_that_can_be_guessed_is_read_by_what_is_proposed() -> None:
    tried = 0
    for case in CASES:
        if case.parent.name not in GUESSABLE or not good(case):
            continue
        topic = opened(case)[1].decode()
        payload = (case / "payload").read_bytes()
        found = proposal(heard((topic, payload)))
        assert found.unplaced == [], (case.name, found.unplaced)
        (route,) = found.routes
        assert readings(decoder([route.words]), Sample(topic, payload, 0.0)), case.name
        tried += 1
    assert tried > 25


def good(case: Path) -> bool:
    expected = json.loads(next(case.glob("expected*")).read_text())
    return isinstance(expected, list) and bool(expected)


def test_a_batch_that_comes_at_once_is_as_frequent_as_its_own_times_say() -> None:
    payload = b'{"value":%d,"ts":%d}'
    batch = [("m/p/d1/t", payload % (at, 1764032400000 + 500 * at)) for at in range(9)]
    ((metric,),) = [route.metrics for route in proposal(heard(*batch, every_s=1e-4)).routes]
    assert metric.interval_s == 0.5


def test_intervals_ranges_and_units_are_told(tmp_path: Path) -> None:
    body = b'{"value":%d,"unit":"degC"}'
    samples = heard(*[(f"s/p/d{n % 2}/t", body % n) for n in range(20)], every_s=0.5)
    noted = Heard()
    for sample in samples:
        noted.note(sample)
    found = proposal(noted.samples)
    lines = list(report.text(found, noted, 10))
    assert "20 messages in 10 s, 2.0 a second" in lines[0]
    assert any("2 devices" in line and "every 1 s" in line for line in lines), lines
    assert any("0 … 19 degC" in line for line in lines)
    path = tmp_path / "gateway.toml"
    path.write_text(report.toml(found, "mqtt://127.0.0.1:1883", 1024))
    assert [route.topic for route in config.read(path, {}).routes] == ["s/{site}/{device}/{metric}"]


@pytest.mark.parametrize(
    "topic", ["s/p/../x", "s/\u202ep/d/x", "s/p/" + "d" * 60_000 + "/x", "s/{a}/d/x"]
)
def test_hostile_topics_are_shown_escaped_and_become_no_route(topic: str) -> None:
    noted = Heard()
    noted.note(Sample(topic, b"1", 0.0))
    found = proposal(noted.samples)
    text = "\n".join(report.text(found, noted, 1))
    assert "\u202e" not in text
    assert len(text) < 2000
    made = report.toml(found, "mqtt://127.0.0.1", 1024)
    assert tomllib.loads(made)
    assert "\u202e" not in made


def test_a_busy_broker_costs_bounded_memory_and_what_is_left_out_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listening, "_MOST_TOPICS", 3)
    noted = Heard()
    for number in range(100):
        noted.note(Sample(f"s/p/d{number % 10}/t", b"1", number))
    noted.note(Sample("s/p/d0/t", b"x" * (1 << 20), 0))
    assert len(noted.samples) == 30
    assert sum(noted.left_out.values()) == 71
    lines = list(report.text(proposal(noted.samples), noted, 60))
    assert "left out: 70 messages, of more topics than the first 3" in lines


CARRIED = {
    "sensors/plant/d1/temp": b'{"value":1,"ts":1764032400000}',
    "sensors/plant/d2/temp": b'{"value":2,"ts":1764032400000}',
    "machines/plant/m1": b'{"temp":1,"rpm":900}',
    "meters/hall/power": b"17",
    "odd/one": b"\xff\xfe\xfd",
}


def publish_kept(port: int) -> None:
    """Publish what the broker keeps, so that it does not matter who comes first."""
    publisher = Client(CallbackAPIVersion.VERSION2)
    publisher.connect("127.0.0.1", port)
    publisher.loop_start()
    for topic, payload in CARRIED.items():
        publisher.publish(topic, payload, qos=1, retain=True).wait_for_publish(5)
    publisher.disconnect()
    publisher.loop_stop()


@pytest.mark.stack
def test_a_broker_is_listened_to_and_its_configuration_passes_the_check(tmp_path: Path) -> None:
    made = tmp_path / "gateway.toml"
    broker = Mosquitto(tmp_path / "mosquitto")
    try:
        publish_kept(broker.port)
        url = f"mqtt://127.0.0.1:{broker.port}"
        asked = ["discover", "--mqtt-url", url, "--seconds", "2", "--output", str(made)]
        result = CliRunner().invoke(gateway, asked)
    finally:
        broker.stop()
    assert result.exit_code == 0, result.output
    assert "binary of 3 bytes: needs a layout" in result.output
    parsed = config.read(made, {})
    assert {(route.topic, route.payload) for route in parsed.routes} == {
        ("sensors/{site}/{device}/{metric}", "json"),
        ("machines/{site}/{device}", "metrics"),
        ("meters/{device}/{metric}", "number"),
    }
    for topic, payload in list(CARRIED.items())[:4]:
        asked = ["explain", "-c", str(made), topic, payload.decode()]
        assert CliRunner().invoke(gateway, asked).exit_code == 0, topic
    again = CliRunner().invoke(gateway, ["discover", "--output", str(made)])
    assert "exists" in str(again.exception)
