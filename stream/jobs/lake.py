"""Job `lake`: every reading as it stands on Kafka, as Parquet, exactly once."""

from pyflink.table import StatementSet, StreamTableEnvironment

from stream.jobs import tables
from stream.jobs.settings import Cluster, Tuning

# A reading from the future would open a partition of its own; the alerts job sets it aside.
_INSERT = """
INSERT INTO lake SELECT
  device_id, metric, unit, gateway_id, gateway_epoch, `value`,
  TO_TIMESTAMP_LTZ(ts, 3), TO_TIMESTAMP_LTZ(device_ts, 3), device_boot, device_seq, quality,
  gateway_seq, part, `repeat`, TO_TIMESTAMP_LTZ(received_ts, 3), clock, replayed,
  kafka_partition, kafka_offset,
  DATE_FORMAT(TO_TIMESTAMP_LTZ(ts, 3), 'yyyy-MM-dd'), site
FROM readings
WHERE device_id IS NOT NULL AND kind = 'READING'
  AND ts <= received_ts + 60000
  AND TO_TIMESTAMP_LTZ(ts, 3) <= kts + INTERVAL '1' MINUTE
"""


def build(t_env: StreamTableEnvironment, cluster: Cluster, tuning: Tuning) -> StatementSet:
    """Attach the readings topic to the lake; return what is to be executed."""
    group = f"{cluster.topic_prefix}lake"
    t_env.create_temporary_table("readings", tables.readings(cluster, tuning, group))
    t_env.create_temporary_table("lake", tables.lake(cluster))
    statements = t_env.create_statement_set()
    statements.add_insert_sql(_INSERT)
    return statements
