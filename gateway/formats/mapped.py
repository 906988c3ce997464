"""Documents of nested objects and arrays, as a route's table of paths maps them to samples."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from gateway.formats import values
from gateway.formats.values import TsUnit
from gateway.ids import metric_id
from gateway.invalid import Invalid
from gateway.payloads import MAX_METRICS, Sample

Path = tuple[str, ...]
_INDEX = re.compile(r"0|[1-9][0-9]{0,5}")
_ESCAPE = re.compile(r"~(?![01])")


class Fields(msgspec.Struct, frozen=True):
    """Where a document says what: JSON Pointers, ``/a/0/b``, or dotted paths, ``a.0.b``."""

    value: str = ""
    ts: str = ""
    unit: str = ""
    seq: str = ""
    boot: str = ""
    quality: str = ""
    metric: str = ""
    device: str = ""


class Map(NamedTuple):
    """A compiled table of paths; ``metrics`` are (name, path)."""

    each: Path | None
    fields: Mapping[str, Path]
    metrics: tuple[tuple[str, Path], ...]
    ts_unit: TsUnit


def path(text: str) -> Path:
    """Return a JSON Pointer (RFC 6901) or a dotted path, taken apart; empty is the whole.

    Raises:
        ValueError: it is none.
    """
    if not text.startswith("/"):
        parts = text.split(".") if text else []
        if "" in parts:
            raise ValueError(
                f"{text!r}: a dotted path has an empty step; a JSON Pointer begins with /"
            )
        return tuple(parts)
    if _ESCAPE.search(text):
        raise ValueError(f"{text!r}: in a JSON Pointer ~ is written ~0, and / inside a name ~1")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/"))


def at(document: Any, steps: Path) -> Any:
    """Return what stands at a path, None when nothing does."""
    for step in steps:
        if isinstance(document, dict):
            document = document.get(step)
        elif isinstance(document, list) and _INDEX.fullmatch(step) and int(step) < len(document):
            document = document[int(step)]
        else:
            return None
    return document


def compiled(each: str | None, fields: Fields, metrics: Mapping[str, str], ts_unit: TsUnit) -> Map:
    """Check a route's paths and return them compiled.

    Raises:
        ValueError: with what is wrong, for the person who wrote it.
    """
    paths = {name: path(text) for name, text in msgspec.structs.asdict(fields).items() if text}
    if bool(metrics) == ("value" in paths):
        raise ValueError("needs either fields.value or a table of metrics")
    if metrics and "metric" in paths:
        raise ValueError("a table of metrics names them; fields.metric would name them again")
    named = tuple((_valid(name), path(text)) for name, text in metrics.items())
    return Map(None if each is None else path(each), paths, named, ts_unit)


def samples(document: Any, mapping: Map) -> list[Sample]:
    """Return the samples of a document.

    A metric of the table that a document lacks is left out: machines send what they have. A
    document that holds none of them, or a single reading without its value, is invalid.

    Raises:
        Invalid: with the reason.
    """
    found: list[Sample] = []
    for one in _documents(document, mapping.each):
        found += _one(one, mapping)
        if len(found) > MAX_METRICS:
            raise Invalid("TOO_LARGE", f"more than {MAX_METRICS} values in one message")
    return found


def _documents(document: Any, each: Path | None) -> Iterable[Any]:
    if each is None:
        return [document]
    items = at(document, each)
    if not isinstance(items, list) or not items:
        raise Invalid("MISSING", f"no array of readings at /{'/'.join(each)}")
    return items


def _one(document: Any, mapping: Map) -> list[Sample]:
    def field(name: str) -> Any:
        steps = mapping.fields.get(name)
        return None if steps is None else at(document, steps)

    shared = (
        values.time_ms(field("ts"), mapping.ts_unit),
        values.text("unit", field("unit")),
        values.whole(field("seq")),
        values.boot(field("boot")),
        values.quality(field("quality")),
    )
    device = _named("device", mapping, field)
    if not mapping.metrics:
        value = field("value")
        if value is None:
            raise Invalid("MISSING", f"no value at /{'/'.join(mapping.fields['value'])}")
        metric = _named("metric", mapping, field)
        named = metric_id(metric) if metric else ""
        return [Sample(values.number("value", value), *shared, named, device)]
    present = [(name, at(document, steps)) for name, steps in mapping.metrics]
    there = [(name, value) for name, value in present if value is not None]
    if not there:
        raise Invalid("MISSING", "none of the route's metrics is in the document")
    return [Sample(values.number(name, v), *shared, name, device) for name, v in there]


def _named(name: str, mapping: Map, field: Callable[[str], Any]) -> str:
    if name not in mapping.fields:
        return ""
    text = values.text(name, field(name))
    if not text:
        raise Invalid("MISSING", f"no {name} at /{'/'.join(mapping.fields[name])}")
    return text


def _valid(metric: str) -> str:
    try:
        return metric_id(metric)
    except Invalid as error:
        raise ValueError(error.detail) from error
