"""`tidegate lake`: look into the Parquet lake and keep it tidy."""

import json
from pathlib import Path

import click
import duckdb

from compose.listing import aligned
from compose.local.endpoints import Endpoints, read
from compose.options import Duration, state_option
from schemas.failure import Failure
from stream.lake import Lake, compact, connect, open_lake, partitions

_site = click.option("--site", help="Only this site.")


@click.group()
def lake() -> None:
    """Query and compact the Parquet lake."""


@lake.command()
@click.argument("sql")
@_site
@click.option("--json", "as_json", is_flag=True)
@state_option
def query(sql: str, site: str | None, state: Path, *, as_json: bool) -> None:
    """Run SQL over `readings` (each once) and `readings_raw` (as written)."""
    with connect(lake_of(read(state)), site) as connection:
        try:
            answer = connection.execute(sql)
            columns = [column[0] for column in answer.description or ()]
            rows = answer.fetchall()
        except duckdb.Error as error:
            raise Failure(f"the query does not run: {error}") from error
    if as_json:
        click.echo(json.dumps([dict(zip(columns, row, strict=True)) for row in rows], default=str))
        return
    for line in aligned(columns, rows):
        click.echo(line)


@lake.command()
@_site
@state_option
def ls(site: str | None, state: Path) -> None:
    """List the partitions with their files and bytes."""
    for folder, infos in partitions(lake_of(read(state)), site).items():
        bytes_ = sum(info.size for info in infos)
        click.echo(f"{folder}  {len(infos)} files  {bytes_} bytes")


@lake.command("compact")
@_site
@click.option(
    "--min-age",
    type=Duration(),
    default="5m",
    show_default=True,
    help="Leave younger files alone; longer than two checkpoints of the lake job.",
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
def compact_(site: str | None, min_age: int, grace: int, state: Path, *, as_json: bool) -> None:
    """Rewrite each partition as one file without repeats."""
    done = compact(lake_of(read(state)), site=site, min_age_s=min_age / 1000, grace_s=grace / 1000)
    if as_json:
        click.echo(json.dumps(done._asdict()))
        return
    click.echo(
        f"{done.partitions} partitions, {done.files_read} files into one each; "
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
