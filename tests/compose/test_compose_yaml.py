"""Docker's description of the stack and the local one say the same."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import compose
from compose.local.settings import (
    FLINK,
    HEAP_MIB,
    IMAGES,
    KAFKA,
    LOOPBACK,
    MAIN_PORT,
    MOSQUITTO,
    ON_DEMAND,
    OPENSEARCH,
    POSTGRES,
    POSTGRES_PASSWORD,
    POSTGRES_USER,
    REGISTRY,
    S3_ACCESS_KEY,
    S3_SECRET_KEY,
    START_ORDER,
    TASK_MEMORY,
    USUAL_PORTS,
)

DOCKER = Path(compose.__file__).parent / "docker"


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    return yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]


def test_the_parts_are_the_same(described) -> None:
    assert set(described) == set(START_ORDER)


def test_what_only_a_sink_needs_comes_up_only_when_asked_for(described) -> None:
    assert {name for name in described if described[name].get("profiles") == ["sinks"]} == set(
        ON_DEMAND
    )


@pytest.mark.parametrize("part", ["kafka", "mosquitto", "s3", "registry", *ON_DEMAND])
def test_images_are_pinned_and_those_of_the_table(described, part: str) -> None:
    assert described[part]["image"] == IMAGES[part]
    assert re.fullmatch(r"[\w./-]+:\d+\.\d+(\.\d+)?", IMAGES[part])


@pytest.mark.parametrize("part", ["jobmanager", "taskmanager"])
def test_flink_is_built_on_the_image_of_the_table(described, part: str) -> None:
    dockerfile = DOCKER.parents[1] / described[part]["build"]["dockerfile"]
    froms = re.findall(r"^FROM (\S+)", dockerfile.read_text(), re.MULTILINE)
    assert froms == [IMAGES[part]]
    assert described[part]["command"] == part


@pytest.mark.parametrize("part", [part for part in START_ORDER if part != "taskmanager"])
def test_ports_are_the_usual_ones_and_open_on_loopback_only(described, part: str) -> None:
    port = USUAL_PORTS[MAIN_PORT[part]]
    assert described[part]["ports"] == [f"{LOOPBACK}:{port}:{port}"]


@pytest.mark.parametrize("part", START_ORDER)
def test_every_part_says_when_it_is_healthy(described, part: str) -> None:
    assert described[part]["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")


def test_kafka_is_told_the_same(described) -> None:
    env = described["kafka"]["environment"]
    told = {f"KAFKA_{key.upper().replace('.', '_')}": value for key, value in KAFKA.items()}
    # One listener more: programs outside of Docker reach the broker under another address.
    told["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"] += ",HOST:PLAINTEXT"
    assert {key: env.get(key) for key in told} == told
    assert f"-Xmx{HEAP_MIB['kafka']}m" in env["KAFKA_HEAP_OPTS"]


def test_mosquitto_is_told_the_same() -> None:
    lines = (DOCKER / "mosquitto.conf").read_text().splitlines()
    told = dict(
        line.split(" ", 1) for line in lines if line and not line.startswith(("#", "log_type"))
    )
    assert told.pop("listener") == f"{USUAL_PORTS['mqtt']} 0.0.0.0"
    del told["persistence_location"], told["log_dest"]
    assert told == MOSQUITTO


def test_s3_is_told_the_same(described) -> None:
    s3 = described["s3"]
    assert s3["environment"] == {
        "AWS_ACCESS_KEY_ID": S3_ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": S3_SECRET_KEY,
    }
    for flag in ("-bucket=lake", "-master.telemetry=false", f"-s3.port={USUAL_PORTS['s3']}"):
        assert flag in s3["command"]


def test_the_registry_is_told_the_same(described) -> None:
    told = {key: value.replace("file:./", "file:/data/") for key, value in REGISTRY.items()}
    assert described["registry"]["environment"] == told


def test_postgres_is_told_the_same(described) -> None:
    assert described["postgres"]["environment"] == {
        "POSTGRES_USER": POSTGRES_USER,
        "POSTGRES_DB": POSTGRES_USER,
        "POSTGRES_PASSWORD": POSTGRES_PASSWORD,
    }
    told = ["postgres", *(f"-c{key}={value}" for key, value in POSTGRES.items())]
    assert described["postgres"]["command"] == told


def test_opensearch_is_told_the_same(described) -> None:
    env = described["opensearch"]["environment"]
    assert env.items() >= OPENSEARCH.items()
    assert f"-Xmx{HEAP_MIB['opensearch']}m" in env["OPENSEARCH_JAVA_OPTS"]


@pytest.mark.parametrize("part", ["jobmanager", "taskmanager"])
def test_flink_is_told_the_same(described, part: str) -> None:
    lines = described[part]["environment"]["FLINK_PROPERTIES"].splitlines()
    told = dict(line.split(": ", 1) for line in lines)
    memory = TASK_MEMORY.options()
    del memory["taskmanager.cpu.cores"]  # Flink's own start script computes it
    expected = {**FLINK, **memory}
    assert {key: told.get(key) for key in expected} == expected
    assert told["rest.port"] == str(USUAL_PORTS["flink"])
