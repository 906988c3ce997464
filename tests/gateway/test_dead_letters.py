"""Dead letters are listed, shown without danger to a terminal, and sent again when they are mended."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from edge_rig import seen, wait_for
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli import gateway as cli
from gateway.dead_letters import Found, hexdump, printable, told_properties, why_not
from schemas.records import DeadLetter

stack = pytest.mark.stack


def letter(**fields: Any) -> Found:
    known = {"origin": "GATEWAY", "reason": "BAD_JSON", "detail": "d", "payload": b"x", "at": 5}
    return Found(0, 7, DeadLetter(**{"mqtt_topic": "t/a", **known, **fields}))


def test_no_terminal_obeys_what_a_publisher_wrote() -> None:
    assert printable("a\x1b[2J\u202eé\n") == "a\\x1b[2J\\u202eé\\n"
    assert hexdump(b"\x1b[2Jab") == [f"000000  {'1b 5b 32 4a 61 62':47}  .[2Jab"]
    assert hexdump(bytes(5000))[-1] == "… 904 more bytes"


def test_properties_are_told_by_their_names() -> None:
    user = b"\x26\x00\x04line\x00\x02\x1b7"
    assert told_properties(user) == '{"UserProperty": [["line", "\\u001b7"]]}'
    assert told_properties(b"") == "{}"
    assert told_properties(b"\x26\x00") == "2600"


@given(st.binary(max_size=40))
def test_properties_of_rubbish_are_told_too(raw: bytes) -> None:
    assert isinstance(told_properties(raw), str)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, ""),
        ({"mqtt_topic": None}, "from Kafka"),
        ({"mqtt_topic": "t/\\xff"}, "no UTF-8"),
        ({"mqtt_topic": "$tidegate/marker"}, "wrote it itself"),
        ({"detail": "x; the first 9 of 99 bytes are kept"}, "only the beginning"),
    ],
)
def test_what_cannot_be_sent_as_it_was_is_not(fields: dict[str, Any], why: str) -> None:
    assert why in why_not(letter(**fields))
    assert bool(why) == bool(why_not(letter(**fields)))


def told(config: Path, *words: str):
    return CliRunner().invoke(cli, ["dead-letters", words[0], "-c", str(config), *words[1:]])


@stack
def test_a_letter_is_found_and_comes_through_once_the_route_is_mended(edge: Any) -> None:
    gateway = edge.gateway()
    gateway.wait_ready()
    edge.publisher.publish("numbers/plant/d1/x", b'{"value":21.5,"seq":4}')
    edge.publisher.publish("numbers/plant/d2/x", b"\x1b[2J")
    wait_for("both dead", lambda: len(edge.follower.dead) == 2)
    listed = told(gateway.config, "ls")
    assert listed.exit_code == 0, listed.output
    assert listed.stdout.count("NOT_A_NUMBER") == 2
    assert "\x1b" not in listed.stdout
    first, second = (line.split()[0] for line in listed.stdout.splitlines())
    plain = json.loads(told(gateway.config, "ls", "--json", "--limit", "1").stdout)
    assert (plain["id"], plain["reason"]) == (second, "NOT_A_NUMBER")
    shown = told(gateway.config, "show", first).stdout
    assert "000000  7b 22 76 61" in shown
    assert "now              NOT_A_NUMBER" in shown
    assert "it still is NOT_A_NUMBER" in told(gateway.config, "replay", first).stdout

    mended = gateway.config.read_text().replace('payload = "number"', 'payload = "json"')
    gateway.config.write_text(mended)
    gateway.end()
    gateway.start()
    gateway.wait_ready()
    words = ("replay", "--reason", "NOT_A_NUMBER")
    assert "would send 1" in told(gateway.config, *words, "--dry-run").stderr
    sent = told(gateway.config, *words)
    assert "sent 1" in sent.stderr
    assert f"{second:10} it still is BAD_JSON" in sent.stdout
    wait_for("the reading", lambda: ("plant.d1", 4) in seen(edge))
    assert "it was sent again before" in told(gateway.config, *words).stdout


@stack
def test_an_id_that_is_none_and_a_topic_that_is_not_there_are_told(edge: Any) -> None:
    gateway = edge.gateway()
    result = told(gateway.config, "show", "0:99")
    assert "no dead letter 0:99" in str(result.exception)
    replayed = told(gateway.config, "replay", "0:99")
    assert "no dead letter 0:99" in str(replayed.exception)
    assert told(gateway.config, "replay").exit_code == 2
