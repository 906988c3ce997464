"""The Parquet lake: opening, listing, counting and querying what the jobs wrote.

Layout: ``readings/dt=YYYY-MM-DD/site=S/*.parquet``, and the same for ``windows`` and ``alerts``.
The jobs only ever add files; :mod:`stream.lake_compaction` makes few of many.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow import fs

from schemas.failure import Failure, Unavailable
from stream.lake_tables import READINGS, LakeTable


class Lake(NamedTuple):
    """A lake's file system and the folder of its tables on it."""

    files: fs.FileSystem
    home: str

    @property
    def root(self) -> str:
        """Return the folder of the readings."""
        return self.folder(READINGS)

    def folder(self, table: LakeTable) -> str:
        """Return a table's folder."""
        return f"{self.home}/{table.name}"


class Size(NamedTuple):
    """What part of a lake's readings there is."""

    files: int
    rows: int
    distinct: int


def open_lake(uri: str, *, endpoint: str = "", access_key: str = "", secret_key: str = "") -> Lake:
    """Open ``s3://bucket/prefix`` or a local folder.

    Raises:
        Failure: the URI has another scheme.
    """
    parts = urlsplit(uri)
    if parts.scheme in ("", "file"):
        return Lake(fs.LocalFileSystem(), parts.path)
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
    return Lake(fs.S3FileSystem(**options), f"{parts.netloc}{parts.path}")


def answers(lake: Lake) -> None:
    """Ask whether the lake's storage is there.

    Raises:
        Unavailable: it is not.
    """
    try:
        lake.files.get_file_info([lake.home])
    except OSError as error:
        raise Unavailable(f"the lake at {lake.home} does not answer: {error}") from error


def partitions(
    lake: Lake, site: str | None = None, table: LakeTable = READINGS
) -> dict[str, list[fs.FileInfo]]:
    """Return a table's Parquet files by partition folder, of one site or of all."""
    found: dict[str, list[fs.FileInfo]] = {}
    selector = fs.FileSelector(lake.folder(table), recursive=True, allow_not_found=True)
    for info in lake.files.get_file_info(selector):
        folder, _, name = info.path.rpartition("/")
        if info.type != fs.FileType.File or name.startswith(("_", ".")):
            continue
        if site is None or folder.endswith(f"/site={site}"):
            found.setdefault(folder, []).append(info)
    return dict(sorted(found.items()))


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
        raise _empty(lake, None, [READINGS])
    return dataset(lake, paths)


def connect(
    lake: Lake, site: str | None = None, tables: Sequence[LakeTable] = (READINGS,)
) -> duckdb.DuckDBPyConnection:
    """Return a connection that sees, of each table, ``X_raw`` (as written) and its views.

    A table without files is not there.

    Raises:
        Failure: the lake holds nothing.
    """
    found = {}
    for table in tables:
        infos = [info for each in partitions(lake, site, table).values() for info in each]
        if infos:
            found[table] = dataset(lake, [info.path for info in infos], table)
    if not found:
        raise _empty(lake, site, tables)
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    for table, files in found.items():
        connection.register(f"{table.name}_raw", files)
        for view in table.views():
            connection.execute(view)
    return connection


def _empty(lake: Lake, site: str | None, tables: Sequence[LakeTable]) -> Failure:
    folders = [folder for table in tables for folder in partitions(lake, None, table)]
    known = {folder.rpartition("/site=")[2] for folder in folders}
    if site is not None and known:
        return Failure(
            f"the lake at {lake.home} holds nothing of site {site!r}; it holds "
            f"{', '.join(sorted(known))}"
        )
    return Failure(f"the lake at {lake.home} holds no file yet; files appear with checkpoints")


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


def day_of(folder: str) -> str:
    """Return the day of a partition's folder, "" for one without."""
    return next((part[3:] for part in folder.split("/") if part.startswith("dt=")), "")


def dataset(
    lake: Lake, paths: list[str], table: LakeTable = READINGS, *, partitioned: bool = True
) -> ds.Dataset:
    """Return files of a table as one; with the columns of their folders, if ``partitioned``."""
    hive = ds.partitioning(pa.schema([("dt", pa.string()), ("site", pa.string())]), flavor="hive")
    return ds.dataset(
        paths,
        filesystem=lake.files,
        format="parquet",
        partitioning=hive if partitioned else None,
        partition_base_dir=lake.folder(table),
    )
