"""Kafka, mosquitto, S3 and the registry: what is run, with which settings, and when it is ready."""

import base64
import os
import shlex
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from compose.local import probes
from compose.local.layout import Layout
from compose.local.settings import (
    BUCKET,
    HEAP_MIB,
    KAFKA,
    LOOPBACK,
    MOSQUITTO,
    REGISTRY,
    REGISTRY_PATH,
    S3_ACCESS_KEY,
    S3_SECRET_KEY,
)
from compose.local.tools import Tools

RUN = "{run}"
"""Stands in an argument for a name that is new at each start of the part."""

_CLUSTER_ID = base64.urlsafe_b64encode(b"tidegate-local-1").decode().rstrip("=")
# Settings of the user's that would reach into servers of ours.
_FOREIGN = (
    "APICURIO_", "AWS_", "CLASSPATH", "FLINK_", "HADOOP_", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS",
    "KAFKA_", "PG", "QUARKUS_", "WEED_", "_JAVA_OPTIONS",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Part:
    """One server: how it is started, how it shows that it is ready, how long both may take.

    ``probe`` gets the name that stood for ``RUN`` and returns None when ready, else why not.
    """

    name: str
    port: int
    argv: tuple[str, ...]
    cwd: Path
    probe: Callable[[str], str | None]
    env: Mapping[str, str] = field(default_factory=dict)
    # Ten times what it takes: for those that hang, not for a busy machine.
    start_bound_s: float = 120.0
    stop_bound_s: float = 10.0
    stop_signal: signal.Signals = signal.SIGTERM


def environment(part: Part) -> dict[str, str]:
    """Return the environment of a part: the user's without what would reconfigure it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return {**kept, **part.env}


def jvm_flags(layout: Layout, heap_mib: int, *, start_heap_mib: int = 64) -> list[str]:
    """Return what all JVMs of the stack are started with."""
    return [
        f"-Xms{start_heap_mib}m",
        f"-Xmx{heap_mib}m",
        "-XX:+ExitOnOutOfMemoryError",
        f"-Djava.io.tmpdir={layout.scratch}",
        "-XX:-UsePerfData",  # else it writes to /tmp
        "-Djava.net.preferIPv4Stack=true",
    ]


def kafka(layout: Layout, tools: Tools, ports: Mapping[str, int]) -> Part:
    """Return the broker, its own controller; its storage is formatted at the first start."""
    data, properties = layout.data("kafka"), layout.conf / "kafka.properties"
    listener = f"PLAINTEXT://{LOOPBACK}:{ports['kafka']}"
    controller = f"{LOOPBACK}:{ports['kafka_controller']}"
    settings = {
        **KAFKA,
        "listeners": f"{listener},CONTROLLER://{controller}",
        "advertised.listeners": listener,
        "controller.quorum.bootstrap.servers": controller,
        "log.dirs": str(data / "log"),
    }
    write(properties, "".join(f"{key}={_escape(value)}\n" for key, value in settings.items()))
    log4j = layout.conf / "kafka-log4j2.properties"
    write(log4j, log4j_settings({"org.apache.kafka": "WARN", "kafka": "WARN", "state": "WARN"}))
    java = [str(tools.java), *jvm_flags(layout, HEAP_MIB["kafka"], start_heap_mib=128)]
    java += ["-XX:+UseSerialGC", f"-Dlog4j2.configurationFile={log4j}"]
    java += ["-cp", f"{tools.jars}/kafka/*"]
    formatting = [*java, "-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool", "format"]
    formatting += ["--standalone", "--ignore-formatted", "-t", _CLUSTER_ID, "-c", str(properties)]
    script = (
        f"[ -f formatted ] || {{ {shlex.join(formatting)} && touch formatted; }} || exit\n"
        f"exec {shlex.join([*java, 'kafka.Kafka', str(properties)])}"
    )
    data.mkdir(parents=True, exist_ok=True)
    return Part(
        name="kafka",
        port=ports["kafka"],
        argv=("/bin/sh", "-c", script),
        cwd=data,
        probe=lambda _: probes.kafka(ports["kafka"]),
        stop_bound_s=20.0,
    )


def mosquitto(layout: Layout, tools: Tools, ports: Mapping[str, int]) -> Part:
    """Return the MQTT broker."""
    data, conf = layout.data("mosquitto"), layout.conf / "mosquitto.conf"
    lines = [f"listener {ports['mqtt']} {LOOPBACK}", "persistence_location ./"]
    lines += [f"{key} {value}" for key, value in MOSQUITTO.items()]
    lines += ["log_dest stderr", "log_type error", "log_type warning", "log_type notice"]
    lines += ["log_timestamp_format %Y-%m-%d %H:%M:%S"]
    if os.geteuid() == 0:
        # Otherwise it becomes another user, who may not write here and outlives a supervisor:
        # the kernel forgets the parent-death signal of a process that changes its user.
        lines += ["user root"]
    write(conf, "\n".join(lines) + "\n")
    data.mkdir(parents=True, exist_ok=True)
    libraries = tools.mosquitto_libraries
    return Part(
        name="mosquitto",
        port=ports["mqtt"],
        argv=(str(tools.mosquitto), "-c", str(conf)),
        cwd=data,
        env={} if libraries is None else {"LD_LIBRARY_PATH": str(libraries)},
        probe=lambda _: probes.mosquitto(ports["mqtt"]),
        start_bound_s=30.0,
    )


def s3(layout: Layout, tools: Tools, ports: Mapping[str, int]) -> Part:
    """Return SeaweedFS with the lake's bucket."""
    data = layout.data("s3")
    data.mkdir(parents=True, exist_ok=True)
    flags = {
        "dir": ".",
        "ip": LOOPBACK,
        "ip.bind": LOOPBACK,
        "bucket": BUCKET,
        # Else they are in /tmp, where another user's of the same name stop the server. Relative,
        # for a socket's path has 107 bytes at most.
        "s3.localSocket": "s3.sock",
        "filer.localSocket": "filer.sock",
        "s3.port": ports["s3"],
        "master.port": ports["s3_master"],
        "volume.port": ports["s3_volume"],
        "filer.port": ports["s3_filer"],
        "admin.port": ports["s3_admin"],
        "admin.ui": "false",
        "webdav": "false",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": 1024,
    }
    return Part(
        name="s3",
        port=ports["s3"],
        argv=(
            str(tools.weed),
            "-logtostderr=true",
            "mini",
            *(f"-{k}={v}" for k, v in flags.items()),
        ),
        cwd=data,
        env={"AWS_ACCESS_KEY_ID": S3_ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": S3_SECRET_KEY},
        probe=lambda _: probes.s3(f"http://{LOOPBACK}:{ports['s3']}"),
    )


def registry(layout: Layout, tools: Tools, ports: Mapping[str, int]) -> Part:
    """Return Apicurio, whose schema ids outlive it."""
    data = layout.data("registry")
    data.mkdir(parents=True, exist_ok=True)
    java = [str(tools.registry_java), *jvm_flags(layout, HEAP_MIB["registry"])]
    java += ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    return Part(
        name="registry",
        port=ports["registry"],
        argv=(*java, "-jar", str(tools.jars / "registry" / "quarkus-run.jar")),
        cwd=data,
        env={
            **REGISTRY,
            "QUARKUS_HTTP_HOST": LOOPBACK,
            "QUARKUS_HTTP_PORT": str(ports["registry"]),
            "QUARKUS_MANAGEMENT_HOST": LOOPBACK,
            "QUARKUS_MANAGEMENT_PORT": str(ports["registry_management"]),
            "QUARKUS_HTTP_ACCESS_LOG_ENABLED": "false",
            "APICURIO_STORAGE_SNAPSHOT_LOCATION": str(layout.scratch),
        },
        probe=lambda _: probes.registry(registry_url(ports)),
    )


def registry_url(ports: Mapping[str, int]) -> str:
    """Return the Confluent API of the registry."""
    return f"http://{LOOPBACK}:{ports['registry']}{REGISTRY_PATH}"


def log4j_settings(levels: Mapping[str, str]) -> str:
    """Return Log4j 2 settings that write to the console, with these levels of loggers."""
    lines = [
        "rootLogger.level = INFO",
        "rootLogger.appenderRef.console.ref = Console",
        "appender.console.name = Console",
        "appender.console.type = CONSOLE",
        "appender.console.layout.type = PatternLayout",
        "appender.console.layout.pattern = %d{yyyy-MM-dd HH:mm:ss,SSS} %-5p %c{1.} %m%n",
    ]
    for name, level in levels.items():
        key = name.replace(".", "_")
        lines += [f"logger.{key}.name = {name}", f"logger.{key}.level = {level}"]
    return "\n".join(lines) + "\n"


def _escape(value: str) -> str:
    """Return a value for a Java properties file, where a backslash begins an escape."""
    return value.replace("\\", "\\\\")


def write(path: Path, text: str) -> None:
    """Write a file, its folders with it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
