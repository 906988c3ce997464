"""Compaction: few large files of many small ones, atomic for readers.

It puts files beside those they replace, notes the latter in a ``_replaced-….json``, and a later
run deletes them once readers have had time to finish: between the two a row stands twice, which
the views hide, as they hide what Kafka itself holds twice.
"""

import hashlib
import json
import math
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from stream.lake import Lake, dataset, partitions
from stream.lake_tables import TABLES, LakeTable

_ROW_GROUP_ROWS = 200_000
_FILE_BYTES = 128 << 20
_NOTE = "_replaced-"
_COMPACTED = "compacted-"


class Compaction(NamedTuple):
    """What a compaction did."""

    partitions: int
    files_read: int
    rows_read: int
    rows_kept: int
    files_deleted: int


def compact(
    lake: Lake,
    *,
    site: str | None = None,
    tables: Sequence[LakeTable] = TABLES,
    min_age_s: float = 300.0,
    grace_s: float = 60.0,
    now_s: float | None = None,
    file_bytes: int = _FILE_BYTES,
) -> Compaction:
    """Rewrite each partition's files as one, or few, without what does not count any more.

    Args:
        lake: the lake.
        site: only this site's partitions.
        tables: of which tables.
        min_age_s: files younger than this are left for the next time; it must exceed two
            checkpoints of the job that writes them, so that no unfinished one's file is touched.
        grace_s: how long replaced files stay for readers that have begun.
        now_s: the time, in seconds since the epoch.
        file_bytes: how large a file may grow before the next is begun.
    """
    now = time.time() if now_s is None else now_s
    total = Compaction(0, 0, 0, 0, 0)
    folders = [(table, *each) for table in tables for each in partitions(lake, site, table).items()]
    for table, folder, infos in folders:
        replaced = {path for note in _notes(lake, folder) for path in note.paths}
        old = [
            info.path
            for info in infos
            if info.path not in replaced and now - info.mtime.timestamp() >= min_age_s
        ]
        rewritten = any(not _is_compacted(path) for path in old)
        read, kept = _rewrite(lake, table, folder, sorted(old), file_bytes) if rewritten else (0, 0)
        total = Compaction(
            total.partitions + rewritten,
            total.files_read + (len(old) if rewritten else 0),
            total.rows_read + read,
            total.rows_kept + kept,
            total.files_deleted
            + _delete_replaced(lake, folder, now - grace_s if grace_s else math.inf),
        )
    return total


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


def _rewrite(
    lake: Lake, table: LakeTable, folder: str, paths: list[str], file_bytes: int
) -> tuple[int, int]:
    """Put files with the rows that count beside those they replace; return rows in and out.

    The names follow from the names replaced: after a crash the same files are written again.
    """
    names = [path.rpartition("/")[2] for path in paths]
    mark = hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]
    part = dataset(lake, paths, table, partitioned=False)
    with duckdb.connect() as connection:
        connection.register("part", part)
        ordered = f"{table.distinct('part')} ORDER BY {table.sorted}"
        batches = connection.sql(ordered).to_arrow_reader(_ROW_GROUP_ROWS)
        kept = _write(lake, f"{folder}/{_COMPACTED}{mark}", part.schema, batches, file_bytes)
        count = connection.execute("SELECT count(*) FROM part").fetchone()
    assert count is not None
    with lake.files.open_output_stream(f"{folder}/{_NOTE}{mark}.json") as out:
        out.write(json.dumps(names).encode())
    return count[0], kept


def _write(
    lake: Lake, path: str, schema: pa.Schema, batches: Iterator[pa.RecordBatch], file_bytes: int
) -> int:
    """Write batches to files, one after the other as each is full; return the number of rows."""
    rows = number = 0
    batch = next(batches, None)
    while batch is not None:
        name = f"{path}.parquet" if number == 0 else f"{path}-{number}.parquet"
        with (
            lake.files.open_output_stream(name) as out,
            pq.ParquetWriter(out, schema, compression="zstd") as writer,
        ):
            while batch is not None and out.tell() < file_bytes:
                writer.write_table(pa.Table.from_batches([batch]).cast(schema))
                rows += batch.num_rows
                batch = next(batches, None)
        number += 1
    return rows


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
