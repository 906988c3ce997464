"""Series from Parquet: the lake's files, a folder of them, or the lake itself.

What a reading needs are the columns device_id, metric, ts and value; site comes from the path
(``site=S``) or a column. Where all that names a reading is there, equal ones count once, as the
job counts them, and they are folded in the job's order.
"""

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from schemas.failure import Failure
from stream.lake import Lake, readings
from stream.lake_tables import READINGS
from stream.recorded import OFFLINE, Series, Wanted

_NEEDED = ("device_id", "metric", "ts", "value")
# With these a reading has an identity: schemas.records.reading_key, and its place on Kafka.
_IDENTITY = (
    "device_ts", "device_boot", "device_seq", "repeat", "gateway_id", "gateway_epoch",
    "gateway_seq", "part", "kafka_partition", "kafka_offset",
)  # fmt: skip
# What readings of a pane are sorted by: stream.panes.fold_order, as SQL.
_ORDER = """
  ts, device_boot IS NOT NULL, device_boot, device_seq IS NOT NULL, device_seq,
  isnan("value"), "value", "repeat", gateway_id, gateway_epoch, gateway_seq, part
"""
_MEMORY = "512MB"
_ROWS_AT_ONCE = 20_000
_BATCH_ROWS = 32_768
_HIVE = ds.partitioning(pa.schema([("dt", pa.string()), ("site", pa.string())]), flavor="hive")


def read_parquet(path: Path, wanted: Wanted) -> list[Series]:
    """Read a Parquet file, or all of a folder and those in it.

    Raises:
        Failure: the files cannot be read, lack a column, or hold nothing that is wanted.
    """
    names = [path] if path.is_file() else sorted(each for each in path.rglob("*") if _is_data(each))
    try:
        found = ds.dataset(
            [str(name.absolute()) for name in names],
            format="parquet",
            partitioning=_HIVE,
            partition_base_dir=str(_above_partitions(path.absolute())),
        )
    except (OSError, pa.ArrowException) as error:
        raise Failure(f"{path}: cannot be read as Parquet: {error}") from error
    return _series(found, wanted, str(path))


def read_lake(lake: Lake, wanted: Wanted) -> list[Series]:
    """Read what is wanted of a lake.

    Raises:
        Failure: the lake cannot be read, or holds nothing that is wanted.
    """
    return _series(readings(lake, wanted.site), wanted, f"the lake at {lake.root}")


def _series(found: ds.Dataset, wanted: Wanted, name: str) -> list[Series]:
    columns = found.schema.names
    missing = [column for column in _NEEDED if column not in columns]
    if missing:
        raise Failure(
            f"{name}: lacks the column {', '.join(missing)}; readings as the lake has them have "
            f"{', '.join(_NEEDED)}, and these files have {', '.join(columns)}"
        )
    whole = set(columns).issuperset(_IDENTITY)
    with duckdb.connect() as connection, TemporaryDirectory() as scratch:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"SET memory_limit = '{_MEMORY}'")
        connection.execute(f"SET temp_directory = '{scratch}'")
        try:
            connection.register("chosen", _scanned(found, wanted))
            connection.execute(_query(columns, whole=whole))
            made = [_one(rows) for _, rows in groupby(_rows(connection), key=itemgetter(0, 1))]
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise Failure(f"{name}: cannot be read: {error}") from error
    if not made:
        raise Failure(
            f"{name}: holds no reading that is wanted; mind --site, --device, --from, --to"
        )
    return made


def _scanned(found: ds.Dataset, wanted: Wanted) -> pa.RecordBatchReader:
    """Return the rows that are meant, read little ahead: DuckDB pauses while it sorts on disk."""
    known = (*_NEEDED, "quality", "site", "unit", *_IDENTITY)
    scanner = found.scanner(
        columns=[column for column in known if column in found.schema.names],
        filter=_filter(found, wanted),
        batch_size=_BATCH_ROWS,
        batch_readahead=2,
        fragment_readahead=1,
    )
    return scanner.to_reader()


def _query(columns: list[str], *, whole: bool) -> str:
    def or_else(column: str, other: str) -> str:
        return column if column in columns else other

    bad = "quality = 'BAD'" if "quality" in columns else "false"
    table = READINGS.distinct("chosen") if whole else "SELECT * FROM chosen"
    order = _ORDER if whole else 'ts, isnan("value"), "value"'
    return f"""
SELECT device_id, metric, epoch_ms(ts::TIMESTAMP),
  CASE WHEN {bad} THEN 'nan'::DOUBLE ELSE "value"::DOUBLE END,
  {or_else("site", "NULL")}, {or_else("unit", "NULL")}
FROM ({table})
WHERE device_id IS NOT NULL AND metric IS NOT NULL AND ts IS NOT NULL AND "value" IS NOT NULL
ORDER BY device_id, metric, {order}
"""


def _rows(connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    while rows := connection.fetchmany(_ROWS_AT_ONCE):
        yield from rows


def _one(rows: Iterator[tuple[Any, ...]]) -> Series:
    """Make a series; where its site or unit has changed, the last one stands."""
    points = []
    for row in rows:
        points.append((row[2], row[3]))
    return Series(row[0], row[1], points, row[4] or OFFLINE, row[5])


def _filter(found: ds.Dataset, wanted: Wanted) -> ds.Expression | None:
    kind = found.schema.field("ts").type
    if not pa.types.is_timestamp(kind):
        raise Failure(f"the column ts holds {kind}; expected a timestamp, as the lake has it")
    where = [
        ds.field("ts") >= _time(wanted.from_ms, kind) if wanted.from_ms is not None else None,
        ds.field("ts") < _time(wanted.to_ms, kind) if wanted.to_ms is not None else None,
        ds.field("site") == wanted.site if wanted.site is not None else None,
        ds.field("device_id") == wanted.device if wanted.device is not None else None,
    ]
    joined = None
    for each in where:
        if each is not None:
            joined = each if joined is None else joined & each
    return joined


def _time(at_ms: int, kind: pa.DataType) -> pa.Scalar:
    return pa.scalar(at_ms, pa.timestamp("ms", kind.tz))


def _is_data(path: Path) -> bool:
    return (
        path.is_file() and not path.name.startswith(("_", ".")) and path.suffix in (".parquet", "")
    )


def _above_partitions(path: Path) -> Path:
    """Return the folder above the first ``dt=`` or ``site=`` of a path, so that both are read."""
    parts = path.parts
    for index, part in enumerate(parts):
        if part.startswith(("dt=", "site=")):
            return Path(*parts[:index])
    return path if path.is_dir() else path.parent
