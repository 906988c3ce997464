"""From one payload to the words of a route that may read it; a guess, which is tried before use."""

import io
import math
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import cbor2
import msgspec

from gateway.formats.choice import Name
from gateway.ids import ID, METRIC

Steps = tuple[str, ...]
_DEPTH = 4
_MOST_LEAVES = 200
_VALUE = ("value", "val", "v", "reading", "measurement")
_TS = ("ts", "timestamp", "time", "t", "datetime", "date", "at")
_UNIT = ("unit", "units", "uom", "u")
_SEQ = ("seq", "sequence", "counter", "n")
_METRIC = ("metric", "name", "measure", "type", "tag")
_DEVICE = ("device", "deviceid", "device_id", "machine", "asset", "serial", "id")
_PLAIN = {"value", "ts", "unit", "seq", "boot", "quality"}
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_UNFIT = re.compile(r"[^A-Za-z0-9_.-]+")


class Guess(NamedTuple):
    """Words of a route for a payload, and what the payload names itself."""

    payload: Name
    names_metrics: bool = False
    names_devices: bool = False
    words: Mapping[str, Any] = MappingProxyType({})


def guessed(topic: str, payload: bytes) -> Guess | str:
    """Return the words for a payload, or why there are none."""
    if topic.startswith("spBv1.0/"):
        return Guess("sparkplug", names_metrics=True, names_devices=True)
    if not payload:
        return "empty"
    try:
        return _of_document(msgspec.json.decode(payload), "json")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    try:
        stream = io.BytesIO(payload)
        document = cbor2.load(stream)
    except (cbor2.CBORDecodeError, ValueError, RecursionError):
        document = None
    # Nearly any byte is some number in CBOR, and proves nothing.
    if isinstance(document, dict | list) and not stream.read(1):
        return _of_document(document, "cbor")
    if payload.isascii():
        return "text that is neither a number nor JSON"
    return f'binary of {len(payload)} bytes: needs a layout, payload = "struct"'


def _of_document(document: Any, form: Name) -> Guess | str:
    if _number(document):
        return Guess("number") if form == "json" else "a bare number in CBOR"
    if isinstance(document, list) and document and all(isinstance(m, dict) for m in document):
        if _is_senml(document, form):
            name: Name = "senml" if form == "json" else "senml-cbor"
            return Guess(name, names_metrics=True, names_devices=True)
        inner = _of_object(document[0], form)
        return inner if isinstance(inner, str) else _each(inner, "")
    if not isinstance(document, dict):
        return "a document that is neither a number nor an object"
    for key, member in document.items():
        if isinstance(member, list) and member and isinstance(member[0], dict):
            inner = _of_object(member[0], form)
            if not isinstance(inner, str):
                return _each(inner, _pointer((str(key),)))
    return _of_object(document, form)


def _each(inner: Guess, pointer: str) -> Guess | str:
    if not inner.words.get("fields") and not inner.words.get("metrics"):
        inner = inner._replace(words={"fields": {"value": "/value", **_plain_fields(inner)}})
    return inner._replace(words={"each": pointer, **inner.words})


def _plain_fields(_inner: Guess) -> dict[str, str]:
    return {"ts": "/ts", "unit": "/unit", "seq": "/seq"}


def _is_senml(pack: list[dict[Any, Any]], form: Name) -> bool:
    values, names = ({"v", "vb"}, {"n", "bn"}) if form == "json" else ({2, 4}, {0, -2})
    keys = {key for record in pack for key in record}
    return bool(keys & values and keys & names)


def _of_object(document: dict[Any, Any], form: Name) -> Guess | str:
    leaves = dict(_leaves(document, ()))
    ts = _find(leaves, _TS, lambda leaf: time_unit(leaf) is not None)
    fields = {"ts": ts, "unit": _find(leaves, _UNIT, _text), "seq": _find(leaves, _SEQ, _integer)}
    value = _find(leaves, _VALUE, _number)
    unit = None if ts is None else time_unit(leaves[ts])
    if value is None:
        return _of_metrics(document, leaves, fields, unit, form)
    if form == "json" and set(document) <= _PLAIN and unit in (None, "ms"):
        return Guess("json")
    fields["value"] = value
    fields["metric"] = _find(leaves, _METRIC, lambda leaf: _text(leaf) and METRIC.fullmatch(leaf))
    fields["device"] = _find(leaves, _DEVICE, lambda leaf: _text(leaf) and ID.fullmatch(leaf))
    words = {"fields": {n: _pointer(f) for n, f in fields.items() if f is not None}}
    named = fields["metric"] is not None, fields["device"] is not None
    return Guess(form, *named, words=_with_unit(words, unit))


def _of_metrics(
    document: dict[Any, Any],
    leaves: dict[Steps, Any],
    fields: dict[str, Steps | None],
    unit: str | None,
    form: Name,
) -> Guess | str:
    others = {steps for steps in fields.values() if steps is not None}
    numbers = [steps for steps, leaf in leaves.items() if _number(leaf) and steps not in others]
    if not numbers:
        return "a document without a number"
    plain = all(_number(member) for key, member in document.items() if key != "boot")
    if form == "json" and plain and unit in (None, "ms") and fields["ts"] in (None, ("ts",)):
        return Guess("metrics", names_metrics=True)
    # The unit of one of several is not the others'.
    kept = {n: _pointer(f) for n, f in fields.items() if f is not None and n != "unit"}
    words: dict[str, Any] = {"metrics": {_name(steps): _pointer(steps) for steps in numbers}}
    if kept:
        words["fields"] = kept
    return Guess(form, names_metrics=True, words=_with_unit(words, unit))


def time_unit(leaf: Any) -> str | None:
    """Return the unit of a time since the epoch by its size, "rfc3339" of a text, else None."""
    if isinstance(leaf, str):
        return "rfc3339" if _RFC_3339.fullmatch(leaf) else None
    if not _number(leaf):
        return None
    # Times between 2001 and 2286.
    for unit, per_s in (("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)):
        if 1e9 * per_s <= leaf < 1e10 * per_s:
            return unit
    return None


def _with_unit(words: dict[str, Any], unit: str | None) -> dict[str, Any]:
    return words if unit in (None, "ms") else {**words, "ts_unit": unit}


def _leaves(document: Any, above: Steps) -> Iterator[tuple[Steps, Any]]:
    """Return the scalars of nested objects, the nearest ones first."""
    inner: list[tuple[Steps, Any]] = []
    for key, member in list(document.items())[:_MOST_LEAVES]:
        steps = (*above, str(key))
        if isinstance(member, dict) and len(steps) < _DEPTH:
            inner.append((steps, member))
        else:
            yield steps, member
    for steps, member in inner:
        yield from _leaves(member, steps)


def _find(leaves: dict[Steps, Any], names: tuple[str, ...], fits: Any) -> Steps | None:
    for name in names:
        for steps, leaf in leaves.items():
            if steps[-1].lower() == name and fits(leaf):
                return steps
    return None


def _pointer(steps: Steps) -> str:
    """Return a JSON Pointer (RFC 6901)."""
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)


def _name(steps: Steps) -> str:
    return _UNFIT.sub("_", ".".join(steps))[-64:].strip("._") or "value"


def _number(leaf: Any) -> bool:
    kind = isinstance(leaf, int | float) and not isinstance(leaf, bool)
    return kind and abs(leaf) < 2**1023 and not (isinstance(leaf, float) and math.isnan(leaf))


def _integer(leaf: Any) -> bool:
    return isinstance(leaf, int) and not isinstance(leaf, bool)


def _text(leaf: Any) -> bool:
    return isinstance(leaf, str) and 0 < len(leaf) <= 64
