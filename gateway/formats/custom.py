"""Decoders of others, found by entry point.

A package that offers one declares, in the group ``tidegate.decoders``, a function
``decode(payload: bytes) -> Iterable[Sample]``, with ``Sample`` of ``gateway.payloads``. What it
raises is the reason of a dead letter.
"""

from collections.abc import Callable, Iterable
from importlib.metadata import entry_points

import msgspec

from gateway.formats import values
from gateway.ids import metric_id
from gateway.invalid import Invalid
from gateway.payloads import MAX_METRICS, Sample, boot_of, seq_of, ts_of

GROUP = "tidegate.decoders"
Decode = Callable[[bytes], Iterable[Sample]]


def found(name: str) -> Decode:
    """Return the decoder of a name.

    Raises:
        ValueError: there is none, with the names there are.
    """
    offered = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in offered:
        names = ", ".join(sorted(offered)) or "none is installed"
        raise ValueError(f"no decoder {name!r} in the entry points {GROUP}: {names}")
    try:
        decode = offered[name].load()
    except (ImportError, AttributeError) as error:
        raise ValueError(f"decoder {name!r} cannot be loaded: {error}") from error
    loaded: Decode = decode
    return loaded


def samples(payload: bytes, decode: Decode) -> list[Sample]:
    """Return what a decoder makes of a payload, held against the limits of every other format.

    Raises:
        Invalid: with the reason.
    """
    made = list(decode(payload))
    if not made:
        raise Invalid("MISSING", "the decoder found no reading")
    if len(made) > MAX_METRICS:
        raise Invalid("TOO_LARGE", f"more than {MAX_METRICS} values in one message")
    return [_checked(sample) for sample in made]


def _checked(sample: Sample) -> Sample:
    if not isinstance(sample, Sample):
        raise Invalid("UNDECODABLE", f"the decoder gave a {type(sample).__name__}, no Sample")
    if sample.metric:
        metric_id(sample.metric)
    return msgspec.structs.replace(
        sample,
        value=values.number("value", sample.value),
        ts=ts_of(sample.ts),
        seq=seq_of(sample.seq),
        boot=None if sample.boot is None else boot_of(sample.boot),
        unit=values.text("unit", sample.unit),
        quality=values.quality(sample.quality),
    )
