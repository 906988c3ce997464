"""`tidegate lake`: look into the Parquet lake and keep it tidy."""

import json
import re
from pathlib import Path

import click
import duckdb

from compose.listing import aligned, json_line
from compose.local.endpoints import Endpoints, read
from compose.options import Duration, state_option
from schemas.failure import Failure
from stream.lake import Lake, connect, open_lake, partitions
from stream.lake_compaction import compact
from stream.lake_tables import TABLES, LakeTable

_site = click.option("--site", help="Only this site.")
_table = click.option(
    "--table",
    "tables",
    multiple=True,
    type=click.Choice([table.name for table in TABLES]),
    help="Only this table; may be given twice. All of them unless said.",
)


@click.group()
def lake() -> None:
    """Query and compact the Parquet lake."""


@lake.command()
@click.argument("sql")
@_site
@click.option("--json", "as_json", is_flag=True, help="One list of objects; NaN is null.")
@state_option
def query(sql: str, site: str | None, state: Path, *, as_json: bool) -> None:
    """Run SQL over the lake's tables.

    `readings`, `windows` and `alerts` hold what is valid, each once; `X_raw` is what was written.
    `rollups` are the windows that stand at whole multiples of their own length, a day's in UTC;
    `sessions` are the runs of machines; `alerts_latest` has the newest record of each alert.
    """
    with connect(lake_of(read(state)), site, TABLES) as connection:
        try:
            # Nothing, not even a connection, is what DuckDB returns of a text without a statement.
            answer: duckdb.DuckDBPyConnection | None = connection.execute(sql)
            if answer is None:
                raise click.BadParameter("holds no statement", param_hint="SQL")
            columns = [column[0] for column in answer.description or ()]
            rows = answer.fetchall()
        except duckdb.Error as error:
            raise Failure(
                f"the query does not run: {error}{_not_there(connection, error)}"
            ) from error
    if as_json:
        for each in columns:
            if columns.count(each) > 1:
                raise Failure(f"two columns are called {each!r}: give one another name, by AS")
        click.echo(f"[{', '.join(json_line(columns, row) for row in rows)}]")
        return
    for line in aligned(columns, rows):
        click.echo(line)


@lake.command()
@_site
@_table
@state_option
def ls(site: str | None, tables: tuple[str, ...], state: Path) -> None:
    """List the partitions with their files and bytes."""
    lake, rows = lake_of(read(state)), []
    for table in _chosen(tables):
        for folder, infos in partitions(lake, site, table).items():
            rows.append((folder, len(infos), sum(info.size for info in infos)))
    for line in aligned(("PARTITION", "FILES", "BYTES"), rows):
        click.echo(line)


def _chosen(names: tuple[str, ...]) -> list[LakeTable]:
    return [table for table in TABLES if not names or table.name in names]


def _not_there(connection: duckdb.DuckDBPyConnection, error: duckdb.Error) -> str:
    """Say who writes the table that a query names in vain, if one of ours does; else ""."""
    if not isinstance(error, duckdb.CatalogException):
        return ""
    there = {row[0] for row in connection.execute("SHOW TABLES").fetchall()}
    words = set(re.findall(r"\w+", str(error)))
    for table in TABLES:
        if table.name not in there and words & set(table.names):
            return (
                f"; the lake holds no {table.name} yet: the job {table.job} writes them "
                f"(tidegate jobs submit {table.job}), at its checkpoints"
            )
    return ""


@lake.command("compact")
@_site
@_table
@click.option(
    "--min-age",
    type=Duration(),
    default="5m",
    show_default=True,
    help="Leave younger files alone; longer than two checkpoints of the jobs.",
)
@click.option(
    "--grace",
    type=Duration(),
    default="1m",
    show_default=True,
    help="How long replaced files stay for readers that have begun.",
)
@click.option("--json", "as_json", is_flag=True)
@state_option
def compact_(
    site: str | None,
    tables: tuple[str, ...],
    min_age: int,
    grace: int,
    state: Path,
    *,
    as_json: bool,
) -> None:
    """Rewrite each partition as files of about 128 MB.

    Repeats are left out, and what was replaced.
    """
    done = compact(
        lake_of(read(state)),
        site=site,
        tables=_chosen(tables),
        min_age_s=min_age / 1000,
        grace_s=grace / 1000,
    )
    if as_json:
        click.echo(json.dumps(done._asdict()))
        return
    click.echo(
        f"{done.partitions} partitions, {done.files_read} files rewritten; "
        f"{done.rows_read} rows in, {done.rows_kept} kept; {done.files_deleted} old files deleted"
    )


def lake_of(endpoints: Endpoints) -> Lake:
    """Open the lake of a local stack."""
    return open_lake(
        endpoints.lake_uri,
        endpoint=endpoints.s3_endpoint,
        access_key=endpoints.s3_access_key,
        secret_key=endpoints.s3_secret_key,
    )
