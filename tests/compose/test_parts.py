import os
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from compose.local import databases, flink, parts
from compose.local.endpoints import endpoints_of
from compose.local.gateway_config import gateway_toml
from compose.local.layout import Layout
from compose.local.settings import (
    ALIASES,
    FLINK,
    HEAP_MIB,
    KAFKA,
    LOOPBACK,
    MOSQUITTO,
    ON_DEMAND,
    OPENSEARCH,
    PARTS,
    POSTGRES,
    TASK_MEMORY,
    USUAL_PORTS,
    expand,
)
from compose.local.sinks_config import sinks_toml
from compose.local.tools import Tools
from compose.sinks import opensearch_of, postgres_of, topics_of

TOOLS = Tools(
    jars=Path("/jars of mine"),
    java=Path("/java home/bin/java"),
    registry_java=Path("/java21/bin/java"),
    weed=Path("/bin/weed"),
    mosquitto=Path("/sbin/mosquitto"),
)
PORTS = {name: port + 1 for name, port in USUAL_PORTS.items()}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "a 'quoted' folder")


def test_all_of_the_stacks_addresses_are_printed_in_order(layout: Layout) -> None:
    lines = endpoints_of(layout, PORTS).env()
    assert lines == [
        "MQTT_URL=mqtt://127.0.0.1:1884",
        "KAFKA_BOOTSTRAP=127.0.0.1:9093",
        "REGISTRY_URL=http://127.0.0.1:8081/apis/ccompat/v7",
        "S3_ENDPOINT=http://127.0.0.1:8334",
        "S3_ACCESS_KEY=tidegate",
        "S3_SECRET_KEY=tidegate-local",
        "LAKE_URI=s3://lake",
        "FLINK_URL=http://127.0.0.1:8082",
        "CONSOLE_URL=http://127.0.0.1:8089",
        f"GATEWAY_CONFIG={layout.gateway_config}",
    ]


def test_mosquitto_gets_the_table_and_listens_on_loopback(layout: Layout) -> None:
    parts.mosquitto(layout, TOOLS, PORTS)
    lines = (layout.conf / "mosquitto.conf").read_text().splitlines()
    assert f"listener 1884 {LOOPBACK}" in lines
    assert {f"{key} {value}" for key, value in MOSQUITTO.items()} <= set(lines)
    assert not any(line.startswith("persistent_client_expiration") for line in lines)
    assert ("user root" in lines) == (os.geteuid() == 0)


def test_kafka_gets_the_table_and_listens_on_loopback(layout: Layout) -> None:
    parts.kafka(layout, TOOLS, PORTS)
    lines = (layout.conf / "kafka.properties").read_text().splitlines()
    settings = dict(line.split("=", 1) for line in lines)
    assert settings.items() >= KAFKA.items()
    assert settings["listeners"] == "PLAINTEXT://127.0.0.1:9093,CONTROLLER://127.0.0.1:9094"
    assert settings["log.dirs"] == f"{layout.data('kafka')}/log"


def test_kafkas_storage_is_formatted_until_that_went_well(layout: Layout, tmp_path: Path) -> None:
    java = tmp_path / "java"
    java.write_text(
        f'#!/bin/sh\necho "$*" >> "{tmp_path}/calls"\ncase "$*" in *format*) [ -f "{tmp_path}/well" ];; esac\n'
    )
    java.chmod(0o700)
    part = parts.kafka(layout, Tools(TOOLS.jars, java, java, java, java), PORTS)
    command = (
        f"cd '{str(part.cwd).replace(chr(39), chr(39) + chr(92) + chr(39) * 2)}' && {part.argv[2]}"
    )

    def calls() -> list[str]:
        os.spawnv(os.P_WAIT, "/bin/sh", ["/bin/sh", "-c", command])
        words = (tmp_path / "calls").read_text().splitlines()
        (tmp_path / "calls").unlink()
        return [re.search(r"kafka\.(tools\.StorageTool|Kafka)", line)[1] for line in words]

    assert calls() == ["tools.StorageTool"]
    (tmp_path / "well").touch()
    assert calls() == ["tools.StorageTool", "Kafka"]
    assert calls() == ["Kafka"]


def test_seaweed_binds_loopback_and_reports_to_nobody(layout: Layout) -> None:
    argv = parts.s3(layout, TOOLS, PORTS).argv
    for flag in ("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false", "-s3.port=8334"):
        assert flag in argv


def test_the_registry_keeps_its_ids_and_binds_both_its_ports_to_loopback(layout: Layout) -> None:
    env = parts.registry(layout, TOOLS, PORTS).env
    assert env["APICURIO_DATASOURCE_URL"] == "jdbc:h2:file:./registry;WRITE_DELAY=0"
    assert (env["QUARKUS_HTTP_HOST"], env["QUARKUS_MANAGEMENT_HOST"]) == (LOOPBACK, LOOPBACK)
    assert (env["QUARKUS_HTTP_PORT"], env["QUARKUS_MANAGEMENT_PORT"]) == ("8081", "9001")


def test_the_users_settings_of_other_servers_do_not_reach_ours(layout: Layout, monkeypatch) -> None:
    monkeypatch.setenv("QUARKUS_HTTP_HOST", "0.0.0.0")
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Xmx1g")
    monkeypatch.setenv("AWS_PROFILE", "work")
    monkeypatch.setenv("LANG", "C.UTF-8")
    env = parts.environment(parts.registry(layout, TOOLS, PORTS))
    assert env["QUARKUS_HTTP_HOST"] == LOOPBACK
    assert not {"JAVA_TOOL_OPTIONS", "AWS_PROFILE"} & env.keys()
    assert env["LANG"] == "C.UTF-8"


def test_flinks_configuration_is_yaml_with_every_setting(layout: Layout) -> None:
    settings = flink.configuration(layout, PORTS, "--add-opens=a --add-opens=b")
    assert yaml.safe_load(flink.config_yaml(settings)) == settings
    assert settings.items() >= FLINK.items()
    assert settings.items() >= TASK_MEMORY.options().items()
    assert settings["s3.endpoint"] == "http://127.0.0.1:8334"
    for key in ("jobmanager.bind-host", "taskmanager.bind-host", "rest.bind-address"):
        assert settings[key] == LOOPBACK


def test_flink_gets_its_own_jars_and_ours_and_no_empty_plugin(
    layout: Layout, tmp_path: Path
) -> None:
    for file in ("lib/ours.jar", "plugins/s3-fs-hadoop/s3.jar", "plugins/empty/README"):
        (tmp_path / "jars" / "flink" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "jars" / "flink" / file).touch()
    tools = Tools(tmp_path / "jars", *[Path("/nonexistent")] * 4)
    for _ in range(2):
        flink.prepare(layout, tools, PORTS)
        (tmp_path / "jars" / "flink" / "lib" / "ours.jar").rename(
            tmp_path / "jars" / "flink" / "lib" / "newer.jar"
        ) if (tmp_path / "jars" / "flink" / "lib" / "ours.jar").exists() else None
    folders = flink.folders(layout)
    names = {link.name for link in Path(folders["FLINK_LIB_DIR"]).iterdir()}
    assert "newer.jar" in names
    assert "ours.jar" not in names
    assert any(name.startswith("flink-dist") for name in names)
    assert any(name.startswith("flink-python") for name in names)
    assert [plugin.name for plugin in Path(folders["FLINK_PLUGINS_DIR"]).iterdir()] == [
        "s3-fs-hadoop"
    ]
    options = yaml.safe_load((Path(folders["FLINK_CONF_DIR"]) / "config.yaml").read_text())[
        "env.java.opts.all"
    ]
    assert options.count("--add-opens") >= 10
    assert flink.flink_env(layout.root).items() >= folders.items()


def test_each_start_of_the_taskmanager_is_told_apart(layout: Layout) -> None:
    argv = flink.taskmanager(layout, TOOLS, PORTS).argv
    assert "taskmanager.resource-id={run}" in argv
    assert argv[argv.index("-cp") + 1].startswith(str(layout.conf))


def test_what_the_jvms_may_take_leaves_room_below_four_gibibytes() -> None:
    # The rest is for Python workers, SeaweedFS, and the JVMs' own needs beside their heaps.
    assert (
        sum(HEAP_MIB[part] for part in PARTS if part in HEAP_MIB)
        - TASK_MEMORY.heap
        + TASK_MEMORY.process
        <= 3300
    )
    assert TASK_MEMORY.process == 2144


def test_the_gateways_configuration_says_where_this_stack_is(layout: Layout) -> None:
    config = tomllib.loads(gateway_toml(layout, endpoints_of(layout, PORTS), PORTS))
    assert config["gateway"]["data_dir"] == str(layout.data("gateway"))
    assert config["mqtt"]["url"] == "mqtt://127.0.0.1:1884"
    assert [(route["topic"], route["payload"]) for route in config["routes"]] == [
        ("sensors/{site}/{device}/{metric}", "json"),
        ("machines/{site}/{device}", "metrics"),
    ]


def test_the_gateway_accepts_its_configuration(layout: Layout) -> None:
    from gateway.config import complaints, read

    layout.root.mkdir()
    layout.gateway_config.write_text(gateway_toml(layout, endpoints_of(layout, PORTS), PORTS))
    assert complaints(read(layout.gateway_config, {})) == []


@pytest.mark.parametrize("folder", ['a "b" \\ c', "tab\tand\x7f", "ünïcode"])
def test_any_path_survives_the_gateways_configuration(tmp_path: Path, folder: str) -> None:
    layout = Layout(tmp_path / folder)
    config = tomllib.loads(gateway_toml(layout, endpoints_of(layout, PORTS), PORTS))
    assert config["gateway"]["data_dir"] == str(layout.data("gateway"))


def test_what_only_a_sink_needs_is_started_when_named_and_before_the_jobs() -> None:
    assert not set(ON_DEMAND) & set(PARTS)
    assert expand(["flink", *ON_DEMAND, "kafka"])[1:-2] == list(ON_DEMAND)


def test_postgres_listens_on_loopback_and_is_no_root(layout: Layout) -> None:
    part = databases.postgres(layout, TOOLS, PORTS)
    script = part.argv[-1]
    assert f"--listen_addresses={LOOPBACK} --port=5433 --unix_socket_directories=" in script
    assert all(f"--{key}={value}" in script for key, value in POSTGRES.items())
    assert (part.argv[0] == "unshare") == (os.geteuid() == 0)
    secret = layout.conf / "postgres-password"
    assert secret.stat().st_mode & 0o077 == 0


def test_the_sinks_configuration_names_this_stacks_servers(layout: Layout) -> None:
    layout.root.mkdir()
    text = sinks_toml(layout, endpoints_of(layout, PORTS), PORTS)
    layout.sinks_config.write_text(text)
    assert postgres_of(layout.sinks_config, {}).port == 5433
    assert opensearch_of(layout.sinks_config, {}).url == "http://127.0.0.1:9201"
    assert topics_of(layout.sinks_config, {}).kafka.bootstrap_servers == "127.0.0.1:9093"


def test_opensearch_listens_on_loopback_and_on_the_port_it_was_given(layout: Layout) -> None:
    argv = databases.opensearch(layout, TOOLS, PORTS).argv
    assert argv[argv.index("-baseHttpPort") + 1] == "9200"
    settings = yaml.safe_load((layout.conf / "opensearch" / "opensearch.yml").read_text())
    assert settings["network.host"] == LOOPBACK
    assert settings["transport.port"] == 9301
    assert settings.keys() >= OPENSEARCH.keys()


def test_parts_come_in_start_order_whatever_was_asked() -> None:
    assert expand(["taskmanager", "kafka"]) == ["kafka", "taskmanager"]
    assert expand(["flink", "mqtt"]) == ["mosquitto", "jobmanager", "taskmanager"]
    assert expand([*PARTS, *ALIASES]) == list(PARTS)


def test_an_unknown_part_is_named_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="no such part: kafak; parts are kafka, mosquitto"):
        expand(["kafak"])
