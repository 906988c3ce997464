"""`gateway check --online` says what a gateway will find, and how to mend it."""

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from edge_rig import wait_for

from gateway.bench.mosquitto import binary, free_port
from gateway.cli import gateway as cli
from gateway.config import read
from gateway.online import broker, cluster, machine
from gateway.online.finding import Finding

SAMPLES = Path(__file__).parents[2] / "gateway" / "samples"
CONFIG = read(SAMPLES / "gateway.toml", {})
TAKEN = SimpleNamespace(is_failure=False)
VERSION, DROPPED = "$SYS/broker/version", "$SYS/broker/publish/messages/dropped"


def verdicts(found: Any) -> list[tuple[str, str]]:
    return [(finding.verdict, finding.what) for finding in found]


def said(properties: dict[str, int], status: dict[str, str]) -> list[tuple[str, str]]:
    return verdicts(broker.findings(CONFIG, TAKEN, properties, status))


def test_a_broker_that_will_lose_is_warned_of() -> None:
    old = {VERSION: "mosquitto version 2.0.11", DROPPED: "7"}
    assert said({"MaximumPacketSize": 1000, "SessionExpiryInterval": 60}, old) == [
        ("ok", "mqtt"),
        ("warn", "mqtt packets"),
        ("warn", "mqtt session"),
        ("warn", "mqtt version"),
        ("warn", "mqtt drops"),
        ("unseen", "mqtt queue"),
    ]
    good = {VERSION: "mosquitto version 2.1.2", DROPPED: "0"}
    assert said({}, good) == [("ok", "mqtt"), ("ok", "mqtt version"), ("unseen", "mqtt queue")]
    assert ("fail", "mqtt qos") in said({"MaximumQoS": 0}, good)
    assert ("unseen", "mqtt version") in said({}, {})
    refused = SimpleNamespace(is_failure=True)
    assert verdicts(broker.findings(CONFIG, refused, {}, {})) == [("fail", "mqtt")]
    assert verdicts(broker.findings(CONFIG, None, {}, {})) == [("warn", "mqtt")]


def test_settings_of_a_topic_that_delete_or_refuse_readings_are_warned_of() -> None:
    good = {
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": "1048588",
        "min.insync.replicas": "2",
    }
    sent = cluster.sizes(CONFIG)
    assert list(cluster.settings("r", good, sent, is_readings=True)) == []
    bad = {"message.timestamp.type": "CreateTime", "max.message.bytes": "100000"}
    found = list(cluster.settings("r", bad, sent, is_readings=True))
    assert [finding.told.split(" is ")[0] for finding in found] == [
        "message.timestamp.type",
        "max.message.bytes",
        "max.message.bytes",
        "min.insync.replicas",
    ]
    assert all(finding.cure for finding in found)
    fits = sent._replace(payload=1000, batch=100_000)
    (stamp, replicas) = cluster.settings("r", bad, fits, is_readings=True)
    assert {stamp.verdict, replicas.verdict} == {"warn"}


def test_a_folder_in_memory_or_without_room_fails(tmp_path: Path) -> None:
    section = CONFIG.gateway.__class__("g", str(tmp_path))
    config = CONFIG.__class__(**{**_fields(CONFIG), "gateway": section})
    assert ("ok", "fsync") in verdicts(machine.check(config)) or machine.file_system(tmp_path)
    assert list(tmp_path.iterdir()) == []
    spool = CONFIG.spool.__class__(quota=1 << 60)  # type: ignore[arg-type]
    full = CONFIG.__class__(**{**_fields(config), "spool": spool})
    assert ("fail", "disk") in verdicts(machine.check(full))


def _fields(config: Any) -> dict[str, Any]:
    return {field: getattr(config, field) for field in config.__struct_fields__}


@pytest.mark.stack
def test_a_whole_check_disturbs_no_gateway_that_runs(
    edge: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The brokers here say nothing of settings and rights, which is waited for eight times.
    monkeypatch.setattr("gateway.online.cluster._ANSWER_S", 1.0)
    gateway = edge.gateway()
    gateway.wait_ready()
    words = ["check", "-c", str(gateway.config), "--online", "--json"]
    result = CliRunner().invoke(cli, words)
    found = [Finding(**json.loads(line)) for line in result.stdout.splitlines()]
    assert ("ok", "mqtt") in verdicts(found)
    assert ("ok", "kafka") in verdicts(found)
    assert ("ok", "tidegate.readings") in verdicts(found)
    assert ("ok", "tidegate.readings-value") in verdicts(found)
    assert result.exit_code == ("fail" in {finding.verdict for finding in found})
    assert gateway.metric("tidegate_mqtt_connects_total") == 1
    edge.mosquitto.stop()
    assert "refused" in CliRunner().invoke(cli, words).stdout


@pytest.mark.stack
def test_mosquitto_starts_with_the_sample(tmp_path: Path) -> None:
    program = binary()
    if program is None:
        pytest.skip("no mosquitto; apt-get install mosquitto")
    port = free_port()
    config = tmp_path / "mosquitto.conf"
    own = f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n"
    place = f"persistence_location {tmp_path}/\n"
    config.write_text((SAMPLES / "mosquitto.conf").read_text() + own + place)
    with subprocess.Popen(
        [program, "-v", "-c", str(config)], stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr is not None
        lines: list[str] = []
        wait_for(
            "it runs", lambda: lines.append(running.stderr.readline()) or "running" in lines[-1]
        )
        running.terminate()
    assert not any("Error" in line for line in lines), lines
