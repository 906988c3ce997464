"""`gateway spool …`, through a gateway that runs and on the file of one that does not."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from edge_fakes import chunk
from edge_rig import seen, wait_for

from gateway.cli import gateway as cli
from gateway.spool import Spool

CONFIG = """
[gateway]
id = "g"
data_dir = "{folder}"
[kafka]
bootstrap_servers = "localhost:9092"
[registry]
url = "http://localhost:8081"
[[routes]]
topic = "s/{{site}}/{{device}}/{{metric}}"
payload = "json"
"""


def told(config: Path, *words: str):
    return CliRunner().invoke(cli, ["spool", words[0], "-c", str(config), *words[1:]])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A spool of two rows that nobody holds."""
    path = tmp_path / "gateway.toml"
    path.write_text(CONFIG.format(folder=tmp_path))
    spool = Spool(tmp_path / "spool.db", 64 << 20, 7)
    spool.append([chunk(b'{"value":1}', b"\xff\x00", topic=b"s/plant/d1/x", ts=1000)])
    spool.append([chunk(b"three", topic=b"t", ts=2000)])
    spool.close()
    return path


def test_the_file_of_a_gateway_that_does_not_run_is_looked_into(config: Path) -> None:
    stats = json.loads(told(config, "stats", "--json").stdout)
    assert (stats["messages"], stats["rows"], stats["oldest_ts"]) == (3, 2, 1000)
    assert stats["classes"] == {"rest": 3}
    assert "quota            1073741824" in told(config, "stats").stdout
    verified = told(config, "verify")
    assert (verified.exit_code, "rows             2" in verified.stdout) == (0, True)
    exported = told(config, "export")
    lines = [json.loads(line) for line in exported.stdout.splitlines()]
    assert [(m["gateway_seq"], m["topic"], m["text"]) for m in lines] == [
        (4096, "s/plant/d1/x", '{"value":1}'),
        (4097, "s/plant/d1/x", None),
        (8192, "t", "three"),
    ]
    assert base64.b64decode(lines[1]["payload"]) == b"\xff\x00"
    assert len(told(config, "export", "--limit", "1").stdout.splitlines()) == 1


def damage(folder: Path) -> None:
    spool = Spool(folder / "spool.db", 64 << 20, 8)
    (blob,) = spool._db.execute("SELECT blob FROM batch WHERE id = 2").fetchone()
    bad = bytearray(blob)
    bad[-1] ^= 1
    spool._db.execute("UPDATE batch SET blob = ? WHERE id = 2", (bytes(bad),))
    spool.close()


def test_a_wrong_bit_is_found_and_named(config: Path) -> None:
    damage(config.parent)
    result = told(config, "verify", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["damage"] == [
        "row 2: 0 of 1 messages readable, damaged from byte 0"
    ]


def test_a_folder_without_a_spool_is_told(tmp_path: Path) -> None:
    path = tmp_path / "g.toml"
    path.write_text(CONFIG.format(folder=tmp_path / "none"))
    assert "no spool there" in str(told(path, "stats").exception)


def test_files_that_were_set_aside_give_what_is_readable(config: Path, tmp_path: Path) -> None:
    damage(tmp_path)
    aside = tmp_path / "spool.db.corrupt-5"
    (tmp_path / "spool.db").rename(aside)
    result = told(config, "salvage", str(aside))
    assert [json.loads(line)["gateway_seq"] for line in result.stdout.splitlines()] == [4096, 4097]
    assert "row 2: 0 of 1 messages readable" in result.stderr
    assert aside.exists()
    (tmp_path / "spool.db.corrupt-6").write_bytes(b"rubbish" * 1000)
    refused = told(config, "salvage", str(tmp_path / "spool.db.corrupt-6"))
    assert "SQLite cannot read it" in str(refused.exception)


@pytest.mark.stack
def test_a_running_gateway_answers_and_takes_back_what_was_salvaged(
    edge: Any, tmp_path: Path
) -> None:
    gateway = edge.gateway()
    gateway.wait_ready()
    edge.kafka.tell("down")
    list(edge.publisher.readings(50))
    wait_for("all in the spool", lambda: held(gateway) >= 50)
    assert told(gateway.config, "verify").exit_code == 0
    assert len(told(gateway.config, "export").stdout.splitlines()) >= 50

    spool = Spool(tmp_path / "spool.db", 64 << 20, 7)
    spool.append([chunk(b'{"value":5,"seq":77}', topic=b"sensors/plant/back/temp", ts=1000)])
    spool.close()
    aside = tmp_path / "spool.db.corrupt-1"
    (tmp_path / "spool.db").rename(aside)
    put = told(gateway.config, "salvage", str(aside), "--into-spool")
    assert put.exit_code == 0, put.output
    assert (aside.exists(), (tmp_path / "spool.db.corrupt-1.salvaged").exists()) == (False, True)
    edge.kafka.tell("up")
    wait_for("the salvaged reading", lambda: ("plant.back", 77) in seen(edge))
    back = next(r for r in edge.follower.readings if r.device_id == "plant.back")
    assert (back.received_ts, back.replayed) == (1000, True)
    assert gateway.end() == 0


def held(gateway: Any) -> int:
    return int(json.loads(told(gateway.config, "stats", "--json").stdout)["messages"])
