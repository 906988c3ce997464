"""Single values of a decoded document as a sample's fields, each held against its limits."""

from datetime import datetime
from math import isfinite
from typing import Any, Literal

from gateway.invalid import Invalid
from gateway.payloads import MAX_TS, boot_of, seq_of, ts_of
from schemas.records import Quality

TsUnit = Literal["ms", "s", "us", "ns", "rfc3339"]
_PER_MS = {"ms": 1, "s": 0.001, "us": 1000, "ns": 1_000_000}
_MAX_TEXT = 64
_QUALITIES: dict[Any, Quality] = {"GOOD": "GOOD", "UNCERTAIN": "UNCERTAIN", "BAD": "BAD"}


def number(name: str, value: Any) -> float:
    """Return a number.

    Raises:
        Invalid: NOT_A_NUMBER, OUT_OF_RANGE. True and false are no numbers.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Invalid("NOT_A_NUMBER", f"{name} is {str(value)[:40]!r}")
    try:
        return float(value)
    except OverflowError as error:
        raise Invalid("OUT_OF_RANGE", f"{name} does not fit a double") from error


def time_ms(value: Any, unit: TsUnit) -> int | None:
    """Return a time in ms, None where there is none.

    Raises:
        Invalid: BAD_PAYLOAD, OUT_OF_RANGE.
    """
    if value is None:
        return None
    if isinstance(value, datetime):
        return ts_of(_from_datetime(value))
    if unit == "rfc3339":
        return ts_of(_from_text(value))
    # An integer of 400 digits is no double, and cannot be asked whether it is finite.
    endless = isinstance(value, float) and not isfinite(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or endless:
        raise Invalid("BAD_PAYLOAD", f"ts is {str(value)[:40]!r}, no number of {unit}")
    if abs(value) > MAX_TS * _PER_MS["ns"]:
        raise Invalid("OUT_OF_RANGE", "ts lies beyond the year 9999")
    if isinstance(value, int) and unit != "s":
        return ts_of(value // int(_PER_MS[unit]))
    return ts_of(round(value / _PER_MS[unit]))


def whole(value: Any) -> int | None:
    """Return a sequence number, None where there is none.

    Raises:
        Invalid: BAD_PAYLOAD, OUT_OF_RANGE.
    """
    if value is not None and type(value) is not int:
        raise Invalid("BAD_PAYLOAD", f"seq is {str(value)[:40]!r}, no integer")
    return seq_of(value)


def boot(value: Any) -> str | None:
    """Return what tells a device's starts apart, None where nothing does.

    Raises:
        Invalid: OUT_OF_RANGE.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise Invalid("OUT_OF_RANGE", f"boot is {str(value)[:40]!r}, no text or integer")
    return boot_of(value)


def text(name: str, value: Any) -> str | None:
    """Return a short text, None where there is none.

    Raises:
        Invalid: BAD_PAYLOAD, OUT_OF_RANGE.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise Invalid("BAD_PAYLOAD", f"{name} is {str(value)[:40]!r}, no text")
    if len(value) > _MAX_TEXT:
        raise Invalid("OUT_OF_RANGE", f"{name} is longer than {_MAX_TEXT} characters")
    return value


def quality(value: Any) -> Quality:
    """Return a quality; good where nothing is said.

    Raises:
        Invalid: BAD_PAYLOAD.
    """
    if value is None:
        return "GOOD"
    if not isinstance(value, str) or value.upper() not in _QUALITIES:
        raise Invalid("BAD_PAYLOAD", f"quality is {str(value)[:40]!r}: GOOD, UNCERTAIN or BAD")
    return _QUALITIES[value.upper()]


def _from_text(value: Any) -> int:
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        raise Invalid("BAD_PAYLOAD", f"ts is {str(value)[:40]!r}, no RFC 3339 text")
    try:
        return _from_datetime(datetime.fromisoformat(value))
    except ValueError as error:
        raise Invalid("BAD_PAYLOAD", f"ts is {value[:40]!r}, no RFC 3339 text") from error


def _from_datetime(value: datetime) -> int:
    if value.tzinfo is None:
        raise Invalid("BAD_PAYLOAD", f"ts {value} has no time zone")
    return round(value.timestamp() * 1000)
