"""The Parquet lake: counting, querying and compacting what the lake job wrote.

Layout: ``readings/dt=YYYY-MM-DD/site=S/*.parquet``. The job only ever adds files. Compaction puts
one file beside those it replaces, notes them in a ``_replaced-….json``, and a later run deletes
them once readers have had time to finish: between the two a reading stands twice, which the
``readings`` view hides, as it hides readings that Kafka itself holds twice.
"""

import hashlib
import json
import math
import time
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow import fs

from schemas.failure import Failure, Unavailable

# Two readings are the same when these are equal: schemas.records.reading_key, as SQL.
_KEY = """
  device_id, metric, device_ts, device_boot, device_seq,
  CASE WHEN device_ts IS NOT NULL THEN "value" END,
  CASE WHEN device_ts IS NOT NULL THEN "repeat" END,
  CASE WHEN device_ts IS NULL THEN gateway_id END,
  CASE WHEN device_ts IS NULL THEN gateway_epoch END,
  CASE WHEN device_ts IS NULL THEN gateway_seq END,
  CASE WHEN device_ts IS NULL THEN part END
"""
_DISTINCT = f"""
SELECT * FROM {{table}}
QUALIFY row_number() OVER (PARTITION BY {_KEY} ORDER BY kafka_partition, kafka_offset) = 1
"""
_ROW_GROUP_ROWS = 200_000
_NOTE = "_replaced-"
_COMPACTED = "compacted-"


class Lake(NamedTuple):
    """A lake's file system and the folder of its readings on it."""

    files: fs.FileSystem
    root: str


class Size(NamedTuple):
    """What part of a lake holds."""

    files: int
    rows: int
    distinct: int


class Compaction(NamedTuple):
    """What a compaction did."""

    partitions: int
    files_read: int
    rows_read: int
    rows_kept: int
    files_deleted: int


def open_lake(uri: str, *, endpoint: str = "", access_key: str = "", secret_key: str = "") -> Lake:
    """Open ``s3://bucket/prefix`` or a local folder.

    Raises:
        Failure: the URI has another scheme.
    """
    parts = urlsplit(uri)
    if parts.scheme in ("", "file"):
        return Lake(fs.LocalFileSystem(), f"{parts.path}/readings")
    if parts.scheme != "s3":
        raise Failure(f"lake {uri}: expected s3://bucket/prefix or a folder")
    options: dict[str, Any] = {}
    if endpoint:
        options = {
            "endpoint_override": endpoint,
            "access_key": access_key,
            "secret_key": secret_key,
            "region": "us-east-1",
        }
    return Lake(fs.S3FileSystem(**options), f"{parts.netloc}{parts.path}/readings")


def answers(lake: Lake) -> None:
    """Ask whether the lake's storage is there.

    Raises:
        Unavailable: it is not.
    """
    try:
        lake.files.get_file_info([lake.root])
    except OSError as error:
        raise Unavailable(f"the lake at {lake.root} does not answer: {error}") from error


def partitions(lake: Lake, site: str | None = None) -> dict[str, list[fs.FileInfo]]:
    """Return the Parquet files by partition folder, of one site or of all."""
    found: dict[str, list[fs.FileInfo]] = {}
    selector = fs.FileSelector(lake.root, recursive=True, allow_not_found=True)
    for info in lake.files.get_file_info(selector):
        folder, _, name = info.path.rpartition("/")
        if info.type != fs.FileType.File or name.startswith(("_", ".")):
            continue
        if site is None or folder.endswith(f"/site={site}"):
            found.setdefault(folder, []).append(info)
    return dict(sorted(found.items()))


def distinct(table: str) -> str:
    """Return the query for a table's readings, each once."""
    return _DISTINCT.format(table=table)


def readings(
    lake: Lake, site: str | None = None, *, days: tuple[str, str] | None = None
) -> ds.Dataset:
    """Return the readings as written, of all files.

    Args:
        lake: the lake.
        site: only this site's readings.
        days: only those of the days from the first to the last, such as 2026-01-31.

    Raises:
        Failure: the lake holds nothing of them.
    """
    paths = [
        info.path
        for folder, infos in partitions(lake, site).items()
        for info in infos
        if days is None or days[0] <= day_of(folder) <= days[1]
    ]
    if not paths:
        raise Failure(f"the lake at {lake.root} holds no file yet; files appear with checkpoints")
    return _dataset(lake, paths)


def connect(lake: Lake, site: str | None = None) -> duckdb.DuckDBPyConnection:
    """Return a connection that sees ``readings`` (each once) and ``readings_raw`` (as written).

    Raises:
        Failure: the lake holds nothing.
    """
    found = readings(lake, site)
    connection = duckdb.connect()
    connection.register("readings_raw", found)
    connection.execute(f"CREATE VIEW readings AS {distinct('readings_raw')}")
    return connection


def size(lake: Lake, site: str | None = None) -> Size:
    """Count files, rows and distinct readings."""
    files = sum(len(infos) for infos in partitions(lake, site).values())
    if not files:
        return Size(0, 0, 0)
    with connect(lake, site) as connection:
        rows = connection.execute("SELECT count(*) FROM readings_raw").fetchone()
        distinct = connection.execute("SELECT count(*) FROM readings").fetchone()
    assert rows is not None
    assert distinct is not None
    return Size(files, rows[0], distinct[0])


def compact(
    lake: Lake,
    *,
    site: str | None = None,
    min_age_s: float = 300.0,
    grace_s: float = 60.0,
    now_s: float | None = None,
) -> Compaction:
    """Rewrite each partition's files as one without repeats.

    Args:
        lake: the lake.
        site: only this site's partitions.
        min_age_s: files younger than this are left for the next time; it must exceed two
            checkpoints of the lake job, so that no file of an unfinished one is touched.
        grace_s: how long replaced files stay for readers that have begun.
        now_s: the time, in seconds since the epoch.
    """
    now = time.time() if now_s is None else now_s
    total = Compaction(0, 0, 0, 0, 0)
    for folder, infos in partitions(lake, site).items():
        replaced = {path for note in _notes(lake, folder) for path in note.paths}
        old = [
            info.path
            for info in infos
            if info.path not in replaced and now - info.mtime.timestamp() >= min_age_s
        ]
        rewritten = any(not _is_compacted(path) for path in old)
        read, kept = _rewrite(lake, folder, sorted(old)) if rewritten else (0, 0)
        total = Compaction(
            total.partitions + rewritten,
            total.files_read + (len(old) if rewritten else 0),
            total.rows_read + read,
            total.rows_kept + kept,
            total.files_deleted
            + _delete_replaced(lake, folder, now - grace_s if grace_s else math.inf),
        )
    return total


def day_of(folder: str) -> str:
    """Return the day of a partition's folder, "" for one without."""
    return next((part[3:] for part in folder.split("/") if part.startswith("dt=")), "")


class _Note(NamedTuple):
    """That a compacted file stands for others, since ``at_s``."""

    path: str
    at_s: float
    paths: list[str]


def _is_compacted(path: str) -> bool:
    return path.rpartition("/")[2].startswith(_COMPACTED)


def _notes(lake: Lake, folder: str) -> list[_Note]:
    notes = []
    for info in lake.files.get_file_info(fs.FileSelector(folder)):
        if info.base_name.startswith(_NOTE):
            with lake.files.open_input_stream(info.path) as source:
                names = json.loads(source.read())
            paths = [f"{folder}/{name}" for name in names]
            notes.append(_Note(info.path, info.mtime.timestamp(), paths))
    return notes


def _rewrite(lake: Lake, folder: str, paths: list[str]) -> tuple[int, int]:
    """Put one file with each reading once beside the files it replaces; return rows in and out.

    The name follows from the names replaced: after a crash the same file is written again.
    """
    names = [path.rpartition("/")[2] for path in paths]
    mark = hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]
    with duckdb.connect() as connection:
        connection.register("part", _dataset(lake, paths, partitioned=False))
        ordered = f"{distinct('part')} ORDER BY device_id, metric, ts, gateway_seq"
        kept = connection.sql(ordered).to_arrow_table()
        count = connection.execute("SELECT count(*) FROM part").fetchone()
    assert count is not None
    schema = _dataset(lake, paths, partitioned=False).schema
    pq.write_table(
        kept.cast(schema),
        f"{folder}/{_COMPACTED}{mark}.parquet",
        filesystem=lake.files,
        compression="zstd",
        row_group_size=_ROW_GROUP_ROWS,
    )
    with lake.files.open_output_stream(f"{folder}/{_NOTE}{mark}.json") as out:
        out.write(json.dumps(names).encode())
    return count[0], kept.num_rows


def _delete_replaced(lake: Lake, folder: str, before_s: float) -> int:
    """Delete what notes not newer than that name, then the notes; return the file count."""
    deleted = 0
    for note in _notes(lake, folder):
        if note.at_s > before_s:
            continue
        for info in lake.files.get_file_info(note.paths):
            if info.type == fs.FileType.File:
                lake.files.delete_file(info.path)
                deleted += 1
        lake.files.delete_file(note.path)
    return deleted


def _dataset(lake: Lake, paths: list[str], *, partitioned: bool = True) -> ds.Dataset:
    hive = ds.partitioning(pa.schema([("dt", pa.string()), ("site", pa.string())]), flavor="hive")
    return ds.dataset(
        paths,
        filesystem=lake.files,
        format="parquet",
        partitioning=hive if partitioned else None,
        partition_base_dir=lake.root,
    )
