"""Recorded readings that commands take: from files or from the stack's lake."""

from pathlib import Path

import click

from compose.local.endpoints import read
from compose.options import Time
from stream.recorded import Series, Wanted, read_series

data_option = click.option(
    "--data",
    type=click.Path(exists=True, path_type=Path),
    help="A file or folder of CSV (timestamp, then a column for each metric; or "
    "timestamp,device,metric,value) or of the lake's Parquet.",
)
lake_option = click.option("--lake", is_flag=True, help="The stack's lake instead of --data.")
site_option = click.option("--site", help="Only this site.")
from_option = click.option("--from", "from_ms", type=Time(), help="Nothing before this event time.")
to_option = click.option("--to", "to_ms", type=Time(), help="Nothing from this event time on.")


def recorded(data: Path | None, wanted: Wanted, state: Path, *, lake: bool) -> list[Series]:
    """Return what is wanted of the data, or of the lake of the stack in ``state``.

    Raises:
        UsageError: neither is named, or both.
        Failure: they cannot be read, or hold nothing that is wanted.
        Unavailable: no stack is up.
    """
    if lake == (data is not None):
        raise click.UsageError("name the readings: either --data PATH or --lake")
    first, end = wanted.from_ms, wanted.to_ms
    if first is not None and end is not None and first >= end:
        raise click.UsageError("--from must be before --to")
    if data is not None:
        return read_series(data, wanted)
    from compose.lake_cli import lake_of  # noqa: PLC0415 - DuckDB and Arrow are heavy
    from stream.recorded_parquet import read_lake  # noqa: PLC0415

    return read_lake(lake_of(read(state)), wanted)
