"""The three payload formats: a bare number, one JSON reading, a JSON object of several metrics.

JSON is RFC 8259 as msgspec reads it: UTF-8 without a byte order mark, no NaN or Infinity, nothing
behind the document. Of two equal members of one object the last counts.
"""

import re
from collections.abc import Callable
from math import isfinite
from typing import Annotated, Literal, NamedTuple

import msgspec

from gateway.ids import metric_id
from gateway.invalid import Invalid
from schemas.records import Quality

Format = Literal["json", "number", "metrics"]

MAX_METRICS = 1024
_MAX_TEXT = 64
_LONG = 1 << 63
# Year 9999: later times fit Avro's long and Java, and nothing else can print them.
MAX_TS = 253_402_300_799_999
# How msgspec says that a value is beyond its limit.
_LIMIT = re.compile(r" [<>]= -?\d+ ")
_NOT_FINITE = re.compile(rb"(?i)\b(nan|inf|infinity)\b")


class Sample(msgspec.Struct, frozen=True, gc=False):
    """One value of a payload; what it does not say comes from the topic, the route or receipt.

    ``ts`` is the device's time in ms; ``metric`` and ``device`` are empty where the payload does
    not name them, and only count where the topic does not.
    """

    value: float
    ts: int | None = None
    unit: str | None = None
    seq: int | None = None
    boot: str | None = None
    quality: Quality = "GOOD"
    metric: str = ""
    device: str = ""


Parse = Callable[[bytes, int, int], list[Sample]]
"""From a payload to samples in their order; it raises :class:`Invalid`.

Beside it come the gateway's sequence number of its message, which grows in the order of the spool,
also over restarts, and its time of receipt, ms; decoded again after a crash it has the same ones.
"""


class Payload(NamedTuple):
    """A format of payloads: how they are read, and what they name themselves."""

    parse: Parse
    names_metrics: bool = False
    names_devices: bool = False
    bind: Callable[[str], Parse] | None = None
    """Where the topic says how to read them: from a topic to its parser; it raises Invalid."""


_Ts = Annotated[int, msgspec.Meta(ge=0, le=MAX_TS)]
_Seq = Annotated[int, msgspec.Meta(ge=-_LONG, le=_LONG - 1)]
_Text = Annotated[str, msgspec.Meta(max_length=_MAX_TEXT)]


class _Json(Sample, frozen=True, gc=False):
    """The payload decoded straight into a sample, whose limits msgspec then holds as well."""

    ts: _Ts | None = None
    unit: _Text | None = None
    seq: _Seq | None = None
    boot: _Text | int | None = None  # type: ignore[assignment] # until _parse_json has seen it
    # Names that stand for what the topic says; a payload may use them, and says nothing by it.
    metric: str = msgspec.field(default="", name=" metric")
    device: str = msgspec.field(default="", name=" device")


_json = msgspec.json.Decoder(_Json).decode
_number = msgspec.json.Decoder(float).decode
_metrics = msgspec.json.Decoder(dict[str, int | float | str | None]).decode


def plain(form: Format) -> Payload:
    """Return one of the three plain formats."""
    read = _PARSERS[form]

    def parse(payload: bytes, _seq: int, _received_ts: int) -> list[Sample]:
        try:
            return read(payload)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise why(payload, form, error) from error

    return Payload(parse, names_metrics=form == "metrics")


def _parse_number(payload: bytes) -> list[Sample]:
    return [Sample(_number(payload))]


def _parse_json(payload: bytes) -> list[Sample]:
    sample = _json(payload)
    if type(sample.boot) is int:
        sample = msgspec.structs.replace(sample, boot=str(sample.boot))
    return [sample]


def _parse_metrics(payload: bytes) -> list[Sample]:
    members = _metrics(payload)
    ts = ts_of(_whole("ts", members.pop("ts", None)))
    seq = seq_of(_whole("seq", members.pop("seq", None)))
    boot = members.pop("boot", None)
    if not members:
        raise Invalid("BAD_JSON", "no metric in the object")
    if len(members) > MAX_METRICS:
        raise Invalid("TOO_LARGE", f"more than {MAX_METRICS} metrics in one message")
    told = None if boot is None else boot_of(boot)
    return [
        Sample(_float(name, value), ts, None, seq, told, "GOOD", metric_id(name))
        for name, value in members.items()
    ]


_PARSERS: dict[Format, Callable[[bytes], list[Sample]]] = {
    "number": _parse_number,
    "json": _parse_json,
    "metrics": _parse_metrics,
}


def _float(name: str, value: float | str | None) -> float:
    if value is None or isinstance(value, str):
        raise Invalid("NOT_A_NUMBER", f"{name} is {str(value)[:40]!r}")
    try:
        return float(value)
    except OverflowError as error:
        raise Invalid("OUT_OF_RANGE", f"{name} does not fit a double") from error


def _whole(name: str, value: float | str | None) -> int | None:
    if value is None or type(value) is int:
        return value
    raise Invalid("BAD_JSON", f"{name} is no integer")


def ts_of(ts: int | None) -> int | None:
    """Return a time in ms that can be kept and printed, or raise Invalid."""
    if ts is None or 0 <= ts <= MAX_TS:
        return ts
    # As an integer: of 400 digits it is no double, not even to be told.
    raise Invalid("OUT_OF_RANGE", f"ts {str(ts)[:16]} is no time in ms between 1970 and 9999")


def seq_of(seq: int | None) -> int | None:
    """Return a sequence number that fits the contract, or raise Invalid."""
    if seq is None or -_LONG <= seq < _LONG:
        return seq
    raise Invalid("OUT_OF_RANGE", "seq does not fit 64 bits")


def boot_of(boot: str | float) -> str:
    """Return a boot id as text, or raise Invalid."""
    if isinstance(boot, float) or len(text := str(boot)) > _MAX_TEXT:
        raise Invalid("OUT_OF_RANGE", f"boot is no integer or text of {_MAX_TEXT} characters")
    return text


def beyond(metric: str, value: float, limit: float) -> Invalid:
    """Return why a value is refused that is not within ± ``limit``."""
    name = metric or "value"
    if not isfinite(value):
        return Invalid("NOT_FINITE", f"{name} is {value}")
    return Invalid("OUT_OF_RANGE", f"{name} is {value:g}, beyond ±{limit:g}")


def why(payload: bytes, form: Format, error: Exception) -> Invalid:
    """Name the reason of a failed parse; slow, and off the path of good messages."""
    if isinstance(error, RecursionError):
        return Invalid("BAD_JSON", "nested too deeply")
    if isinstance(error, UnicodeDecodeError):
        return Invalid("BAD_JSON", "not UTF-8")
    text = str(error)
    if "out of range" in text or _LIMIT.search(text):
        return Invalid("OUT_OF_RANGE", text)
    if isinstance(error, msgspec.ValidationError):
        of_value = "$.value" in text or "$[...]" in text or form == "number"
        return Invalid("NOT_A_NUMBER" if of_value else "BAD_JSON", text)
    if _NOT_FINITE.search(payload):
        return Invalid("NOT_FINITE", "NaN or Infinity is no JSON number")
    return Invalid("NOT_A_NUMBER" if form == "number" else "BAD_JSON", text)
