"""What a job needs to know about the world around it."""

from dataclasses import dataclass, field
from typing import NamedTuple

CHECKPOINT_MS = {
    # An alert is seen once a checkpoint has passed, and somebody waits for it.
    "alerts": 1_500,
    "lake": 10_000,
    "warehouse": 10_000,
    # Of what is few, files are fewer the longer a checkpoint is awaited.
    "archive": 60_000,
}
"""How often a job's checkpoints are taken unless somebody says otherwise."""

TRANSACTION_TIMEOUT_MS = 900_000
"""What a broker allows by default; the connector's own default of an hour exceeds it."""


def transactions(topic_prefix: str) -> str:
    """Return what the names of the alerts job's transactions begin with.

    It stays the same from run to run, so that a new one finds what the former has left open.
    """
    return f"{topic_prefix}alerts-job"


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where a job runs, reads and writes."""

    flink_url: str
    kafka_bootstrap: str
    registry_url: str
    lake_uri: str
    topic_prefix: str = "tidegate."
    python: str | None = None
    """The interpreter of the workers; the cluster's own setting when left out."""

    def topic(self, name: str) -> str:
        """Return the topic's full name."""
        return self.topic_prefix + name


@dataclass(frozen=True, slots=True)
class Database:
    """A database as JDBC reaches it."""

    url: str
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Tuning:
    """What an operator may choose when a job is submitted.

    ``lateness_ms`` is how long a pane stays open behind its device's own clock. Without a
    ``checkpoint_interval_ms`` there are no checkpoints, and the first failure is the last.
    ``state_backend`` is Flink's name of where state lives: hashmap (memory), rocksdb, or None for
    what the cluster has. ``transaction_timeout_ms`` is after how long the brokers give up alerts
    that a job has written and, being down, does not commit; they refuse more than their
    ``transaction.max.timeout.ms``.
    """

    parallelism: int | None = None
    checkpoint_interval_ms: int | None = CHECKPOINT_MS["lake"]
    lateness_ms: int = 5_000
    state_ttl_days: int = 90
    restore_from: str | None = None
    state_backend: str | None = None
    transaction_timeout_ms: int = TRANSACTION_TIMEOUT_MS
    bounded: bool = False
    """Stop at the offsets of the start, for benchmarks and backfills."""


class Start(NamedTuple):
    """What a planned job is started with.

    Attributes:
        job_id: Flink's, 32 hexadecimal digits, chosen before so that it can be remembered before.
        restore_from: the snapshot's URI, or None.
        keeps: leave that snapshot alone; otherwise the job owns it and deletes it in time.
    """

    job_id: str
    restore_from: str | None = None
    keeps: bool = False
