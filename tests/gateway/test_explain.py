"""`gateway explain` says what the gateway would do, and does nothing."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import gateway
from gateway.murmur import murmur2, partition
from schemas.codec import decode
from schemas.records import Reading

SAMPLE = Path(__file__).parents[2] / "gateway" / "samples" / "gateway.toml"


def told(*words: str, **more: bytes):
    return CliRunner().invoke(gateway, ["explain", "-c", str(SAMPLE), *words], **more)


# Java's own: https://github.com/apache/kafka, UtilsTest.testMurmur2.
@pytest.mark.parametrize(
    ("key", "hashed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_keys_hash_as_in_java(key: bytes, hashed: int) -> None:
    assert murmur2(key) == hashed & 0xFFFFFFFF
    assert 0 <= partition(key, 12) < 12


def test_a_good_message_is_told_with_route_key_partition_and_bytes() -> None:
    words = ("sensors/plant/d1/temp", '{"value":21.5,"ts":5,"unit":"K"}')
    result = told(*words, "--partitions", "4", "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["tried"] == [{"template": "sensors/{site}/{device}/{metric}", "fits": True}]
    (record,) = said["records"]
    reading = decode(Reading, bytes.fromhex(record["value"]))
    assert (reading.value, reading.ts, reading.unit) == (21.5, 5, "K")
    assert (record["key"], record["partition"]) == ("plant.d1", partition(b"plant.d1", 4))
    assert (said["reason"], said["subject"]) == ("", "tidegate.readings-value")
    text = told(*words).stdout
    assert "key plant.d1" in text
    assert "value        21.5" in text
    assert "id not known yet" in text


def test_a_route_that_samples_says_so(tmp_path: Path) -> None:
    first = SAMPLE.read_text().split("[[routes]]", 1)[0]
    shape = '[routes.shape]\nevery = "10s"\nkeep = "max"\n'
    made = tmp_path / "gateway.toml"
    made.write_text(
        f"{first}[[routes]]\npayload = 'number'\ntopic = 's/{{site}}/{{device}}/{{metric}}'\n{shape}"
    )
    words = ["explain", "-c", str(made), "s/p/d/t", "1"]
    assert "one reading every 10 s is sent: max" in CliRunner().invoke(gateway, words).stdout


def test_a_bad_message_is_told_with_the_reason_and_exit_1() -> None:
    result = told("meters/d7", "nan")
    assert result.exit_code == 1
    assert "dead letter  NOT_FINITE" in result.stdout
    assert [line.split()[0] for line in result.stdout.splitlines()[:3]] == ["no", "no", "fits"]
    assert "NO_ROUTE" in told("elsewhere", "1").stdout
    assert "BAD_ID" in told("sensors/../d1/temp", '{"value":1}').stdout
    assert "RETAINED" in told("meters/d7", "1", "--retained").stdout


def test_the_payload_comes_from_a_file_standard_input_or_hex(tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(b"\x05\x12\xfc\x00\x64")
    for words, given in (
        ((f"@{tmp_path / 'p'}",), b""),
        (("-",), b"\x05\x12\xfc\x00\x64"),
        (("0512fc0064", "--hex"), b""),
    ):
        result = told("tags/plant/d1", *words, input=given)
        assert result.exit_code == 0, result.output
        assert "24.3" in result.stdout
        assert "offset_current" in result.stdout
    assert told("tags/plant/d1", "xyz", "--hex").exit_code == 2
    assert told("tags/plant/d1", f"@{tmp_path / 'none'}").exit_code == 2
