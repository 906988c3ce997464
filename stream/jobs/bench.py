"""Bounded jobs that the stream benchmark times side by side, all on the same topic."""

from collections.abc import Callable

from pyflink.table import Schema, StreamTableEnvironment, TableDescriptor

from stream.jobs import alerts, tables
from stream.jobs.environment import client
from stream.jobs.settings import Cluster, Tuning

_HOP = """
INSERT INTO nothing SELECT device_id, metric, COUNT(*), AVG(`value`), MAX(`value`)
FROM TABLE(HOP(TABLE readings, DESCRIPTOR(rt), INTERVAL '30' SECOND, INTERVAL '5' MINUTE))
GROUP BY device_id, metric, window_start, window_end
"""
_PANES = """
INSERT INTO nothing SELECT device_id, metric, n, mean, hi FROM panes(
  `in` => TABLE decodable PARTITION BY device_id,
  panes => '*=30000', latenessMs => 5000, uid => 'panes')
"""


def submit_hop(name: str, cluster: Cluster, tuning: Tuning) -> str:
    """Submit the bare job: source and HOP 5 min / 30 s, no duplicates removed, late data lost."""

    def build(t_env: StreamTableEnvironment) -> str:
        t_env.create_temporary_table("readings", _timed(cluster, tuning))
        return _HOP

    return _submit(name, cluster, tuning, build)


def submit_panes(name: str, cluster: Cluster, tuning: Tuning) -> str:
    """Submit source and pane operator, without rules."""

    def build(t_env: StreamTableEnvironment) -> str:
        t_env.create_temporary_table("readings", tables.readings(cluster, tuning, name))
        alerts.create_panes(t_env)
        return _PANES

    return _submit(name, cluster, tuning, build)


def _submit(
    name: str, cluster: Cluster, tuning: Tuning, build: Callable[[StreamTableEnvironment], str]
) -> str:
    streams, t_env = client(name, cluster, tuning)
    insert = build(t_env)
    t_env.create_temporary_table("nothing", _nothing())
    statements = t_env.create_statement_set()
    statements.add_insert_sql(insert)
    statements.attach_as_datastream()
    return str(streams.execute_async(f"tidegate-{name}").get_job_id())


def _timed(cluster: Cluster, tuning: Tuning) -> TableDescriptor:
    def with_watermark(schema: Schema.Builder) -> Schema.Builder:
        return schema.column_by_expression(
            "rt", "COALESCE(TO_TIMESTAMP_LTZ(ts, 3), kts)"
        ).watermark("rt", "LEAST(rt, kts) - INTERVAL '5' SECOND")

    return tables.readings(cluster, tuning, "bench-hop", extend=with_watermark)


def _nothing() -> TableDescriptor:
    schema = Schema.new_builder().column("device_id", "STRING").column("metric", "STRING")
    schema = schema.column("n", "BIGINT").column("mean", "DOUBLE").column("hi", "DOUBLE")
    return TableDescriptor.for_connector("blackhole").schema(schema.build()).build()
