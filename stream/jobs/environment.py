"""A client's execution environment for a session cluster."""

from typing import NamedTuple
from urllib.parse import urlsplit

from pyflink.common import Configuration
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.java_gateway import get_gateway
from pyflink.table import EnvironmentSettings, StreamTableEnvironment

from stream.jobs.buckets import MOST_PIECES
from stream.jobs.settings import Cluster, Start, Tuning

# The client lists the lake's folders while somebody waits; the defaults try for many minutes.
_S3_BOUNDS = {
    "s3.attempts.maximum": "2",
    "s3.retry.limit": "2",
    "s3.connection.establish.timeout": "5000",
}


class Client(NamedTuple):
    """The two faces of one environment: tables are built on one, the job leaves by the other."""

    streams: StreamExecutionEnvironment
    tables: StreamTableEnvironment


def client(name: str, cluster: Cluster, tuning: Tuning) -> Client:
    """Return an environment whose jobs go to the cluster's REST endpoint."""
    gateway = get_gateway()
    target = urlsplit(cluster.flink_url)
    environment = gateway.jvm.org.apache.flink.streaming.api.environment
    remote = environment.StreamExecutionEnvironment.createRemoteEnvironment(
        target.hostname,
        target.port or 80,
        _configuration(name, cluster, tuning)._j_configuration,  # noqa: SLF001
        gateway.new_array(gateway.jvm.java.lang.String, 0),
    )
    settings = EnvironmentSettings.in_streaming_mode()
    return _client(StreamExecutionEnvironment(remote), settings, tuning)


def within(name: str, cluster: Cluster, tuning: Tuning) -> Client:
    """Return the environment of a program that Flink itself runs, on the cluster it is run for."""
    streams = StreamExecutionEnvironment.get_execution_environment(
        _configuration(name, cluster, tuning)
    )
    return _client(streams, EnvironmentSettings.in_streaming_mode(), tuning)


def here(name: str, cluster: Cluster, tuning: Tuning, *, batch: bool) -> Client:
    """Return an environment whose jobs run within this process and end with it."""
    configuration = _configuration(name, cluster, tuning)
    configuration.set_string("execution.target", "local")
    # The small cluster is no plug-in's home: without this it knows no s3://.
    flink = get_gateway().jvm.org.apache.flink
    stored = flink.configuration.GlobalConfiguration.loadConfiguration()
    for key, value in _S3_BOUNDS.items():
        stored.setString(key, value)
    plugins = flink.core.plugin.PluginUtils.createPluginManagerFromRootFolder(stored)
    flink.core.fs.FileSystem.initialize(stored, plugins)
    if batch:
        settings = EnvironmentSettings.in_batch_mode()
    else:
        settings = EnvironmentSettings.in_streaming_mode()
    streams = StreamExecutionEnvironment.get_execution_environment(configuration)
    return _client(streams, settings, tuning)


def _client(
    streams: StreamExecutionEnvironment, settings: EnvironmentSettings, tuning: Tuning
) -> Client:
    if tuning.parallelism is not None:
        streams.set_parallelism(tuning.parallelism)
    tables = StreamTableEnvironment.create(
        stream_execution_environment=streams, environment_settings=settings
    )
    return Client(streams, tables)


def _configuration(name: str, cluster: Cluster, tuning: Tuning) -> Configuration:
    options = {
        "pipeline.name": f"tidegate-{name}",
        "table.local-time-zone": "UTC",
        # Set once, before the first checkpoint: a key's group depends on it for ever.
        "pipeline.max-parallelism": "720",
        # Rows go from operator to operator as they are: ours keep none without copying it.
        "pipeline.object-reuse": "true",
        # Open readings repeat their names: a third of the bytes to hash and send.
        "execution.checkpointing.snapshot-compression": "true",
        # A bundle's end writes back what has changed, a call for each bucket, and a checkpoint
        # waits for it: large enough to share that cost, small enough for a checkpoint of seconds.
        # Alerts wait for the checkpoint anyway, which ends the bundle.
        "python.fn-execution.bundle.size": "3000",
        "python.fn-execution.bundle.time": "1000",
        "python.map-state.read-cache-size": str(MOST_PIECES),
        "python.map-state.iterate-response-batch-size": str(MOST_PIECES),
    }
    options |= _checkpoints(tuning.checkpoint_interval_ms)
    if tuning.state_backend is not None:
        options["state.backend.type"] = tuning.state_backend
        options["execution.checkpointing.incremental"] = "true"
    if cluster.python is not None:
        options["python.executable"] = cluster.python
        options["python.client.executable"] = cluster.python
    return _as_configuration(options | _restored(tuning.restore_from, "CLAIM"))


def start_configuration(start: Start) -> Configuration:
    """Return what is added to an environment's configuration when its job is started."""
    # The REST client submits under this id instead of one of its own.
    options = {"$internal.pipeline.job-id": start.job_id}
    claim = "NO_CLAIM" if start.keeps else "CLAIM"
    return _as_configuration(options | _restored(start.restore_from, claim))


def _restored(snapshot: str | None, claim: str) -> dict[str, str]:
    if snapshot is None:
        return {}
    return {
        "execution.state-recovery.path": snapshot,
        "execution.state-recovery.claim-mode": claim,
    }


def _as_configuration(options: dict[str, str]) -> Configuration:
    configuration = Configuration()
    for key, value in options.items():
        configuration.set_string(key, value)
    return configuration


def _checkpoints(interval_ms: int | None) -> dict[str, str]:
    if interval_ms is None:
        return {"restart-strategy.type": "none"}
    return {
        "execution.checkpointing.interval": f"{interval_ms} ms",
        "execution.checkpointing.min-pause": f"{interval_ms // 4} ms",
        "execution.checkpointing.timeout": "5 min",
        "execution.checkpointing.tolerable-failed-checkpoints": "10",
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
    }
