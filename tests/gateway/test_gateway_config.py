"""The gateway's configuration: the sample is complete, mistakes are refused before they cost data."""

import re
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from gateway import sections
from gateway.cli import gateway
from gateway.config import read, warnings
from gateway.sections import Config, KafkaSection, RouteSection
from schemas.config import ConfigError, parse

SAMPLE = Path(sections.__file__).parent / "samples" / "gateway.toml"
MINIMAL = """
[gateway]
id = "g"
data_dir = "/tmp/x"
[kafka]
bootstrap_servers = "localhost:9092"
[registry]
url = "http://localhost:8081"
[[routes]]
topic = "s/{site}/{device}/{metric}"
payload = "json"
"""


def refused(tmp_path: Path, text: str) -> str:
    path = tmp_path / "g.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read(path, {})
    return str(caught.value)


def test_the_sample_shows_every_key_with_its_default() -> None:
    sample = read(SAMPLE, {})
    minimal = parse(MINIMAL, Config, name="m", env={})
    for name in ("mqtt", "spool", "limits", "markers", "admin", "log", "clock"):
        assert getattr(sample, name) == getattr(minimal, name), name
    assert sample.kafka == KafkaSection("127.0.0.1:9092")
    text = SAMPLE.read_text()
    for section in msgspec.structs.fields(Config):
        body = text.split(f"[{section.name}]")[-1].split("\n[")[0]
        kind = RouteSection if section.name == "routes" else section.type
        where = text.split("[[routes]]", 1)[1] if kind is RouteSection else body
        for field in msgspec.structs.fields(kind):
            shown = re.search(rf"^({field.name} = |\[routes.{field.name}\])", where, re.MULTILINE)
            assert shown or field.name in ("librdkafka", "decoder"), (section.name, field.name)


@pytest.mark.parametrize("path", sorted(SAMPLE.parent.glob("*.toml")), ids=lambda p: p.name)
def test_every_sample_passes_the_check(path: Path) -> None:
    result = CliRunner().invoke(gateway, ["check", "-c", str(path)])
    assert result.exit_code == 0, result.output
    assert "ok, " in result.stdout


def test_check_prints_ok_and_warns_of_bare_numbers() -> None:
    result = CliRunner().invoke(gateway, ["check", "-c", str(SAMPLE)])
    assert result.exit_code == 0, result.output
    assert "ok, 8 routes" in result.stdout
    assert "routes[2] meters/{device}: a bare number has neither time nor sequence" in result.stderr
    assert warnings(read(SAMPLE, {}))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('id = "g"', 'id = "g g"', "g.toml:3: gateway.id: expected must match"),
        (
            "localhost:9092",
            "kafka.example:9092",
            "g.toml:6: kafka.bootstrap_servers: plain text to kafka.example",
        ),
        ("localhost:9092", "localhost", "g.toml:6: kafka.bootstrap_servers: expected host:port"),
        (
            "[registry]",
            '[mqtt]\nurl = "mqtt://broker.example"\n[registry]',
            "g.toml:8: mqtt.url: plain text to broker",
        ),
        ("[registry]", '[mqtt]\nurl = "tcp://x"\n[registry]', "expected mqtt://host:port"),
        ("[registry]", '[mqtt]\nurl = "mqtt://u:p@localhost"\n[registry]', "credentials go into"),
        ("[registry]", "[mqtt]\nqos = 2\n[registry]", "mqtt.qos: unknown key"),
        (
            "[registry]",
            "[kafka.librdkafka]\nacks = 1\n[registry]",
            "g.toml:8: kafka.librdkafka.acks: must stay all",
        ),
        (
            "[registry]",
            '[kafka.librdkafka]\n"message.timeout.ms" = 300000\n[registry]',
            "g.toml:8: kafka.librdkafka",
        ),
        (
            "[registry]",
            '[spool]\nquota = "1MiB"\n[registry]',
            "spool.quota: expected 16MiB or more",
        ),
        ("[registry]", '[admin]\nlisten = "9464"\n[registry]', "admin.listen: expected host:port"),
        ("http://localhost:8081", "localhost", "registry.url: expected http"),
        ("{device}", "device", 'g.toml:10: routes[0].topic: needs "{device}"'),
        ("{site}", "+", "write a wildcard as one whole level"),
        ("s/{site}", "$SYS/{site}", "the broker's own"),
        ("s/{site}", "s/{device}", "names a wildcard twice"),
        ("s/{site}", "s/plant", "needs its site once"),
        ("{metric}", "m", "needs its metric once"),
        ('payload = "json"', 'payload = "metrics"', "needs no metric"),
        ('payload = "json"', 'payload = "jsno"', 'did you mean "json"'),
    ],
)
def test_a_mistake_is_refused_with_its_line(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in MINIMAL
    assert told in refused(tmp_path, MINIMAL.replace(old, new)), refused(
        tmp_path, MINIMAL.replace(old, new)
    )


def test_a_configuration_needs_a_route(tmp_path: Path) -> None:
    assert "at least one [[routes]]" in refused(
        tmp_path, MINIMAL.split("[[routes]]", maxsplit=1)[0]
    )


def test_plain_text_to_another_machine_can_be_allowed(tmp_path: Path) -> None:
    path = tmp_path / "g.toml"
    path.write_text(MINIMAL.replace("localhost:9092", "kafka:9092"))
    assert read(path, {"TIDEGATE__KAFKA__ALLOW_INSECURE": "true"}).kafka.allow_insecure


def test_a_secret_of_librdkafka_comes_from_its_file(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("hush\n")
    section = KafkaSection("k:1", librdkafka={"sasl.password_file": str(secret), "linger.ms": 20})
    settings = sections.producer_settings(section)
    assert settings["sasl.password"] == "hush"
    assert "sasl.password_file" not in settings
    assert (settings["linger.ms"], settings["message.timeout.ms"], settings["acks"]) == (
        20,
        0,
        "all",
    )
    assert settings["partitioner"] == "murmur2_random"


def test_ports_default_to_the_registered_ones() -> None:
    assert sections.broker(sections.MqttSection(url="mqtts://h")) == ("h", 8883)
    assert sections.broker(sections.MqttSection(url="mqtt://[::1]")) == ("::1", 1883)
