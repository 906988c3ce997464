"""The one table of the local stack: parts, ports, images, memory and what each server is told.

`compose/docker/compose.yaml` repeats it for Docker; a test holds the two equal.
"""

from dataclasses import dataclass
from typing import Final

LOOPBACK: Final = "127.0.0.1"
BUCKET: Final = "lake"
LAKE_URI: Final = f"s3://{BUCKET}"
CHECKPOINTS: Final = f"{LAKE_URI}/_flink/checkpoints"
SAVEPOINTS: Final = f"{LAKE_URI}/_flink/savepoints"
# The stack listens on loopback only; these keep S3 clients and their signatures honest.
S3_ACCESS_KEY: Final = "tidegate"
S3_SECRET_KEY: Final = "tidegate-local"  # noqa: S105 - of a server on loopback, see above
REGISTRY_PATH: Final = "/apis/ccompat/v7"
# Room for lake, alerts and warehouse with two each, and for archive.
SLOTS: Final = 7

PARTS: Final = ("kafka", "mosquitto", "s3", "registry", "jobmanager", "taskmanager")
# What only a sink needs comes up when it is named, and before the jobs that write to it.
ON_DEMAND: Final = ("postgres", "opensearch")
START_ORDER: Final = (*PARTS[:4], *ON_DEMAND, *PARTS[4:])
ALIASES: Final = {"flink": ("jobmanager", "taskmanager"), "mqtt": ("mosquitto",)}

IMAGES: Final = {
    "kafka": "apache/kafka:4.4.0",
    "mosquitto": "eclipse-mosquitto:2.0.22",
    "s3": "chrislusf/seaweedfs:4.48",
    "registry": "apicurio/apicurio-registry:3.3.3",
    "postgres": "postgres:17.6",
    "opensearch": "opensearchproject/opensearch:2.19.1",
    "jobmanager": "flink:2.3.0-java17",
    "taskmanager": "flink:2.3.0-java17",
}

USUAL_PORTS: Final = {
    "mqtt": 1883,
    "kafka": 9092,
    "kafka_controller": 9093,
    "registry": 8080,
    "registry_management": 9000,
    "s3": 8333,
    "s3_master": 9333,
    "s3_volume": 9340,
    "s3_filer": 8888,
    "s3_admin": 23646,
    "postgres": 5432,
    "opensearch": 9200,
    "opensearch_transport": 9300,
    "flink": 8081,
    "flink_rpc": 6123,
    "console": 8088,
    "gateway_admin": 9464,
}
# SeaweedFS finds the gRPC port of a server by adding this to its HTTP port.
GRPC_OFFSET: Final = 10_000
WITH_GRPC: Final = frozenset({"s3", "s3_master", "s3_volume", "s3_filer", "s3_admin"})
# The port that stands for a part in `status`.
MAIN_PORT: Final = {
    "kafka": "kafka",
    "mosquitto": "mqtt",
    "s3": "s3",
    "registry": "registry",
    "postgres": "postgres",
    "opensearch": "opensearch",
    "jobmanager": "flink",
    "taskmanager": "flink",
}

KAFKA: Final = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    # Each checkpoint of the alerts job has a transactional id of its own, which the default keeps
    # for a week: 600 000 of them. Their transactions are given up after 15 minutes anyway.
    "transactional.id.expiration.ms": "3600000",
    "transaction.remove.expired.transaction.cleanup.interval.ms": "600000",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "auto.create.topics.enable": "false",
    # The default of 128 MiB is for brokers with hundreds of compacted partitions.
    "log.cleaner.dedupe.buffer.size": "16777216",
}

MOSQUITTO: Final = {
    "allow_anonymous": "true",
    "persistence": "true",
    # Without it a kill loses up to 30 minutes of acknowledged messages and all sessions.
    "autosave_interval": "1",
    # The broker acknowledges what it drops beyond this; 0 is safe from 2.1 on only.
    "max_queued_messages": "10000000",
    "max_inflight_messages": "1000",
    "max_packet_size": "1048576",
}

REGISTRY: Final = {
    "APICURIO_STORAGE_KIND": "sql",
    "APICURIO_STORAGE_SQL_KIND": "h2",
    # A commit is on disk before it is answered, so schema ids outlive a kill. The path is
    # relative to the working folder: in a URL of H2 a semicolon in a path would end it.
    "APICURIO_DATASOURCE_URL": "jdbc:h2:file:./registry;WRITE_DELAY=0",
    "APICURIO_DATASOURCE_JDBC_INITIAL_SIZE": "2",
    "APICURIO_DATASOURCE_JDBC_MIN_SIZE": "2",
    "APICURIO_DATASOURCE_JDBC_MAX_SIZE": "20",
}

# Its user, database and password; like the S3 keys, of a server on loopback.
POSTGRES_USER: Final = "tidegate"
POSTGRES_PASSWORD: Final = "tidegate-local"  # noqa: S105 - see above
POSTGRES: Final = {
    "shared_buffers": "64MB",
    "max_connections": "50",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "password_encryption": "scram-sha-256",
}

OPENSEARCH: Final = {
    "cluster.name": "tidegate",
    "discovery.type": "single-node",
    # Else a disk that is nearly full makes every index read-only.
    "cluster.routing.allocation.disk.threshold_enabled": "false",
}

FLINK: Final = {
    "taskmanager.numberOfTaskSlots": str(SLOTS),
    "parallelism.default": "2",
    "table.local-time-zone": "UTC",
    "state.backend.type": "hashmap",
    "execution.checkpointing.incremental": "true",
    "execution.checkpointing.storage": "filesystem",
    "execution.checkpointing.dir": CHECKPOINTS,
    "execution.checkpointing.savepoint-dir": SAVEPOINTS,
    "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
    "restart-strategy.type": "exponential-delay",
    "restart-strategy.exponential-delay.initial-backoff": "500 ms",
    "restart-strategy.exponential-delay.max-backoff": "15 s",
    "restart-strategy.exponential-delay.backoff-multiplier": "2.0",
    "restart-strategy.exponential-delay.reset-backoff-threshold": "1 min",
    "restart-strategy.exponential-delay.jitter-factor": "0.1",
    # A killed process refuses connections: two missed heartbeats find it out in about two
    # seconds. The timeout is for those that hang, and longer, for a busy machine hangs too.
    "heartbeat.interval": "1000 ms",
    "heartbeat.rpc-failure-threshold": "2",
    "heartbeat.timeout": "20 s",
    "cluster.registration.max-timeout": "2 s",
    "cluster.registration.error-delay": "1 s",
    "cluster.registration.refused-registration-delay": "1 s",
    # A page in any browser could otherwise post a jar to the cluster and run it.
    "web.submit.enable": "false",
    "s3.path.style.access": "true",
    "s3.endpoint.region": "us-east-1",
    "s3.access-key": S3_ACCESS_KEY,
    "s3.secret-key": S3_SECRET_KEY,
}


@dataclass(frozen=True, slots=True)
class TaskMemory:
    """A TaskManager's memory in MiB, as Flink divides it."""

    framework_heap: int = 128
    task_heap: int = 896
    framework_off_heap: int = 128
    task_off_heap: int = 64
    network: int = 96
    managed: int = 384
    metaspace: int = 256
    overhead: int = 192

    @property
    def heap(self) -> int:
        """Return what -Xmx gets."""
        return self.framework_heap + self.task_heap

    @property
    def direct(self) -> int:
        """Return what -XX:MaxDirectMemorySize gets."""
        return self.framework_off_heap + self.task_off_heap + self.network

    @property
    def process(self) -> int:
        """Return the bound of the whole process."""
        return self.heap + self.direct + self.managed + self.metaspace + self.overhead

    def options(self) -> dict[str, str]:
        """Return the configuration that Flink's own start script would have computed."""
        memory = "taskmanager.memory"
        return {
            "taskmanager.cpu.cores": str(float(SLOTS)),
            f"{memory}.framework.heap.size": f"{self.framework_heap}m",
            f"{memory}.task.heap.size": f"{self.task_heap}m",
            f"{memory}.framework.off-heap.size": f"{self.framework_off_heap}m",
            f"{memory}.task.off-heap.size": f"{self.task_off_heap}m",
            f"{memory}.network.min": f"{self.network}m",
            f"{memory}.network.max": f"{self.network}m",
            f"{memory}.managed.size": f"{self.managed}m",
            f"{memory}.jvm-metaspace.size": f"{self.metaspace}m",
            f"{memory}.jvm-overhead.min": f"{self.overhead}m",
            f"{memory}.jvm-overhead.max": f"{self.overhead}m",
        }


TASK_MEMORY: Final = TaskMemory()
HEAP_MIB: Final = {
    "kafka": 512,
    "registry": 256,
    "opensearch": 384,
    "jobmanager": 384,
    "taskmanager": TASK_MEMORY.heap,
}


def expand(names: list[str]) -> list[str]:
    """Return part names in start order, aliases resolved.

    Raises:
        ValueError: a name is no part; the message lists them.
    """
    wanted = {part for name in names for part in ALIASES.get(name, (name,))}
    unknown = sorted(wanted - set(START_ORDER))
    if unknown:
        raise ValueError(
            f"no such part: {', '.join(unknown)}; "
            f"parts are {', '.join((*PARTS, *ON_DEMAND, *ALIASES))}"
        )
    return [part for part in START_ORDER if part in wanted]
