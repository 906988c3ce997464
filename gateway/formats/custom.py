"""Decoders of others, found by entry point.

A package that offers one declares, in the group ``tidegate.decoders``, a function
``decode(payload: bytes) -> Iterable[Sample]``, with ``Sample`` of ``gateway.payloads``; each names
its metric. Whatever the function raises is the reason of a dead letter.
"""

from collections.abc import Callable, Iterable
from importlib.metadata import entry_points
from itertools import islice

import msgspec

from gateway.formats import values
from gateway.ids import metric_id
from gateway.invalid import Invalid
from gateway.payloads import MAX_METRICS, Sample

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
    made = _called(decode, payload)
    if not made:
        raise Invalid("MISSING", "the decoder found no reading")
    if len(made) > MAX_METRICS:
        raise Invalid("TOO_LARGE", f"more than {MAX_METRICS} values in one message")
    return [_checked(sample) for sample in made]


def _called(decode: Decode, payload: bytes) -> list[Sample]:
    """Call foreign code: what it raises, struct.error say, must not end the gateway."""
    try:
        return list(islice(decode(payload), MAX_METRICS + 1))
    except Invalid:
        raise
    except Exception as error:  # foreign code: a message that ends the process would come again
        told = f"the decoder raised {type(error).__name__}: {error}"
        raise Invalid("UNDECODABLE", told[:200]) from error


def _checked(sample: Sample) -> Sample:
    if not isinstance(sample, Sample):
        raise Invalid("UNDECODABLE", f"the decoder gave a {type(sample).__name__}, no Sample")
    metric_id(sample.metric)
    return msgspec.structs.replace(
        sample,
        value=values.number("value", sample.value),
        ts=values.time_ms(sample.ts, "ms"),
        seq=values.whole(sample.seq),
        boot=values.boot(sample.boot),
        unit=values.text("unit", sample.unit),
        quality=values.quality(sample.quality),
    )
