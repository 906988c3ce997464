"""Job `alerts`: readings to panes (JVM), panes to windows, rules and alerts (Python).

One source, one pane operator, one Python operator:

    readings ─▶ panes, by device ─▶ Decide, by bucket of devices ─┬─▶ alerts  exactly once
                                                                  ├─▶ windows
                                                                  ├─▶ late
                                                                  └─▶ dead-letters

What nobody could decode goes the same way, through both as it is: a way around the panes would read
the topic twice.

Rules, devices and what people say of alerts are on topics of their own, which each worker of Decide
reads whole: see :mod:`stream.jobs.known`. The graph has no second source for them, so it is that of
the job before.
"""

from pyflink.common import Types
from pyflink.datastream import DataStream, KeyedStream
from pyflink.java_gateway import get_gateway
from pyflink.table import Schema, StatementSet, StreamTableEnvironment

from stream.jobs import tables
from stream.jobs.decide import DECISION_TYPE, Decide, Ids
from stream.jobs.known import Given, Source
from stream.jobs.settings import Cluster, Tuning, transactions
from stream.jobs.told import UNDECODABLE_SQL

SINKS = {"alerts": "alerts", "windows": "windows", "late": "late", "dead_letters": "dead-letters"}

_READINGS_SQL = f"""
SELECT device_id, CASE WHEN device_id IS NULL THEN {UNDECODABLE_SQL}
  ELSE place(packed, kts, kafka_partition, kafka_offset) END AS reading
FROM readings
"""


def build(
    t_env: StreamTableEnvironment,
    cluster: Cluster,
    tuning: Tuning,
    *,
    given: Given,
    ids: Ids,
) -> StatementSet:
    """Attach the readings topic to the rules and their sinks; return what is to be executed.

    Args:
        t_env: the environment.
        cluster: where to read and write.
        tuning: what the operator chose.
        given: the rules to begin with, and the panes.
        ids: the schema ids of what is written.
    """
    group = f"{cluster.topic_prefix}alerts"
    t_env.create_temporary_table("readings", tables.packed_readings(cluster, tuning, group))
    source = Source(
        cluster.kafka_bootstrap,
        cluster.registry_url,
        cluster.topic("rules"),
        cluster.topic("devices"),
        cluster.topic("alert-commands"),
        ids.rules,
        ids.devices,
        ids.commands,
    )
    decide = Decide(given, source, cluster.topic("readings"), ids, tuning.state_ttl_days)
    rows = panes(t_env, given.panes, tuning.lateness_ms)
    decided = _by_bucket(rows).process(decide, DECISION_TYPE)
    # The uid is that of the state's layout, by device: a savepoint of another one is refused.
    decided.name("decide").uid("decide-by-bucket")
    t_env.create_temporary_view("decided", t_env.from_data_stream(decided, _DECIDED))
    return _sinks(t_env, cluster, tuning)


def panes(t_env: StreamTableEnvironment, sizes: str, lateness_ms: int) -> DataStream:
    """Return what `tidegate.Panes` makes of the table `readings`: rows of a bucket and bytes.

    Args:
        t_env: the environment, which has that table as :func:`tables.packed_readings`.
        sizes: of the panes, by metric.
        lateness_ms: how long a pane stays open behind its device's own clock.
    """
    t_env.create_java_temporary_system_function("place", "tidegate.Place")
    readings = t_env.sql_query(_READINGS_SQL)._j_table  # noqa: SLF001 - none is public
    env = t_env._j_tenv  # noqa: SLF001
    rows = get_gateway().jvm.tidegate.Panes.of(env, readings, sizes, lateness_ms, "panes-at-hand")
    return DataStream(rows)


def _sinks(t_env: StreamTableEnvironment, cluster: Cluster, tuning: Tuning) -> StatementSet:
    statements = t_env.create_statement_set()
    for table, topic in SINKS.items():
        # Exactly once costs a reader the wait for a checkpoint: only alerts are worth it. The
        # others have keys that make a repeat harmless.
        prefix = transactions(cluster.topic_prefix) if topic == "alerts" else None
        sink = tables.bytes_sink(cluster, tuning, topic, transactional_prefix=prefix)
        t_env.create_temporary_table(table, sink)
        statements.add_insert_sql(
            f"INSERT INTO {table} SELECT f1, f2 FROM decided WHERE f0 = '{topic}'"
        )
    return statements


_DECIDED = (
    Schema.new_builder().column("f0", "STRING").column("f1", "BYTES").column("f2", "BYTES").build()
)


def _by_bucket(rows: DataStream) -> KeyedStream:
    """Return the rows keyed by bucket, without it.

    ``DataStream.key_by`` would send every row through a Python worker of its own only to put the
    key in front. It is there already, so the stream is keyed in the JVM as PyFlink keys it.
    """
    keyed = rows._j_data_stream.keyBy(  # noqa: SLF001 - what DataStream.key_by does
        get_gateway().jvm.KeyByKeySelector(), Types.ROW([Types.STRING()]).get_java_type_info()
    )
    return KeyedStream(keyed, Types.PRIMITIVE_ARRAY(Types.BYTE()), rows)
