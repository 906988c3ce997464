"""Faults on a real gateway process: the oracle is always acknowledged ⊆ what Kafka has."""

import json
import signal
import socket
import subprocess
import time
from typing import Any

import pytest
from edge_rig import seen, slow_disk, wait_for

from gateway.murmur import partition
from schemas.records import reading_key

pytestmark = pytest.mark.stack


def test_a_kill_while_the_commit_hangs_loses_nothing(edge: Any) -> None:
    """I1: the disk is slow, here as another holds the database's write lock."""
    gateway = edge.gateway()
    gateway.wait_ready()
    first = set(edge.publisher.readings(10))
    wait_for("an empty spool", lambda: first <= seen(edge))
    name = "tidegate_mqtt_messages_acknowledged_total"
    wait_for("acknowledged", lambda: gateway.metric(name) == 10)
    with slow_disk(gateway):
        acked = set(edge.publisher.readings(100, start=10))
        received = "tidegate_mqtt_messages_received_total"
        wait_for("all read", lambda: gateway.metric(received) == 110)
        assert gateway.metric(name) == 10
        gateway.end(signal.SIGKILL)
    gateway.start()
    wait_for("all", lambda: acked <= seen(edge))


def test_sequence_numbers_grow_across_restarts(edge: Any) -> None:
    """I7"""
    gateway = edge.gateway()
    last = 0
    epochs = set()
    for start in (0, 100, 200):
        gateway.wait_ready()
        list(edge.publisher.readings(100, start=start, devices=1))
        wait_for("readings", lambda count=start + 100: len(seen(edge)) >= count)
        seqs = [r.gateway_seq for r in edge.follower.readings if r.device_seq >= start]
        assert min(seqs) > last
        last = max(seqs)
        epochs |= {r.gateway_epoch for r in edge.follower.readings}
        gateway.end(signal.SIGKILL)
        gateway.start()
    assert len(epochs) == 3


def test_sigterm_under_load_ends_in_time_and_loses_nothing(edge: Any) -> None:
    gateway = edge.gateway()
    gateway.wait_ready()
    batch = edge.publisher.readings(5000)
    acked = {next(batch) for _ in range(500)}
    began = time.monotonic()
    assert gateway.end(signal.SIGTERM) == 0, gateway.logged()
    assert time.monotonic() - began < 15
    acked.update(batch)
    gateway.start()
    wait_for("the rest", lambda: acked <= seen(edge))
    assert "Traceback" not in gateway.logged()


def test_a_second_gateway_on_the_same_folder_does_not_start(edge: Any) -> None:
    gateway = edge.gateway()
    gateway.wait_ready()
    second = subprocess.run(
        gateway.command,
        check=False,
        cwd=gateway.folder,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert second.returncode == 75
    assert "another gateway is using this data folder" in second.stderr
    assert "Traceback" not in second.stderr
    assert gateway.ready()


def test_a_taken_admin_address_ends_with_69_and_says_so(edge: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        gateway = edge.gateway()
        gateway.end(signal.SIGKILL)
        text = gateway.config.read_text()
        gateway.config.write_text(text.replace(f":{gateway.admin}", f":{port}"))
        gateway.start()
        assert gateway.process.wait(20) == 69
    assert f"[admin] listen 127.0.0.1:{port}: Address already in use" in gateway.logged()


def test_a_bad_configuration_ends_with_78_and_the_line(edge: Any) -> None:
    gateway = edge.gateway('[spool]\nqouta = "1GiB"')
    assert gateway.process.wait(20) == 78
    assert 'spool.qouta: unknown key; did you mean "quota"?' in gateway.logged()


def test_a_quiet_device_gets_markers_also_after_a_kill(edge: Any) -> None:
    gateway = edge.gateway('[markers]\nmin_quiet = "2s"')
    gateway.wait_ready()
    ts = int(time.time() * 1000) - 100_000
    payload = json.dumps({"temperature": 1.5, "ts": ts}).encode()
    edge.publisher.publish("machines/plant/m1", payload)

    def markers() -> list[Any]:
        return [
            r for r in edge.follower.readings if r.kind == "MARKER" and r.device_id == "plant.m1"
        ]

    (first, *_) = wait_for("a marker", markers)
    assert ts + 2000 <= first.ts <= ts + 4000
    assert first.device_ts == first.ts
    gateway.end(signal.SIGKILL)
    known = len(markers())
    gateway.start()
    wait_for("a marker after the restart", lambda: len(markers()) > known)
    last = markers()[-1]
    assert abs((last.ts - ts) - (last.received_ts - ts - 100_000)) < 1500
    readings = [r for r in edge.follower.readings if r.kind == "READING"]
    assert len({reading_key(r) for r in readings}) == 1


def test_keys_are_partitioned_as_java_does(edge: Any) -> None:
    gateway = edge.gateway()
    gateway.wait_ready()
    acked = set(edge.publisher.readings(400, devices=40))
    wait_for("all", lambda: acked <= seen(edge))
    partition_of: dict[bytes, set[int]] = {}
    for key, place in edge.follower.keys:
        partition_of.setdefault(key, set()).add(place)
    assert all(parts == {partition(key, 4)} for key, parts in partition_of.items())
