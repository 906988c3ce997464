"""Fixed binary layouts, by a format string of Python's struct module and a column a value."""

import struct
from math import isfinite, isnan
from typing import Literal, NamedTuple

import msgspec

from gateway.formats import values
from gateway.formats.values import TsUnit
from gateway.ids import metric_id
from gateway.invalid import Invalid
from gateway.payloads import Sample

_ORDERS = "<>!"
_MOST_BYTES = 65_536


class Column(msgspec.Struct, frozen=True):
    """What one value of the layout is: a metric, the time, the sequence number, or nothing.

    A metric is ``raw * scale + offset``; ``none`` is the raw value by which a device says that it
    has none (a sentinel).
    """

    metric: str = ""
    role: Literal["metric", "ts", "seq", "skip"] = "metric"
    scale: float = 1.0
    offset: float = 0.0
    unit: str | None = None
    none: int | None = None


class Layout(NamedTuple):
    """A compiled layout."""

    reader: struct.Struct
    columns: tuple[Column, ...]
    ts_unit: TsUnit


def compiled(layout: str, columns: tuple[Column, ...], ts_unit: TsUnit) -> Layout:
    """Check a layout and return it compiled.

    Raises:
        ValueError: with what is wrong, for the person who wrote it.
    """
    if layout[:1] not in tuple(_ORDERS):
        raise ValueError('a layout begins with its byte order: ">" (network) or "<"')
    try:
        reader = struct.Struct(layout)
    except struct.error as error:
        raise ValueError(f"layout {layout!r}: {error}") from error
    if reader.size > _MOST_BYTES:
        raise ValueError(f"layout {layout!r} has {reader.size} bytes; at most {_MOST_BYTES}")
    raws = reader.unpack(bytes(reader.size))
    count = len(raws)
    if count != len(columns):
        raise ValueError(
            f"layout {layout!r} has {count} values and the route {len(columns)} columns"
        )
    for column, raw in zip(columns, raws, strict=True):
        _check(layout, column, raw, ts_unit)
    names = [column.metric for column in columns if column.role == "metric"]
    if not names or len(set(names)) < len(names):
        raise ValueError("needs at least one column with a metric, and each metric once")
    for name in names:
        try:
            metric_id(name)
        except Invalid as error:
            raise ValueError(error.detail) from error
    return Layout(reader, columns, ts_unit)


def _check(layout: str, column: Column, raw: object, ts_unit: TsUnit) -> None:
    """Refuse a column that no payload could fill."""
    if column.role == "skip":
        return
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise ValueError(  # noqa: TRY004 - it is the layout that is wrong
            f"layout {layout!r}: only numbers are read, not s, p, c and ?; skip those"
        )
    if column.role == "seq" and not isinstance(raw, int):
        raise ValueError(f"layout {layout!r}: a seq is an integer")
    if column.role == "ts" and ts_unit == "rfc3339":
        raise ValueError('ts_unit = "rfc3339" is text, and a layout holds numbers')
    if not isfinite(column.scale) or not isfinite(column.offset) or column.scale == 0:
        raise ValueError(f"{column.metric}: scale and offset are finite numbers, scale is not 0")


def samples(payload: bytes, layout: Layout) -> list[Sample]:
    """Return the samples of a payload; sentinels are no readings.

    Raises:
        Invalid: BAD_PAYLOAD for another length, NOT_A_NUMBER for nothing but sentinels.
    """
    if len(payload) != layout.reader.size:
        raise Invalid("BAD_PAYLOAD", f"{len(payload)} bytes where {layout.reader.size} were due")
    ts = seq = None
    found: list[tuple[Column, float]] = []
    for column, raw in zip(layout.columns, layout.reader.unpack(payload), strict=True):
        if column.role == "skip" or raw == column.none:
            continue
        if column.role == "ts":
            ts = values.time_ms(raw, layout.ts_unit)
        elif column.role == "seq":
            seq = values.whole(raw)
        else:
            number = values.number(column.metric, raw)
            if isnan(number):
                raise Invalid("NOT_FINITE", f"{column.metric} is {number}")
            found.append((column, number * column.scale + column.offset))
    if not found:
        raise Invalid("NOT_A_NUMBER", "the device says that it has no value")
    return [Sample(number, ts, column.unit, seq, metric=column.metric) for column, number in found]
