"""Job `archive`: windows and alerts as they stand on Kafka, as Parquet, exactly once.

    windows ─┐             ┌─▶ windows/dt=/site=   sliding windows, roll-ups, runs
    alerts  ─┴─ per topic ─┼─▶ alerts/dt=/site=    each transition
                           └─▶ dead-letters: what does not decode

A job of its own: with more sources the lake job's operators would be numbered anew, and its
snapshots fit no more. And its files can wait longer for a checkpoint, so there are fewer.
"""

from pyflink.table import StatementSet, StreamTableEnvironment

from stream.archived import ARCHIVED, Archived
from stream.jobs import tables
from stream.jobs.letters import undecodable_letter
from stream.jobs.settings import Cluster, Tuning


def build(t_env: StreamTableEnvironment, cluster: Cluster, tuning: Tuning) -> StatementSet:
    """Attach the topics to the lake; return what is to be executed."""
    t_env.create_temporary_table("dead_letters", tables.dead_letters(cluster))
    statements = t_env.create_statement_set()
    letters = []
    for table in ARCHIVED:
        source = f"{table.name}_topic"
        group = f"{cluster.topic_prefix}archive"
        descriptor = tables.topic(cluster, tuning, group, table.name, table.contract)
        t_env.create_temporary_table(source, descriptor)
        t_env.create_temporary_table(table.name, tables.archive(cluster, table))
        statements.add_insert_sql(f"INSERT INTO {table.name} {_rows(table, source)}")
        letters.append(undecodable_letter(source, cluster.topic(table.name), _sound(table)))
    statements.add_insert_sql(f"INSERT INTO dead_letters {' UNION ALL '.join(letters)}")
    return statements


def _sound(table: Archived) -> str:
    return f"`{table.key[0]}` IS NOT NULL"


def _rows(table: Archived, source: str) -> str:
    values = ", ".join(column.value for column in table.columns)
    return (
        f"SELECT {values}, kts, kafka_partition, kafka_offset, "
        f"DATE_FORMAT(`{table.day}`, 'yyyy-MM-dd'), site FROM {source} WHERE {_sound(table)}"
    )
