"""A configuration that would give secrets or readings away is refused, and passes through the rest."""

from pathlib import Path

import pytest
from confluent_kafka import Producer

from gateway import sections
from gateway.config import read
from gateway.sections import (
    Config,
    GatewaySection,
    KafkaSection,
    MqttSection,
    RegistrySection,
    kafka_files,
    mqtt_files,
)
from schemas.config import ConfigError

MINIMAL = """
[gateway]
id = "g"
data_dir = "/tmp/x"
[kafka]
bootstrap_servers = "kafka.example:9093"
{kafka}
[kafka.librdkafka]
"security.protocol" = "sasl_ssl"
{librdkafka}
[registry]
url = "{registry}"
[mqtt]
{mqtt}
[[routes]]
topic = "s/{{site}}/{{device}}/{{metric}}"
payload = "json"
"""


def parsed(
    tmp_path: Path,
    *,
    kafka: str = "",
    librdkafka: str = "",
    mqtt: str = "",
    registry: str = "http://localhost:8081",
) -> sections.Config:
    path = tmp_path / "g.toml"
    path.write_text(
        MINIMAL.format(kafka=kafka, librdkafka=librdkafka, mqtt=mqtt, registry=registry)
    )
    return read(path, {})


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"librdkafka": '"sasl.password" = "hush"'}, 'name that with "sasl.password_file"'),
        ({"librdkafka": '"ssl.key.password" = "hush"'}, "a secret"),
        ({"librdkafka": '"ssl.key.pem" = "hush"'}, "a secret"),
        ({"librdkafka": '"sasl.oauthbearer.client.secret" = "hush"'}, "a secret"),
        ({"librdkafka": '"enable.ssl.certificate.verification" = false'}, "could pose"),
        ({"librdkafka": '"enable.ssl.certificate.verification" = "false"'}, "could pose"),
        ({"librdkafka": '"ssl.endpoint.identification.algorithm" = "none"'}, "could pose"),
        ({"librdkafka": '"enable.sasl.oauthbearer.unsecure.jwt" = true'}, "could pose"),
        ({"registry": "http://u:hush@localhost"}, "go into username and password_file"),
        ({"registry": 'http://localhost"\nusername = "u'}, "go together"),
        (
            {"registry": 'http://registry.example"\nusername = "u"\npassword_file = "p'},
            "a password in plain text",
        ),
        ({"mqtt": 'key_file = "k"'}, "needs cert_file"),
        ({"mqtt": 'password_file = "p"'}, "needs username"),
        ({"mqtt": 'ca_file = "c"'}, "means nothing without TLS"),
    ],
)
def test_what_is_unsafe_is_refused_without_repeating_the_secret(
    tmp_path: Path, given: dict[str, str], told: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parsed(tmp_path, **given)
    assert told in str(caught.value)
    assert "hush" not in str(caught.value)


def test_an_operator_may_allow_it(tmp_path: Path) -> None:
    unsafe = '"enable.ssl.certificate.verification" = false'
    assert parsed(tmp_path, kafka="allow_insecure = true", librdkafka=unsafe)


SCRAM = """
"sasl.mechanism" = "SCRAM-SHA-512"
"sasl.username" = "gateway-1"
"sasl.password_file" = "{secret}"
"""
OIDC = """
"sasl.mechanism" = "OAUTHBEARER"
"sasl.oauthbearer.method" = "oidc"
"sasl.oauthbearer.client.id" = "gateway-1"
"sasl.oauthbearer.client.secret_file" = "{secret}"
"sasl.oauthbearer.token.endpoint.url" = "https://127.0.0.1:1/token"
"""


@pytest.mark.parametrize("table", [SCRAM, OIDC])
def test_scram_and_oauthbearer_pass_through_to_a_librdkafka_that_knows_them(
    tmp_path: Path, table: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hush\n")
    config = parsed(tmp_path, librdkafka=table.format(secret=secret))
    settings = sections.producer_settings(config.kafka)
    assert "hush" in settings.values()
    assert Producer({**settings, "bootstrap.servers": "127.0.0.1:1", "log_level": 0}) is not None
    assert kafka_files(config) == [secret]


def test_the_files_that_may_be_replaced_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    mqtt = MqttSection(password_file="pw", cert_file="/etc/c")
    assert sorted(mqtt_files(mqtt)) == sorted([tmp_path / "pw", Path("/etc/c")])
    table = {"ssl.ca.location": "/ca", "ssl.key.pem_file": "key", "linger.ms": 5}
    config = Config(
        GatewaySection("g", "/x"),
        KafkaSection("k:1", librdkafka=table),
        RegistrySection("https://r", "u", "pw", "/rca"),
    )
    found = kafka_files(config)
    assert found == [tmp_path / "key", tmp_path / "pw", Path("/rca"), Path("/ca")]
