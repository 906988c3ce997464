"""Job `alerts`: readings to panes (JVM), panes to windows, rules and alerts (Python).

One source, one pane operator, one Python operator:

    readings ─┬─ decodable ──▶ panes, by device ──┐
              └─ undecodable ─────────────────────┴─ UNION ALL ─▶ Decide ─┬─▶ alerts  exactly once
                                                                          ├─▶ windows
                                                                          ├─▶ late
                                                                          └─▶ dead-letters
"""

from pyflink.common import Types
from pyflink.table import DataTypes, Schema, StatementSet, StreamTableEnvironment

from stream.jobs import tables
from stream.jobs.decide import DECISION_TYPE, Decide, Ids
from stream.jobs.settings import Cluster, Tuning

_READING_TYPE = (
    "ROW<device_id STRING, metric STRING, site STRING, kind STRING, unit STRING, "
    "gateway_id STRING, gateway_epoch BIGINT, `value` DOUBLE, ts BIGINT, device_ts BIGINT, "
    "device_boot STRING, device_seq BIGINT, quality STRING, gateway_seq BIGINT, part INT, "
    "`repeat` INT, received_ts BIGINT, clock STRING, replayed BOOLEAN, "
    "kafka_partition INT, kafka_offset BIGINT>"
)

# What Decide gets, by position; see there.
_PANE_TYPES = {
    "device_id": "STRING",
    "kind": "STRING",
    "metric": "STRING",
    "site": "STRING",
    "unit": "STRING",
    "pane_start": "BIGINT",
    "pane_end": "BIGINT",
    "n": "BIGINT",
    "mean": "DOUBLE",
    "m2": "DOUBLE",
    "lo": "DOUBLE",
    "hi": "DOUBLE",
    "first_value": "DOUBLE",
    "last_value": "DOUBLE",
    "first_ts": "BIGINT",
    "last_ts": "BIGINT",
    "t_mean": "DOUBLE",
    "t_m2": "DOUBLE",
    "t_c": "DOUBLE",
    "run": "BIGINT",
    "step": "DOUBLE",
    "bad": "BIGINT",
    "duplicates": "BIGINT",
    "reading": _READING_TYPE,
}
_UNDECODABLE_TYPES = {
    "undecodable": "BYTES",
    "undecodable_reason": "STRING",
    "kafka_partition": "INT",
    "kafka_offset": "BIGINT",
}

_DECODABLE = f"""
SELECT {", ".join(f"`{name}`" for name in tables.READING_COLUMNS)},
  kts, kafka_partition, kafka_offset
FROM readings WHERE device_id IS NOT NULL
"""

SINKS = {"alerts": "alerts", "windows": "windows", "late": "late", "dead_letters": "dead-letters"}


def build(
    t_env: StreamTableEnvironment,
    cluster: Cluster,
    tuning: Tuning,
    *,
    rules: str,
    panes: str,
    ids: Ids,
) -> StatementSet:
    """Attach the readings topic to the rules and their sinks; return what is to be executed.

    Args:
        t_env: the environment.
        cluster: where to read and write.
        tuning: what the operator chose.
        rules: the rule file's text, already validated.
        panes: pane sizes by metric in ms, as the pane operator takes them.
        ids: the schema ids of what is written.
    """
    group = f"{cluster.topic_prefix}alerts"
    t_env.create_temporary_table("readings", tables.readings(cluster, tuning, group))
    t_env.execute_sql("CREATE TEMPORARY SYSTEM FUNCTION panes AS 'tidegate.Panes'")
    t_env.create_temporary_view("decodable", t_env.sql_query(_DECODABLE))
    rows = t_env.to_data_stream(t_env.sql_query(_rows_sql(panes, tuning.lateness_ms)))
    decided = (
        rows.key_by(_series, key_type=Types.STRING())
        .process(
            Decide(rules, cluster.topic("readings"), ids, tuning.state_ttl_days), DECISION_TYPE
        )
        .name("decide")
        .uid("decide")
    )
    t_env.create_temporary_view("decided", t_env.from_data_stream(decided, _DECIDED))
    statements = t_env.create_statement_set()
    for table, topic in SINKS.items():
        # Exactly once costs a reader the wait for a checkpoint: only alerts are worth it. The
        # others have keys that make a repeat harmless.
        prefix = f"{cluster.topic_prefix}alerts-job" if topic == "alerts" else None
        sink = tables.bytes_sink(cluster, topic, transactional_prefix=prefix)
        t_env.create_temporary_table(table, sink)
        statements.add_insert_sql(
            f"INSERT INTO {table} SELECT record_key, record_value FROM decided "  # noqa: S608
            f"WHERE sink = '{topic}'"
        )
    return statements


_DECIDED = (
    Schema.new_builder()
    .column("sink", DataTypes.STRING())
    .column("record_key", DataTypes.BYTES())
    .column("record_value", DataTypes.BYTES())
    .build()
)


def _series(row: object) -> str:
    return f"{row[0]}\n{row[2]}"  # type: ignore[index]


def _rows_sql(panes: str, lateness_ms: int) -> str:
    """Return the query for Decide's rows. ``panes`` holds only metric names and numbers."""
    taken = ", ".join(f"`{name}`" for name in _PANE_TYPES)
    nothing = ", ".join(f"CAST(NULL AS {kind})" for kind in _UNDECODABLE_TYPES.values())
    literals = {"device_id": "''", "kind": "'UNDECODABLE'", "metric": "''"}
    no_pane = ", ".join(
        literals.get(name, f"CAST(NULL AS {kind})") for name, kind in _PANE_TYPES.items()
    )
    return f"""
    SELECT {taken}, {nothing} FROM panes(
      `in` => TABLE decodable PARTITION BY device_id,
      panes => '{panes}', latenessMs => {lateness_ms}, uid => 'panes')
    UNION ALL
    SELECT {no_pane}, {", ".join(_UNDECODABLE_TYPES)} FROM readings WHERE device_id IS NULL
    """  # noqa: S608
