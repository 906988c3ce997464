"""A running gateway changes its configuration, its certificates and its secrets; nothing is lost."""

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from edge_rig import (
    ROOT,
    FakeRegistry,
    Follower,
    GatewayProcess,
    MockKafka,
    Publisher,
    seen,
    wait_for,
)
from edge_tls import TlsMosquitto, authority, certificate

from gateway.bench.mosquitto import binary

pytestmark = pytest.mark.stack
CONNECTS = "tidegate_mqtt_connects_total"
NEW_ROUTE = """
[[routes]]
topic = "extra/{site}/{device}/{metric}"
payload = "json"
"""


def hangup(gateway: GatewayProcess, text: str) -> None:
    gateway.config.write_text(text)
    os.kill(gateway.process.pid, signal.SIGHUP)


def reloads(gateway: GatewayProcess, what: str, result: str) -> float:
    return gateway.metric(f'tidegate_config_reloads_total{{result="{result}",what="{what}"}}')


def as_json(seq: int) -> bytes:
    return json.dumps({"value": seq, "ts": int(time.time() * 1000), "seq": seq}).encode()


def as_number(seq: int) -> bytes:
    return str(seq).encode()


class Load:
    """Publishes until told to stop; knows what the broker acknowledged."""

    def __init__(self, publisher: Publisher, topic: str, form: Any = as_json) -> None:
        self._sent: list[Any] = []
        self._stop = threading.Event()
        self._publisher = publisher
        self._topic = topic
        self._form = form
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            payload = self._form(len(self._sent))
            self._sent.append(self._publisher.publish(self._topic, payload))
            time.sleep(0.002)

    def end(self) -> set[tuple[str, float]]:
        """Stop; return device and value of all that was sent."""
        self._stop.set()
        self._thread.join(10)
        for info in self._sent:
            info.wait_for_publish(30)
        _, site, name, _ = self._topic.split("/")
        return {(f"{site}.{name}", float(seq)) for seq in range(len(self._sent))}


def arrived(follower: Follower) -> set[tuple[str, float]]:
    return {(r.device_id, r.value) for r in list(follower.readings) if r.kind == "READING"}


def test_a_swap_under_load_loses_nothing_and_leaves_no_dead_letter(edge: Any) -> None:
    gateway = edge.gateway("[limits]\nmagnitude = 1e9")
    gateway.wait_ready()
    good = gateway.config.read_text()
    parts = good.split("[[routes]]")
    without_numbers = "[[routes]]".join([*parts[:2], *parts[3:]])
    load = Load(edge.publisher, "sensors/plant/a/t")
    dropped = Load(edge.publisher, "numbers/plant/n/t", as_number)
    wait_for("both flow", lambda: len({device for device, _ in arrived(edge.follower)}) == 2)
    # What waits when its route goes is decoded again behind the swap.
    edge.kafka.tell("down")
    stuck = Load(edge.publisher, "numbers/plant/late/t", as_number)
    wait_for("a backlog", lambda: gateway.metric("tidegate_buffer_messages") > 200)
    acked = dropped.end() | stuck.end()
    hangup(gateway, without_numbers + NEW_ROUTE)
    wait_for("the swap", lambda: reloads(gateway, "config", "ok") == 1)
    edge.kafka.tell("up")
    wait_for("the new filter", gateway.ready)
    # In force means that the filter was asked for; it is there once a reading came by it.
    new = Load(edge.publisher, "extra/plant/new/t")
    wait_for("a new one", lambda: any(d == "plant.new" for d, _ in arrived(edge.follower)))
    first = min(v for d, v in arrived(edge.follower) if d == "plant.new")
    hangup(gateway, without_numbers + NEW_ROUTE + '\n[kafka.librdkafka]\n"linger.ms" = 7\n')
    wait_for("another producer", lambda: reloads(gateway, "config", "ok") == 2)
    again = (without_numbers + NEW_ROUTE).replace('keepalive = "5s"', 'keepalive = "7s"')
    hangup(gateway, again)
    wait_for("another connection", lambda: gateway.metric(CONNECTS) == 2)
    hangup(gateway, again.replace("1e9", "2e9"))
    wait_for("other limits", lambda: reloads(gateway, "config", "ok") == 4)
    acked |= load.end() | {(d, v) for d, v in new.end() if v >= first}
    wait_for("all that was acknowledged", lambda: acked <= arrived(edge.follower), 60)
    assert edge.follower.dead == []
    remembered = gateway.folder / "data" / "subscriptions.json"
    wait_for(
        "the dropped filter to be forgotten",
        lambda: (
            set(json.loads(remembered.read_text()))
            == {"sensors/+/+/+", "machines/+/+", "extra/+/+/+"}
        ),
    )
    assert gateway.metric(CONNECTS) == 2, "only the keepalive is worth a connection"
    assert gateway.end() == 0


def test_a_bad_file_or_what_needs_a_restart_leaves_everything_as_it_is(edge: Any) -> None:
    gateway = edge.gateway()
    gateway.wait_ready()
    good = gateway.config.read_text()
    version = config_version(gateway)
    bad = [
        ('"json"', '"jsno"', "routes[0].payload: expected one of"),
        ('id = "gw1"', 'id = "gw2"', ":3: gateway.id: cannot change while it runs"),
        (
            "[registry]",
            '[kafka.librdkafka]\n"linger" = 1\n[registry]',
            'No such configuration property: "linger"',
        ),
        (
            "[registry]",
            '[kafka.librdkafka]\n"sasl.password_file" = "none"\n[registry]',
            "cannot read the secret",
        ),
    ]
    for count, (old, new, told) in enumerate(bad, 1):
        hangup(gateway, good.replace(old, new, 1) + NEW_ROUTE)
        wait_for(f"a refusal of {new}", lambda n=count: reloads(gateway, "config", "refused") == n)
        assert told in gateway.logged()
        assert gateway.logged().count("everything stays as it was") == count
    assert config_version(gateway) == version
    acked = set(edge.publisher.readings(50))
    wait_for("it goes on as before", lambda: acked <= seen(edge))
    assert gateway.metric(CONNECTS) == 1


def config_version(gateway: GatewayProcess) -> str:
    found = re.search(r'tidegate_config_info{version="(\w+)"}', gateway.get("/metrics")[1])
    assert found
    return found[1]


class Tls:
    """A gateway whose broker asks for a certificate."""

    def __init__(self, folder: Path) -> None:
        for name in ("ca", "ca2"):
            authority(folder, name)
        certificate(folder, "server", "/CN=localhost", "subjectAltName=DNS:localhost")
        certificate(folder, "client", "/CN=gw", "extendedKeyUsage=clientAuth")
        certificate(folder, "next", "/CN=gw", "extendedKeyUsage=clientAuth", ca="ca2")
        self.folder = folder
        self.mosquitto = TlsMosquitto(folder)
        self.kafka, self.registry = MockKafka(), FakeRegistry()
        self.follower = Follower(self.kafka.bootstrap)
        (folder / "password").write_text("first-secret\n")
        secret = folder / "kafka-secret"
        secret.write_text("second-secret")
        self.gateway = GatewayProcess(
            folder / "gw",
            f"mqtts://localhost:{self.mosquitto.port}",
            self.kafka.bootstrap,
            self.registry.url,
            f'[kafka.librdkafka]\n"sasl.password_file" = "{secret}"\n[log]\nlevel = "info"',
        )
        text = self.gateway.config.read_text()
        named = {"ca_file": "ca.crt", "cert_file": "client.crt", "key_file": "client.key"}
        lines = [f'{key} = "{folder / name}"' for key, name in named.items()]
        lines += ['username = "gw"', f'password_file = "{folder / "password"}"']
        self.gateway.end(9)
        self.gateway.config.write_text(text.replace("keepalive", "\n".join([*lines, "keepalive"])))
        self.gateway.start()
        self.publisher = Publisher(self.mosquitto.plain_port)

    def stop(self) -> None:
        self.gateway.end(9)
        self.gateway.log.close()
        self.publisher.stop()
        self.follower.stop()
        self.registry.stop()
        self.kafka.stop()
        self.mosquitto.stop()


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[Tls]:
    if binary() is None or shutil.which("openssl") is None:
        pytest.skip("no mosquitto or no openssl")
    made = Tls(tmp_path)
    yield made
    made.stop()


def test_a_rotated_client_certificate_is_used_without_a_restart(tls: Tls) -> None:
    gateway = tls.gateway
    gateway.wait_ready()
    pid = gateway.process.pid
    end = 'tidegate_certificate_expiry_timestamp_seconds{side="mqtt"}'
    assert 0 < gateway.metric(end) - time.time() < 2 * 86_400
    wait_for("a warning", lambda: "the mqtt certificate ends in 2.0 days" in gateway.logged())
    acked = set(tls.publisher.readings(50))
    wait_for("a first part", lambda: acked <= seen(tls))
    # The broker trusts another authority from now on: the certificate in use is worth nothing.
    tls.mosquitto.clients = "ca2"
    tls.mosquitto.stop()
    tls.mosquitto.start()
    wait_for("the old one refused", lambda: "mqtt: not connected" in gateway.get("/readyz")[1])
    wait_for("the publisher back", tls.publisher.client.is_connected)
    acked |= set(tls.publisher.readings(50, start=50))
    (tls.folder / "next.crt").replace(tls.folder / "client.crt")
    time.sleep(0.3)  # As a renewal might write them: one after the other.
    (tls.folder / "next.key").replace(tls.folder / "client.key")
    wait_for("the replaced files", lambda: reloads(gateway, "mqtt", "ok") == 1)
    wait_for("connected with them", gateway.ready, 60)
    acked |= set(tls.publisher.readings(50, start=100))
    wait_for("all that was acknowledged", lambda: acked <= seen(tls))
    assert gateway.process.pid == pid
    assert gateway.process.poll() is None


def test_replaced_kafka_files_get_a_producer_under_load_and_bad_ones_do_not(tls: Tls) -> None:
    gateway = tls.gateway
    gateway.wait_ready()
    load = Load(tls.publisher, "sensors/plant/a/t")
    wait_for("it flows", lambda: arrived(tls.follower))
    place = tls.folder / "kafka-secret"
    place.unlink()
    wait_for("a refusal", lambda: reloads(gateway, "kafka", "refused") == 1)
    place.write_text("third-secret")
    wait_for("the replaced file", lambda: reloads(gateway, "kafka", "ok") == 1)
    before = len(arrived(tls.follower))
    wait_for("it flows on", lambda: len(arrived(tls.follower)) > before)
    acked = load.end()
    wait_for("all that was acknowledged", lambda: acked <= arrived(tls.follower))
    assert tls.follower.dead == []


def test_secrets_are_nowhere_and_nobody_else_may_read_the_data(tls: Tls) -> None:
    gateway = tls.gateway
    gateway.wait_ready()
    table = [
        '"security.protocol" = "sasl_plaintext"',
        '"sasl.mechanism" = "SCRAM-SHA-512"',
        '"sasl.username" = "gw"',
        '"debug" = "security,broker,conf"',
    ]
    text = gateway.config.read_text().replace('level = "info"', 'level = "debug"')
    head = "[kafka.librdkafka]"
    hangup(gateway, text.replace(head, "\n".join([head, *table])))
    wait_for("the swap", lambda: reloads(gateway, "config", "ok") == 1)
    wait_for("librdkafka to talk", lambda: "librdkafka" in gateway.logged())
    process = Path(f"/proc/{gateway.process.pid}")
    commands = [sys.executable, "-m", "compose.cli", "gateway"]
    told = [
        gateway.logged(),
        *(gateway.get(page)[1] for page in ("/metrics", "/readyz", "/version", "/nope")),
        *((process / name).read_bytes().decode() for name in ("cmdline", "environ")),
        *(
            subprocess.run(
                [*commands, *words], cwd=ROOT, capture_output=True, text=True, check=True
            ).stdout
            for words in (["run", "--help"], ["check", "-c", str(gateway.config)])
        ),
        *(
            path.read_bytes().decode("latin-1")
            for path in (gateway.folder / "data").iterdir()
            if path.is_file()
        ),
    ]
    for text in told:
        assert "first-secret" not in text
        assert "second-secret" not in text
    assert (gateway.folder / "data").stat().st_mode & 0o777 == 0o700
    assert {f.stat().st_mode & 0o777 for f in (gateway.folder / "data").iterdir()} == {0o600}
    limits = (process / "limits").read_text()
    assert re.search(r"Max core file size\s+0\s+0", limits)


def test_hostile_topics_end_as_dead_letters_and_leave_the_log_whole(edge: Any) -> None:
    gateway = edge.gateway('[log]\nlevel = "debug"\nformat = "json"')
    gateway.wait_ready()
    hostile = ["..", "\u202etxt", "a b", "", "a" * 60_000, "$x", "\ufeff", "x'; DROP", "%s%n{}"]
    for level in hostile:
        edge.publisher.publish(f"sensors/{level}/d/t", b'{"value": 1}').wait_for_publish(5)
        edge.publisher.publish(f"sensors/plant/{level}/t", b'{"value": 1}').wait_for_publish(5)
    wait_for("all of them", lambda: len(edge.follower.dead) >= 2 * len(hostile))
    assert {letter.reason for letter in edge.follower.dead} <= {"BAD_ID", "NO_ROUTE"}
    assert edge.follower.readings == []
    assert gateway.end() == 0
    for line in gateway.logged().splitlines():
        assert line.isascii()
        assert {"ts", "level", "logger", "message"} <= set(json.loads(line))


class Systemd:
    """Reads what a service notifies it of, one text after the other."""

    def __init__(self, address: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(address))
        self._unread: list[str] = []

    def heard(self, seconds: float = 0.05) -> list[str]:
        """Return what was not returned yet, waiting for more for so long."""
        found, self._unread = self._unread, []
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                found.append(self._socket.recv(500).decode())
            except TimeoutError:
                break
        return found

    def hear(self, word: str) -> None:
        """Read up to and with a text that begins so."""

        def is_heard() -> bool:
            texts = self.heard()
            places = [n for n, text in enumerate(texts, 1) if text.startswith(word)]
            self._unread = texts[places[0] :] if places else []
            return bool(places)

        wait_for(word, is_heard, 15)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Systemd]:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "800000")
    made = Systemd(tmp_path / "notify")
    yield made
    made.close()


def test_systemd_hears_of_the_start_progress_a_reload_and_the_end(
    edge: Any, systemd: Systemd
) -> None:
    gateway = edge.gateway()
    systemd.hear("READY=1")
    systemd.hear("STATUS=ready; 0 messages in the spool")
    systemd.hear("WATCHDOG=1")
    os.kill(gateway.process.pid, signal.SIGHUP)
    systemd.hear("RELOADING=1")
    systemd.hear("READY=1")
    # The commit hangs, as another holds the database's write lock.
    blocker = sqlite3.connect(gateway.folder / "data" / "spool.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    acked = set(edge.publisher.readings(1))
    systemd.heard(1.0)
    assert systemd.heard(1.0).count("WATCHDOG=1") == 0
    blocker.execute("ROLLBACK")
    blocker.close()
    systemd.hear("WATCHDOG=1")
    wait_for("the reading", lambda: acked <= seen(edge))
    assert gateway.end() == 0
    systemd.hear("STOPPING=1")
