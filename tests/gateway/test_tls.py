"""MQTT over TLS with client certificates, against a real mosquitto."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from edge_rig import wait_for
from edge_tls import TlsMosquitto, authority, certificate
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from gateway.bench.mosquitto import Mosquitto, binary
from gateway.endpoint import Endpoint
from gateway.mqtt import Connection
from gateway.packets import split
from gateway.sections import MqttSection, broker, mqtt_tls

pytestmark = pytest.mark.stack


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    if binary() is None or shutil.which("openssl") is None:
        pytest.skip("no mosquitto or no openssl")
    authority(tmp_path)
    certificate(tmp_path, "server", "/CN=localhost", "subjectAltName=DNS:localhost")
    certificate(tmp_path, "client", "/CN=gw", "extendedKeyUsage=clientAuth")
    return tmp_path


@pytest.fixture
def server(certificates: Path) -> Iterator[TlsMosquitto]:
    running = TlsMosquitto(certificates)
    yield running
    running.stop()


def connection(folder: Path, server: Mosquitto, host: str, *, cert: bool = True) -> Connection:
    section = MqttSection(
        url=f"mqtts://{host}:{server.port}",
        ca_file=str(folder / "ca.crt"),
        cert_file=str(folder / "client.crt") if cert else "",
        key_file=str(folder / "client.key") if cert else "",
    )
    address = broker(section)
    tls = mqtt_tls(section)
    return Connection(Endpoint(*address, "gw", 30, 60, 100, None, None, tls), ["t/#"], stale=[])


def test_a_burst_arrives_whole_over_tls(certificates: Path, server: TlsMosquitto) -> None:
    link = connection(certificates, server, "localhost")
    wait_for("subscribed", lambda: link.take(0.05, synced=True) or link.subscribed)
    publisher = Client(CallbackAPIVersion.VERSION2)
    publisher.tls_set(
        str(certificates / "ca.crt"),
        str(certificates / "client.crt"),
        str(certificates / "client.key"),
    )
    publisher.connect("localhost", server.port)
    publisher.loop_start()
    sent = [publisher.publish("t/a", b"%d" % i + b"." * (i * 37 % 5000), qos=1) for i in range(500)]
    got: list[bytes] = []
    turns: list[int] = []

    def arrived() -> bool:
        arrivals = link.take(0.05, synced=True)
        if arrivals:
            turns.append(len(arrivals.mids))
            got.extend(p for c in arrivals.chunks for _, _, p in split(c.packets, v5=True))
            link.ack(arrivals.epoch, arrivals.mids)
        return len(got) == 500

    wait_for("all 500", arrived)
    assert [int(p.split(b".")[0]) for p in got] == list(range(500))
    assert len(turns) < 250, "a turn reads every record that is there, not one"
    for info in sent:
        info.wait_for_publish(10)
    publisher.disconnect()
    publisher.loop_stop()
    link.close()


# paho leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_wrong_name_or_no_certificate_does_not_connect(
    certificates: Path, server: TlsMosquitto
) -> None:
    wrong = connection(certificates, server, "127.0.0.1")
    wrong.take(0.05, synced=True)
    assert "certificate" in wrong.cause
    bare = connection(certificates, server, "localhost", cert=False)
    wait_for("a refusal", lambda: bare.take(0.05, synced=True) or bare.cause)
    assert not bare.connected


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_broker_whose_certificate_has_ended_is_not_connected_to(certificates: Path) -> None:
    certificate(certificates, "server", "/CN=localhost", "subjectAltName=DNS:localhost", days=0)
    running = TlsMosquitto(certificates)
    try:
        link = connection(certificates, running, "localhost")
        wait_for("a refusal", lambda: link.take(0.05, synced=True) or link.cause)
        assert "certificate has expired" in link.cause
    finally:
        running.stop()
