"""The tables that jobs read and write. Descriptors, not SQL text: no value needs quoting."""

from collections.abc import Callable

from pyflink.table import Schema, TableDescriptor

from schemas.contracts import contract_text
from stream.columns import columns
from stream.jobs.settings import Cluster, Tuning

# The reading as Flink sees it, in the contract's order: enums as text, times as milliseconds.
READING_COLUMNS = columns("reading")


def readings(
    cluster: Cluster,
    tuning: Tuning,
    group: str,
    extend: Callable[[Schema.Builder], Schema.Builder] = lambda schema: schema,
) -> TableDescriptor:
    """Return the readings topic; an undecodable record is a row of nulls with its bytes.

    The first start reads from the beginning, later ones from the checkpoint.

    Args:
        cluster: where the topic is.
        tuning: whether to stop at its end.
        group: under whose name the offsets read are committed.
        extend: adds columns and a watermark.
    """
    schema = Schema.new_builder()
    for name, kind in READING_COLUMNS.items():
        schema = schema.column(name, kind)
    schema = (
        schema.column_by_metadata("undecodable", "BYTES", "value.undecodable")
        .column_by_metadata("undecodable_reason", "STRING", "value.reason")
        .column_by_metadata("kts", "TIMESTAMP_LTZ(3)", "timestamp")
        .column_by_metadata("kafka_partition", "INT", "partition")
        .column_by_metadata("kafka_offset", "BIGINT", "offset")
    )
    table = (
        TableDescriptor.for_connector("kafka")
        .schema(extend(schema).build())
        .option("topic", cluster.topic("readings"))
        .option("properties.bootstrap.servers", cluster.kafka_bootstrap)
        .option("properties.group.id", group)
        .option("properties.isolation.level", "read_committed")
        .option("scan.startup.mode", "earliest-offset")
        .option("value.format", "tidegate-avro")
        .option("value.tidegate-avro.url", cluster.registry_url)
        .option("value.tidegate-avro.schema", contract_text("reading"))
    )
    if tuning.bounded:
        table = table.option("scan.bounded.mode", "latest-offset")
    return table.build()


def bytes_sink(
    cluster: Cluster, topic: str, *, transactional_prefix: str | None = None
) -> TableDescriptor:
    """Return a topic that takes keys and values as bytes already encoded.

    Exactly once with a transactional prefix, which must stay the same from run to run and be
    unique on the broker; at least once without.
    """
    table = (
        TableDescriptor.for_connector("kafka")
        .schema(
            Schema.new_builder()
            .column("record_key", "BYTES")
            .column("record_value", "BYTES")
            .build()
        )
        .option("topic", cluster.topic(topic))
        .option("properties.bootstrap.servers", cluster.kafka_bootstrap)
        .option("properties.compression.type", "zstd")
        .option("key.format", "raw")
        .option("key.fields", "record_key")
        .option("value.format", "raw")
        .option("value.fields-include", "EXCEPT_KEY")
    )
    if transactional_prefix is None:
        return table.option("sink.delivery-guarantee", "at-least-once").build()
    return (
        table.option("sink.delivery-guarantee", "exactly-once")
        .option("sink.transactional-id-prefix", transactional_prefix)
        # The connector's default of 1 h exceeds a broker's default maximum of 15 min.
        .option("properties.transaction.timeout.ms", "900000")
        .build()
    )


def lake(cluster: Cluster) -> TableDescriptor:
    """Return the lake's readings: Parquet by day and site, files rolled at checkpoints."""
    schema = Schema.new_builder()
    for name, kind in READING_COLUMNS.items():
        if name not in ("kind", "site"):
            is_time = name in ("ts", "device_ts", "received_ts")
            schema = schema.column(name, "TIMESTAMP_LTZ(3)" if is_time else kind)
    schema = schema.column("kafka_partition", "INT")
    schema = schema.column("kafka_offset", "BIGINT")
    # Partition columns stand last.
    schema = schema.column("dt", "STRING").column("site", "STRING")
    return (
        TableDescriptor.for_connector("filesystem")
        .schema(schema.build())
        .partitioned_by("dt", "site")
        .option("path", f"{cluster.lake_uri}/readings")
        .format("parquet")
        .option("parquet.compression", "ZSTD")
        .option("parquet.utc-timezone", "true")
        .option("parquet.write.int64.timestamp", "true")
        .option("parquet.timestamp.time.unit", "millis")
        .option("sink.rolling-policy.file-size", "128MB")
        .option("sink.rolling-policy.rollover-interval", "1 h")
        .build()
    )
