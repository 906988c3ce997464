"""From the words of a route's table to the format they choose."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from gateway.formats import binary, custom, mapped
from gateway.formats.binary import Column
from gateway.formats.mapped import Fields
from gateway.formats.values import TsUnit
from gateway.payloads import Format, Payload, Sample, plain, why

if TYPE_CHECKING:
    from gateway.formats.sparkplug import Host

Name = Literal[
    "json", "number", "metrics", "cbor", "senml", "senml-cbor", "sparkplug", "struct", "custom"
]  # fmt: skip

Read = Callable[[bytes, int], list[Sample]]


class Words(msgspec.Struct, frozen=True):
    """What a route may say about its payload; which words go together :func:`payload` knows."""

    payload: Name
    each: str | None = None
    fields: Fields | None = None
    metrics: dict[str, str] = {}
    ts_unit: TsUnit = "ms"
    layout: str = ""
    columns: tuple[Column, ...] = ()
    decoder: str = ""


_ALLOWED = {
    "json": ("each", "fields", "metrics", "ts_unit"),
    "cbor": ("each", "fields", "metrics", "ts_unit"),
    "struct": ("layout", "columns", "ts_unit"),
    "custom": ("decoder",),
}
_EMPTY = Words("number")


def payload(words: Words, host: "Host | None" = None) -> Payload:
    """Return the format that a route chooses.

    Args:
        words: what it says.
        host: what its Sparkplug messages are read by; by default one that remembers nothing.

    Raises:
        ValueError: the words do not go together, with what is wrong.
    """
    name = words.payload
    for word in msgspec.structs.fields(Words):
        if word.name in ("payload", *_ALLOWED.get(name, ())):
            continue
        if getattr(words, word.name) != getattr(_EMPTY, word.name):
            raise ValueError(f'"{word.name}" means nothing for payload = "{name}"')
    if name == "cbor" or (name == "json" and (words.fields or words.metrics)):
        return _mapped(words)
    if name == "struct":
        layout = binary.compiled(words.layout, words.columns, words.ts_unit)
        return _read(lambda raw, _: binary.samples(raw, layout), names_metrics=True)
    if name == "custom":
        decode = custom.found(words.decoder)
        return _read(lambda raw, _: custom.samples(raw, decode), names_metrics=True)
    if name in ("senml", "senml-cbor"):
        return _senml(name)
    if name == "sparkplug":
        return _sparkplug(host)
    return plain(name)  # type: ignore[arg-type] # the other names are the plain ones


def _mapped(words: Words) -> Payload:
    table = mapped.compiled(words.each, words.fields or Fields(), words.metrics, words.ts_unit)
    if words.payload == "cbor":
        from gateway.formats import cbor  # noqa: PLC0415 - only where a route asks for it

        document: Callable[[bytes], Any] = cbor.document
    else:
        document = msgspec.json.decode
    return _read(
        lambda raw, _: mapped.samples(document(raw), table),
        names_metrics=bool(table.metrics) or "metric" in table.fields,
        names_devices="device" in table.fields,
    )


def _senml(name: Name) -> Payload:
    from gateway.formats import senml  # noqa: PLC0415 - only where a route asks for it

    read = senml.from_json if name == "senml" else senml.from_cbor
    return _read(read, names_metrics=True, names_devices=True)


def _sparkplug(host: "Host | None") -> Payload:
    from gateway.formats.births import Births  # noqa: PLC0415 - only where a route asks for it
    from gateway.formats.sparkplug import Host  # noqa: PLC0415

    bind = (host or Host(Births(None))).bind
    return Payload(plain("number").parse, names_metrics=True, names_devices=True, bind=bind)


def _read(read: Read, *, names_metrics: bool, names_devices: bool = False) -> Payload:
    form: Format = "metrics"

    def parse(raw: bytes, _seq: int, received_ts: int) -> list[Sample]:
        try:
            return read(raw, received_ts)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise why(raw, form, error) from error

    return Payload(parse, names_metrics, names_devices)
