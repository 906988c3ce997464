"""The project's tables as `jobs sql` sees them: topics and lake, columns from the contracts.

Each comes twice: `X_raw` as it is stored, with undecodable records and repeats, and `X`, a view of
what is sound in it. Times are TIMESTAMP(3), UTC; `rt` is the event time, with a watermark.
"""

from typing import NamedTuple

from pyflink.table import Schema, StreamTableEnvironment, TableDescriptor

from schemas.contracts import ContractName, contract_text
from stream.archived import ARCHIVED
from stream.columns import columns
from stream.jobs.settings import Cluster
from stream.lake_tables import TABLES, LakeTable

_TIMES = "TIMESTAMP(3)"
_METADATA = {
    "undecodable": ("BYTES", "value.undecodable"),
    "undecodable_reason": ("STRING", "value.reason"),
    "kts": (_TIMES, "timestamp"),
    "kafka_partition": ("INT", "partition"),
    "kafka_offset": ("BIGINT", "offset"),
}


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


class _TopicTable(NamedTuple):
    """A topic as a table; ``event_time`` is one of the contract's columns.

    ``sound`` is a column that is null in undecodable records only. ``newest_by`` makes of a log of
    versions a table that has a row for each key, and had another at another time.
    """

    topic: str
    contract: ContractName
    event_time: str
    sound: str
    newest_by: str | None = None


_TOPICS = {
    "readings": _TopicTable("readings", "reading", "ts", "device_id"),
    "windows": _TopicTable("windows", "window_features", "window_end", "device_id"),
    "alerts": _TopicTable("alerts", "alert", "emitted_at", "alert_id"),
    "late": _TopicTable("late", "reading", "ts", "device_id"),
    "dead_letters": _TopicTable("dead-letters", "dead_letter", "at", "reason"),
    "devices": _TopicTable("devices", "device", "valid_from", "device_id", "device_id"),
    "maintenance": _TopicTable("maintenance", "maintenance", "started_at", "order_id"),
    "rules": _TopicTable("rules", "rule_set", "effective_from", "sha256"),
}


_ORIGIN = {"kafka_partition": "INT", "kafka_offset": "BIGINT"}
_LAKE = {f"lake_{table.name}": table for table in TABLES}
NAMES = frozenset(f"{name}{raw}" for name in (*_TOPICS, *_LAKE) for raw in ("", "_raw"))


class Scan(NamedTuple):
    """How topics are read: to the offsets of the start or for ever.

    ``delay_ms`` is how far the watermark stays behind the newest event time.
    """

    bounded: bool = True
    delay_ms: int = 5_000

    def watermark(self, newest: str) -> str:
        """Return the watermark's expression; its delay is less than a hundred days."""
        seconds, millis = divmod(self.delay_ms, 1000)
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        days, hours = divmod(hours, 24)
        delay = f"{days} {hours:02}:{minutes:02}:{seconds:02}.{millis:03}"
        return f"{newest} - INTERVAL '{delay}' DAY TO SECOND(3)"


def create(
    t_env: StreamTableEnvironment, cluster: Cluster, scan: Scan, *, lake: bool = True
) -> None:
    """Make every table of :data:`NAMES` known, for this environment only.

    Without ``lake`` its views are left out: the planner lists the lake's folders to make them.
    """
    views = {}
    for name, table in _TOPICS.items():
        t_env.create_temporary_table(f"{name}_raw", _topic(cluster, table, scan))
        views[name] = _sound(name, table)
    for name, lies in _LAKE.items():
        t_env.create_temporary_table(f"{name}_raw", _lake(cluster, lies, scan))
        if lake:
            views[name] = _counting(name, lies)
    for name, query in views.items():
        t_env.create_temporary_view(name, t_env.sql_query(query))


def _topic(cluster: Cluster, table: _TopicTable, scan: Scan) -> TableDescriptor:
    schema = Schema.new_builder()
    for name, kind in columns(table.contract, _TIMES).items():
        schema = schema.column(name, kind)
    for name in _metadata(table.contract):
        schema = schema.column_by_metadata(name, *_METADATA[name])
    # A null would end the job, a time from the future everybody's windows, and the time at which
    # rubbish came those of a replay: a record without a time of its own moves no watermark.
    schema = schema.column_by_expression(
        "rt", f"COALESCE(`{table.event_time}`, TIMESTAMP '1970-01-01 00:00:00.000')"
    )
    schema = schema.watermark("rt", scan.watermark("LEAST(rt, kts)"))
    descriptor = (
        TableDescriptor.for_connector("kafka")
        .schema(schema.build())
        .option("topic", cluster.topic(table.topic))
        .option("properties.bootstrap.servers", cluster.kafka_bootstrap)
        .option("properties.group.id", f"{cluster.topic_prefix}sql")
        .option("properties.isolation.level", "read_committed")
        .option("scan.startup.mode", "earliest-offset")
        # A quiet partition, or a table nobody changes, must not hold back the others.
        .option("scan.watermark.idle-timeout", "5 s")
        .option("value.format", "tidegate-avro")
        .option("value.tidegate-avro.url", cluster.registry_url)
        .option("value.tidegate-avro.schema", contract_text(table.contract))
    )
    if scan.bounded:
        descriptor = descriptor.option("scan.bounded.mode", "latest-offset")
    return descriptor.build()


def _metadata(contract: ContractName) -> list[str]:
    """Return the metadata columns beside this contract's: neither name nor key may be taken."""
    taken = columns(contract)
    return [
        name
        for name, (_, key) in _METADATA.items()
        if name not in taken and key.removeprefix("value.") not in taken
    ]


def _sound(name: str, table: _TopicTable) -> str:
    shown = [*columns(table.contract), *_metadata(table.contract), "rt"]
    shown = [column for column in shown if not column.startswith("undecodable")]
    source = f"FROM {name}_raw WHERE `{table.sound}` IS NOT NULL"
    if table.newest_by is None:
        return f"SELECT {_listed(shown)} {source}"
    return _numbered(shown, source, f"PARTITION BY `{table.newest_by}` ORDER BY rt DESC")


def _numbered(shown: list[str], source: str, order: str, where: str = "TRUE") -> str:
    """Return the query for the first row of each partition, if it meets a condition."""
    return (
        f"SELECT {_listed(shown)} FROM "
        f"(SELECT *, ROW_NUMBER() OVER ({order}) AS row_in_order {source}) "
        f"WHERE row_in_order = 1 AND {where}"
    )


def _counting(name: str, table: LakeTable) -> str:
    """Return the query for the rows of a lake's table that count; DuckDB quotes otherwise."""
    key, first, shown = (part.replace('"', "`") for part in (table.key, table.first, table.shown))
    order = f"PARTITION BY {key} ORDER BY {first}"
    return _numbered([*_lake_columns(table), "rt"], f"FROM {name}_raw", order, shown)


def _lake_columns(table: LakeTable) -> dict[str, str]:
    """Return a lake's table's columns; those it is partitioned by stand last."""
    archived = next((each for each in ARCHIVED if each.name == table.name), None)
    if archived is None:
        kinds = columns("reading", _TIMES)
        files = {name: kind for name, kind in kinds.items() if name not in ("kind", "site")}
    else:
        told = {name: kind for name, kind, _ in archived.columns} | {"kts": _TIMES}
        files = {n: _TIMES if kind.startswith("TIMESTAMP") else kind for n, kind in told.items()}
    return files | _ORIGIN | {"dt": "STRING", "site": "STRING"}


def _lake(cluster: Cluster, table: LakeTable, scan: Scan) -> TableDescriptor:
    schema = Schema.new_builder()
    for column, kind in _lake_columns(table).items():
        schema = schema.column(column, kind)
    schema = schema.column_by_expression("rt", f"`{_TOPICS[table.name].event_time}`")
    schema = schema.watermark("rt", scan.watermark("rt"))
    return (
        TableDescriptor.for_connector("filesystem")
        .schema(schema.build())
        .partitioned_by("dt", "site")
        .option("path", f"{cluster.lake_uri}/{table.name}")
        .format("parquet")
        .option("parquet.utc-timezone", "true")
        .build()
    )
