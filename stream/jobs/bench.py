"""Bounded jobs that the stream benchmark times side by side, all on the same topic."""

import json
from collections.abc import Callable, Mapping

from pyflink.table import Schema, StreamTableEnvironment, TableDescriptor

from schemas.contracts import contract_text
from stream.columns import columns
from stream.jobs import alerts, tables
from stream.jobs.environment import client
from stream.jobs.settings import Cluster, Tuning

BARE_SQL = """
INSERT INTO nothing SELECT device_id, metric, COUNT(*), AVG(`value`), MAX(`value`)
FROM TABLE(HOP(TABLE readings, DESCRIPTOR(ts), INTERVAL '30' SECOND, INTERVAL '5' MINUTE))
GROUP BY device_id, metric, window_start, window_end
"""
BARE_LAKE_SQL = """
INSERT INTO lake SELECT
  device_id, metric, unit, gateway_id, gateway_epoch, `value`, ts, device_ts, device_boot,
  device_seq, quality, gateway_seq, part, `repeat`, received_ts, clock, replayed,
  kafka_partition, kafka_offset, DATE_FORMAT(ts, 'yyyy-MM-dd'), site
FROM readings
"""
_HOPPED = {
    "device_id": "STRING",
    "metric": "STRING",
    "n": "BIGINT",
    "mean": "DOUBLE",
    "hi": "DOUBLE",
}
_TOLD = {"bucket": "STRING", "told": "BYTES"}


def submit_hop(name: str, cluster: Cluster, tuning: Tuning) -> str:
    """Submit the bare job: source and HOP 5 min / 30 s, no duplicates removed, late data lost."""

    def build(t_env: StreamTableEnvironment) -> str:
        t_env.create_temporary_table("readings", _stock(cluster))
        t_env.create_temporary_table("nothing", _nothing(_HOPPED))
        return BARE_SQL

    return _submit(name, cluster, tuning, build)


def submit_bare_lake(name: str, cluster: Cluster, tuning: Tuning) -> str:
    """Submit source → Parquet with the lake's columns, beside the lake; nothing is left out."""

    def build(t_env: StreamTableEnvironment) -> str:
        t_env.create_temporary_table("readings", _stock(cluster, placed=True))
        t_env.create_temporary_table("lake", tables.lake(cluster, "bench"))
        return BARE_LAKE_SQL

    return _submit(name, cluster, tuning, build)


def submit_panes(name: str, cluster: Cluster, tuning: Tuning) -> str:
    """Submit source and pane operator, without rules."""

    def build(t_env: StreamTableEnvironment) -> str:
        t_env.create_temporary_table("readings", tables.packed_readings(cluster, tuning, name))
        rows = alerts.panes(t_env, "*=30000", 5_000)
        t_env.create_temporary_view("panes", t_env.from_data_stream(rows))
        t_env.create_temporary_table("nothing", _nothing(_TOLD))
        return "INSERT INTO nothing SELECT bucket, told FROM panes"

    return _submit(name, cluster, tuning, build)


def _submit(
    name: str,
    cluster: Cluster,
    tuning: Tuning,
    build: Callable[[StreamTableEnvironment], str],
) -> str:
    streams, t_env = client(name, cluster, tuning)
    insert = build(t_env)
    statements = t_env.create_statement_set()
    statements.add_insert_sql(insert)
    statements.attach_as_datastream()
    return str(streams.execute_async(f"tidegate-{name}").get_job_id())


def _stock(cluster: Cluster, *, placed: bool = False) -> TableDescriptor:
    """Return the readings topic as Flink alone reads it, all columns of the contract.

    ``placed`` adds partition and offset. Its format takes the contract only for columns of exactly
    the contract's types.
    """
    contract = contract_text("reading")
    needed = {
        field["name"] for field in json.loads(contract)["fields"] if "null" not in field["type"]
    }
    schema = Schema.new_builder()
    for name, kind in columns("reading", "TIMESTAMP(3)").items():
        schema = schema.column(name, f"{kind} NOT NULL" if name in needed else kind)
    schema = schema.column_by_metadata("kts", "TIMESTAMP(3)", "timestamp")
    if placed:
        schema = schema.column_by_metadata("kafka_partition", "INT", "partition")
        schema = schema.column_by_metadata("kafka_offset", "BIGINT", "offset")
    schema = schema.watermark("ts", "LEAST(ts, kts) - INTERVAL '5' SECOND")
    return (
        TableDescriptor.for_connector("kafka")
        .schema(schema.build())
        .option("topic", cluster.topic("readings"))
        .option("properties.bootstrap.servers", cluster.kafka_bootstrap)
        .option("properties.group.id", "bench-hop")
        .option("properties.isolation.level", "read_committed")
        .option("scan.startup.mode", "earliest-offset")
        .option("scan.bounded.mode", "latest-offset")
        .option("value.format", "avro-confluent")
        .option("value.avro-confluent.url", cluster.registry_url)
        .option("value.avro-confluent.schema", contract)
        .build()
    )


def _nothing(made: Mapping[str, str]) -> TableDescriptor:
    schema = Schema.new_builder()
    for name, kind in made.items():
        schema = schema.column(name, kind)
    return TableDescriptor.for_connector("blackhole").schema(schema.build()).build()
