"""Job `warehouse`: windows, alerts and devices into PostgreSQL, each key one row.

    windows ─┐              ┌─▶ upserts in batches, flushed before each checkpoint
    alerts  ─┼─ per topic ──┤
    devices ─┘              └─▶ dead-letters: what does not decode or does not fit

At least once, and every key is deterministic, so what is written again changes nothing.
"""

from pyflink.table import Schema, StatementSet, StreamTableEnvironment, TableDescriptor

from stream.jobs import tables
from stream.jobs.letters import letter
from stream.jobs.settings import Cluster, Database, Tuning
from stream.sinks.warehouse import WAREHOUSE, WarehouseTable

_BATCH_ROWS = "2000"
_BATCH_INTERVAL = "1 s"
_UNSTORABLE = "a key too long or a time out of range for PostgreSQL"


def build(
    t_env: StreamTableEnvironment, cluster: Cluster, tuning: Tuning, database: Database
) -> StatementSet:
    """Attach the topics to the database; return what is to be executed."""
    # A sink materializer would keep every row in state for ever, for an order that Kafka's
    # partitions give already: equal keys are in the same one.
    t_env.get_config().set("table.exec.sink.upsert-materialize", "NONE")
    t_env.get_config().set("table.exec.sink.keyed-shuffle", "NONE")
    t_env.create_temporary_table("dead_letters", tables.dead_letters(cluster))
    statements = t_env.create_statement_set()
    letters = []
    for table in WAREHOUSE:
        source = f"{table.name}_topic"
        group = f"{cluster.topic_prefix}warehouse"
        descriptor = tables.topic(cluster, tuning, group, table.topic, table.contract)
        t_env.create_temporary_table(source, descriptor)
        t_env.create_temporary_table(table.name, _upserts(table, database))
        sound = f"`{table.key[0]}` IS NOT NULL"
        statements.add_insert_sql(
            f"INSERT INTO {table.name} SELECT {', '.join(table.values)} FROM {source} "
            f"WHERE {sound} AND {table.storable}"
        )
        letters.append(
            letter(source, cluster.topic(table.topic), sound, table.storable, _UNSTORABLE)
        )
    statements.add_insert_sql(f"INSERT INTO dead_letters {' UNION ALL '.join(letters)}")
    return statements


def _upserts(table: WarehouseTable, database: Database) -> TableDescriptor:
    schema = Schema.new_builder()
    for name, kind in table.columns.items():
        schema = schema.column(name, f"{kind} NOT NULL" if name in table.key else kind)
    return (
        TableDescriptor.for_connector("jdbc")
        .schema(schema.primary_key(*table.key).build())
        .option("url", database.url)
        .option("username", database.username)
        .option("password", database.password)
        .option("table-name", table.name)
        .option("sink.buffer-flush.max-rows", _BATCH_ROWS)
        .option("sink.buffer-flush.interval", _BATCH_INTERVAL)
        .option("sink.max-retries", "3")
        .build()
    )
