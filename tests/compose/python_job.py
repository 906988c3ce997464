"""Submits a job with a Python function to the cluster at FLINK_URL; prints its id. Run by a test."""

import sys

from pyflink.table import DataTypes
from pyflink.table.udf import udf

from stream.jobs.environment import client
from stream.jobs.settings import Cluster, Tuning


@udf(result_type=DataTypes.BIGINT())
def next_number(number: int) -> int:
    return number + 1


cluster = Cluster(sys.argv[1], "", "", "", python=sys.executable)
tables = client("python-test", cluster, Tuning(parallelism=1)).tables
tables.create_temporary_function("next_number", next_number)
tables.execute_sql(
    "CREATE TABLE numbers (x BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '10')"
)
tables.execute_sql("CREATE TABLE nowhere (x BIGINT) WITH ('connector' = 'blackhole')")
started = tables.execute_sql("INSERT INTO nowhere SELECT next_number(x) FROM numbers")
print(started.get_job_client().get_job_id())
