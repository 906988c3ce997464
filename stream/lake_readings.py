"""The lake's readings as records again: each once, device by device, in order of time."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from schemas.failure import Failure
from schemas.records import Reading
from stream.lake import Lake, connect, day_of, partitions, readings
from stream.lake_tables import READINGS

_MEMORY = "512MB"
_ROWS_AT_ONCE = 5_000
_BATCH_ROWS = 32_768
# Flink writes times without a zone, in UTC; whoever writes a zone gets UTC from the session.
_UTC = "SET TimeZone = 'UTC'"
# In the order of the record; a row that lacks what the contract promises enters no pane.
_READINGS = f"""
SELECT device_id, metric, site, 'READING', unit, gateway_id, gateway_epoch, "value",
  epoch_ms(ts::TIMESTAMP), epoch_ms(device_ts::TIMESTAMP), device_boot, device_seq, quality,
  gateway_seq, part, "repeat", epoch_ms(received_ts::TIMESTAMP), clock, replayed
FROM ({READINGS.distinct("chosen")})
WHERE metric IS NOT NULL AND "value" IS NOT NULL AND ts IS NOT NULL AND quality IS NOT NULL
ORDER BY device_id, ts
"""


class Whole(NamedTuple):
    """Metrics, at least one, that are wanted from an earlier time on, ms."""

    metrics: tuple[str, ...]
    from_ms: int


class Chosen(NamedTuple):
    """Which readings: event times in [from_ms, to_ms), of one site or device or of all.

    Of the metrics of ``whole``, if any, earlier ones, too.
    """

    from_ms: int
    to_ms: int
    site: str | None = None
    device: str | None = None
    whole: Whole | None = None


def first_day_ms(lake: Lake, site: str | None = None) -> int | None:
    """Return when the lake's oldest day begins, ms; None for a lake without files."""
    days = _days(lake, site)
    if not days:
        return None
    return round(datetime.fromisoformat(min(days)).replace(tzinfo=UTC).timestamp() * 1000)


def read_back(lake: Lake, chosen: Chosen, scratch: Path) -> Iterator[Reading]:
    """Yield the readings in order of device and time.

    Sorting a whole fleet's takes more memory than there is, so what exceeds 512 MB goes to disk.

    Args:
        lake: where they are.
        chosen: which.
        scratch: a folder for what does not fit.

    Raises:
        Failure: the lake holds nothing, or cannot be read.
    """
    earliest = chosen.from_ms if chosen.whole is None else chosen.whole.from_ms
    first, last = _day(min(chosen.from_ms, earliest)), _day(chosen.to_ms - 1)
    if not any(first <= day <= last for day in _days(lake, chosen.site)):
        return
    found = readings(lake, chosen.site, days=(first, last))
    with duckdb.connect() as connection:
        connection.execute(_UTC)
        connection.execute(f"SET memory_limit = '{_MEMORY}'")
        connection.execute(f"SET temp_directory = '{_quoted(str(scratch))}'")
        connection.register("chosen", _scanned(found, chosen))
        try:
            connection.execute(_READINGS)
            while rows := connection.fetchmany(_ROWS_AT_ONCE):
                yield from (Reading(*row) for row in rows)
        except (duckdb.Error, OSError) as error:
            raise Failure(f"the lake at {lake.root} cannot be read: {error}") from error


def _scanned(found: ds.Dataset, chosen: Chosen) -> pa.RecordBatchReader:
    """Return the rows that are meant, read little ahead.

    DuckDB pauses while it writes to disk, and Arrow by itself reads on meanwhile.
    """
    kind = pa.timestamp("ms", found.schema.field("ts").type.tz)
    where = ds.field("ts") >= pa.scalar(chosen.from_ms, kind)
    if chosen.whole is not None:
        earlier = ds.field("ts") >= pa.scalar(chosen.whole.from_ms, kind)
        where |= ds.field("metric").isin(list(chosen.whole.metrics)) & earlier
    where &= ds.field("ts") < pa.scalar(chosen.to_ms, kind)
    if chosen.device is not None:
        where &= ds.field("device_id") == chosen.device
    scanner = found.scanner(
        filter=where, batch_size=_BATCH_ROWS, batch_readahead=2, fragment_readahead=1
    )
    return scanner.to_reader()


def has_device(lake: Lake, device: str, site: str | None = None) -> bool:
    """Say whether the lake holds any reading of a device.

    Raises:
        Failure: the lake holds nothing.
    """
    with connect(lake, site) as connection:
        asked = "SELECT 1 FROM readings_raw WHERE device_id = ? LIMIT 1"
        return connection.execute(asked, [device]).fetchone() is not None


def spans(lake: Lake, site: str | None = None) -> dict[str, tuple[int, int]]:
    """Return the first and last time of each device in the lake, ms.

    Raises:
        Failure: the lake holds nothing.
    """
    with connect(lake, site) as connection:
        connection.execute(_UTC)
        rows: list[Any] = connection.execute(
            "SELECT device_id, epoch_ms(min(ts)::TIMESTAMP), epoch_ms(max(ts)::TIMESTAMP) "
            "FROM readings_raw GROUP BY 1"
        ).fetchall()
    return {device: (first, last) for device, first, last in rows}


def _days(lake: Lake, site: str | None) -> set[str]:
    return {day_of(folder) for folder in partitions(lake, site)} - {""}


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d")


def _quoted(text: str) -> str:
    return text.replace("'", "''")
