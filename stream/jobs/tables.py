"""The tables that jobs read and write. Descriptors, not SQL text: no value needs quoting."""

from collections.abc import Callable

from pyflink.table import Schema, TableDescriptor

from schemas.contracts import ContractName, contract_text
from schemas.topics import subject
from stream.archived import Archived
from stream.columns import columns
from stream.jobs.settings import Cluster, Tuning

# The reading as Flink sees it, in the contract's order: enums as text, times as milliseconds.
READING_COLUMNS = columns("reading")
# Those of a dead letter that are never null.
_OF_LETTERS = frozenset({"origin", "reason", "detail", "payload", "at"})
_ORIGIN = {"kafka_partition": "INT", "kafka_offset": "BIGINT"}


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
    table = _source(cluster, tuning, group, "readings", "reading")
    return table.schema(extend(_with_metadata(schema)).build()).build()


def packed_readings(cluster: Cluster, tuning: Tuning, group: str) -> TableDescriptor:
    """Return the readings topic as the pane operator takes it: the device, and all as one array.

    Kafka's source gives out every column that a table has, so this one has no other.
    """
    schema = Schema.new_builder().column("device_id", READING_COLUMNS["device_id"])
    schema = schema.column_by_metadata("packed", "BYTES", "value.packed")
    table = _source(cluster, tuning, group, "readings", "reading")
    return table.schema(_with_metadata(schema).build()).build()


def topic(
    cluster: Cluster, tuning: Tuning, group: str, name: str, contract: ContractName
) -> TableDescriptor:
    """Return a topic of records of a contract; times are TIMESTAMP(3), UTC.

    An undecodable record is a row of nulls with its bytes and the reason.
    """
    schema = Schema.new_builder()
    for column, kind in columns(contract, "TIMESTAMP(3)").items():
        schema = schema.column(column, kind)
    schema = _with_metadata(schema)
    return _source(cluster, tuning, group, name, contract).schema(schema.build()).build()


def _with_metadata(schema: Schema.Builder) -> Schema.Builder:
    """Add what is wrong with a record, if anything, and when and where Kafka has stored it."""
    return (
        schema.column_by_metadata("undecodable", "BYTES", "value.undecodable")
        .column_by_metadata("undecodable_reason", "STRING", "value.reason")
        .column_by_metadata("kts", "TIMESTAMP_LTZ(3)", "timestamp")
        .column_by_metadata("kafka_partition", "INT", "partition")
        .column_by_metadata("kafka_offset", "BIGINT", "offset")
    )


def _source(
    cluster: Cluster, tuning: Tuning, group: str, name: str, contract: ContractName
) -> TableDescriptor.Builder:
    table = (
        TableDescriptor.for_connector("kafka")
        .option("topic", cluster.topic(name))
        .option("properties.bootstrap.servers", cluster.kafka_bootstrap)
        .option("properties.group.id", group)
        .option("properties.isolation.level", "read_committed")
        .option("scan.startup.mode", "earliest-offset")
        .option("value.format", "tidegate-avro")
        .option("value.tidegate-avro.url", cluster.registry_url)
        .option("value.tidegate-avro.schema", contract_text(contract))
    )
    if tuning.bounded:
        table = table.option("scan.bounded.mode", "latest-offset")
    return table


def dead_letters(cluster: Cluster) -> TableDescriptor:
    """Return the topic of dead letters, written from SQL; at least once."""
    schema = Schema.new_builder()
    for column, kind in columns("dead_letter", "TIMESTAMP(3)").items():
        schema = schema.column(column, f"{kind} NOT NULL" if column in _OF_LETTERS else kind)
    name = cluster.topic("dead-letters")
    return (
        TableDescriptor.for_connector("kafka")
        .schema(schema.build())
        .option("topic", name)
        .option("properties.bootstrap.servers", cluster.kafka_bootstrap)
        .option("properties.compression.type", "zstd")
        # A record may have filled a message of 1 MB by itself, and the letter holds it whole.
        .option("properties.max.request.size", "2097152")
        .option("sink.delivery-guarantee", "at-least-once")
        .option("value.format", "avro-confluent")
        .option("value.avro-confluent.url", cluster.registry_url)
        .option("value.avro-confluent.subject", subject(name))
        .option("value.avro-confluent.schema", contract_text("dead_letter"))
        .build()
    )


def bytes_sink(
    cluster: Cluster, tuning: Tuning, topic: str, *, transactional_prefix: str | None = None
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
        .option("properties.transaction.timeout.ms", str(tuning.transaction_timeout_ms))
        .build()
    )


def lake(cluster: Cluster, name: str = "readings") -> TableDescriptor:
    """Return the lake's readings: Parquet by day and site, files rolled at checkpoints.

    ``name`` is the folder's, beside the lake's own for a benchmark.
    """
    left_out = ("kind", "site")
    kinds = {column: kind for column, kind in READING_COLUMNS.items() if column not in left_out}
    times = dict.fromkeys(("ts", "device_ts", "received_ts"), "TIMESTAMP_LTZ(3)")
    return _files(cluster, name, kinds | times | _ORIGIN)


def archive(cluster: Cluster, table: Archived) -> TableDescriptor:
    """Return a topic's records in the lake, as Parquet like the readings."""
    kinds = {name: kind for name, kind, _ in table.columns}
    return _files(cluster, table.name, kinds | {"kts": "TIMESTAMP_LTZ(3)"} | _ORIGIN)


def _files(cluster: Cluster, name: str, kinds: dict[str, str]) -> TableDescriptor:
    schema = Schema.new_builder()
    # Partition columns stand last.
    for column, kind in (kinds | {"dt": "STRING", "site": "STRING"}).items():
        schema = schema.column(column, kind)
    return (
        TableDescriptor.for_connector("filesystem")
        .schema(schema.build())
        .partitioned_by("dt", "site")
        .option("path", f"{cluster.lake_uri}/{name}")
        .format("parquet")
        .option("parquet.compression", "ZSTD")
        .option("parquet.utc-timezone", "true")
        .option("parquet.write.int64.timestamp", "true")
        .option("parquet.timestamp.time.unit", "millis")
        .option("sink.rolling-policy.file-size", "128MB")
        .option("sink.rolling-policy.rollover-interval", "1 h")
        .build()
    )
