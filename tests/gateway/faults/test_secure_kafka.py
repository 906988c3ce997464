"""T11 towards Kafka, and rights that are taken away: a real broker that checks both.

Oracle, each time: all that mosquitto acknowledged is on Kafka (I3), nothing of it is a dead letter,
and each device's readings are in order (I5).
"""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from edge_load import FastPublisher, Ledger
from edge_rig import ROOT, FakeRegistry, GatewayProcess, Publisher, wait_for
from edge_tls import authority, certificate
from secure_kafka import LETTERS, SECRET, SecureKafka, TokenServer, certificates

from gateway.bench.mosquitto import Mosquitto, binary

pytestmark = pytest.mark.stack

MQTT = 'tidegate_connected{side="mqtt"}'
TAKEN = 'tidegate_config_reloads_total{result="ok",what="kafka"}'

TLS = '[kafka.librdkafka]\n"security.protocol" = "{protocol}"\n"ssl.ca.location" = "{folder}/ca.crt"\n'
MUTUAL = TLS + (
    '"ssl.certificate.location" = "{folder}/gateway.crt"\n'
    '"ssl.key.location" = "{folder}/gateway.key"\n'
)
SCRAM = TLS + (
    '"sasl.mechanism" = "SCRAM-SHA-512"\n"sasl.username" = "scrammer"\n'
    '"sasl.password_file" = "{folder}/password"\n'
)
OAUTH = TLS + (
    '"sasl.mechanism" = "OAUTHBEARER"\n"sasl.oauthbearer.method" = "oidc"\n'
    '"sasl.oauthbearer.client.id" = "oscar"\n'
    '"sasl.oauthbearer.client.secret_file" = "{folder}/password"\n'
    '"sasl.oauthbearer.token.endpoint.url" = "{url}"\n'
)


class Plant:
    """A secured Kafka, a mosquitto, a registry, and the account of what came."""

    def __init__(self, folder: Path, server: str = "server") -> None:
        self.folder = folder
        with ExitStack() as started:
            self.kafka = SecureKafka(folder, server)
            started.callback(self.kafka.stop)
            self.mosquitto = Mosquitto(folder / "mosquitto")
            started.callback(self.mosquitto.stop)
            self.registry = FakeRegistry()
            started.callback(self.registry.stop)
            self.publisher = Publisher(self.mosquitto.port)
            started.callback(self.publisher.stop)
            self.ledger = Ledger(self.kafka.door("PLAINTEXT"))
            started.callback(self.ledger.stop)
            self._started = started.pop_all()
        self.gateways: list[GatewayProcess] = []
        self.acked: set[tuple[str, int]] = set()

    def gateway(self, door: str, words: str, **more: str) -> GatewayProcess:
        protocol = "SSL" if door == "TLS" else "SASL_SSL"
        extra = words.format(folder=self.folder, protocol=protocol, **more)
        kafka, folder = self.kafka.door(door), self.folder / f"gw-{len(self.gateways)}"
        made = GatewayProcess(folder, self.mosquitto.url, kafka, self.registry.url, extra)
        self.gateways.append(made)
        return made

    def send(self, count: int) -> None:
        self.acked.update(self.publisher.readings(count, start=len(self.acked)))

    def missing(self) -> set[tuple[str, int]]:
        seen = self.ledger.seen
        return {(device, seq) for device, seq in self.acked if seq not in seen.get(device, {})}

    def judge(self) -> None:
        wait_for(f"all {len(self.acked)}", lambda: not self.missing(), 60)
        assert self.ledger.in_order()
        assert self.letters() == 0

    def letters(self) -> int:
        from confluent_kafka import Consumer, TopicPartition

        servers = self.kafka.door("PLAINTEXT")
        consumer = Consumer({"bootstrap.servers": servers, "group.id": "letters"})
        end = consumer.get_watermark_offsets(TopicPartition(LETTERS, 0), timeout=20)[1]
        consumer.close()
        return end

    def stop(self) -> None:
        for gateway in self.gateways:
            gateway.end(signal.SIGKILL)
            gateway.log.close()
        self._started.close()


def made(folder: Path, server: str = "server") -> Iterator[Plant]:
    if binary() is None or shutil.which("openssl") is None:
        pytest.skip("no mosquitto or no openssl")
    certificates(folder)
    (folder / "password").write_text(SECRET)
    if server == "expired":
        certificate(folder, server, "/CN=localhost", "subjectAltName=DNS:localhost", days=-1)
    elif server == "elsewhere":
        certificate(folder, server, "/CN=elsewhere", "subjectAltName=DNS:elsewhere.example")
    plant = Plant(folder, server)
    yield plant
    plant.stop()


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    yield from made(tmp_path)


@pytest.fixture(params=["expired", "elsewhere"])
def shady(request: Any, tmp_path: Path) -> Iterator[Plant]:
    yield from made(tmp_path, request.param)


def test_a_client_certificate_is_changed_under_load(plant: Plant) -> None:
    plant.kafka.allow("User:CN=gateway")
    plant.kafka.allow("User:CN=gateway-2")
    gateway = plant.gateway("TLS", MUTUAL)
    gateway.wait_ready()
    plant.send(500)
    reloads = gateway.metric(TAKEN)
    certificate(plant.folder, "gateway", "/CN=gateway-2", "extendedKeyUsage=clientAuth")
    plant.send(500)
    wait_for("the new certificate in use", lambda: gateway.metric(TAKEN) > reloads, 30)
    # What the old one may no longer do shows that it is.
    plant.kafka.revoke("User:CN=gateway")
    plant.send(500)
    plant.judge()


def test_a_certificate_of_another_authority_is_not_let_in(plant: Plant) -> None:
    plant.kafka.allow("User:CN=gateway")
    authority(plant.folder, "other")
    certificate(plant.folder, "gateway", "/CN=gateway", "extendedKeyUsage=clientAuth", ca="other")
    gateway = plant.gateway("TLS", MUTUAL)
    wait_for("a session", lambda: gateway.metric(MQTT) == 1)
    plant.send(200)
    wait_for("told why", lambda: "ssl" in gateway.logged().lower(), 60)
    assert plant.ledger.records == 0
    certificate(plant.folder, "gateway", "/CN=gateway", "extendedKeyUsage=clientAuth")
    gateway.process.send_signal(signal.SIGHUP)
    plant.judge()


def test_a_broker_that_is_another_or_out_of_date_gets_nothing(shady: Plant) -> None:
    shady.kafka.allow("User:CN=gateway")
    gateway = shady.gateway("TLS", MUTUAL)
    wait_for("told why", lambda: "certificate verify failed" in gateway.logged(), 60)
    assert not gateway.ready()
    assert shady.ledger.records == 0


def test_a_wrong_password_waits_for_the_right_one(plant: Plant) -> None:
    plant.kafka.add_user("scrammer", SECRET)
    plant.kafka.allow("User:scrammer")
    (plant.folder / "password").write_text("battery staple")
    gateway = plant.gateway("SCRAM", SCRAM)
    wait_for("told why", lambda: "authentication" in gateway.logged().lower(), 60)
    (plant.folder / "password").write_text(SECRET)
    gateway.process.send_signal(signal.SIGHUP)
    gateway.wait_ready()
    plant.send(500)
    plant.judge()
    for secret in (SECRET, "battery staple"):
        assert secret not in gateway.logged() + gateway.get("/metrics")[1]


def test_a_token_is_fetched_from_its_endpoint(plant: Plant) -> None:
    tokens = TokenServer("oscar", SECRET)
    try:
        plant.kafka.allow("User:oscar")
        gateway = plant.gateway("OAUTH", OAUTH, url=tokens.url)
        gateway.wait_ready()
        plant.send(500)
        plant.judge()
        assert tokens.given
        assert not [given for given in tokens.given if given in gateway.logged()]
    finally:
        tokens.stop()


def test_check_online_names_a_right_that_is_missing(plant: Plant) -> None:
    plant.kafka.add_user("scrammer", SECRET)
    gateway = plant.gateway("SCRAM", SCRAM)
    check = [sys.executable, "-m", "compose.cli", "gateway", "check", "--online", "-c"]

    def told() -> str:
        words = [*check, str(gateway.config)]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    assert "no right to see it" in told()
    plant.kafka.allow("User:scrammer")
    assert "right" not in told()


def outage(plant: Plant, seconds: float, rate: float) -> None:
    """Take the right to write away for so long, under load, and give it back."""
    plant.kafka.allow("User:CN=gateway")
    gateway = plant.gateway("TLS", MUTUAL)
    gateway.wait_ready()
    count = int(rate * (seconds + 5))
    load = FastPublisher(plant.mosquitto, count, rate)
    wait_for("under way", lambda: plant.ledger.records > rate / 2, 30)
    plant.kafka.revoke("User:CN=gateway")
    time.sleep(seconds)  # the fault's own length
    assert plant.ledger.distinct < count
    plant.kafka.allow("User:CN=gateway")
    acknowledged = load.acknowledged(seconds + 60)
    wait_for("all of it", lambda: plant.ledger.distinct >= acknowledged, 90)
    assert plant.ledger.distinct == acknowledged == count
    assert plant.ledger.in_order()
    assert plant.letters() == 0


def test_rights_taken_away_and_given_back(plant: Plant) -> None:
    outage(plant, 5, 500)


@pytest.mark.slow
def test_rights_taken_away_for_a_minute(plant: Plant) -> None:
    outage(plant, 60, 500)
