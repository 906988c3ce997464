"""SenML packs, JSON and CBOR, resolved as RFC 8428, section 4.6, has it.

A record is a reading when it has a number (``v``) or a boolean (``vb``, as 1 or 0). Sums (``s``)
become readings of the metric with ``.sum`` behind its name. Texts and data (``vs``, ``vd``) are
no readings; a pack of nothing else is invalid. The full name is ``bn`` and ``n`` together: what
stands before the last ``:``, ``/`` or, with neither, nothing, is the device, the rest the metric;
where the topic names the device the device of the name is left aside.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from gateway.formats import cbor, values
from gateway.ids import metric_id
from gateway.invalid import Invalid
from gateway.payloads import MAX_METRICS, Sample, ts_of

Clock = Callable[[], float]
_RELATIVE_S = 1 << 28
"""Times below this are relative to now (RFC 8428, 4.5.3)."""
# RFC 8428, section 6, table 4.
_LABELS = {
    -1: "bver", -2: "bn", -3: "bt", -4: "bu", -5: "bv", -6: "bs",
    0: "n", 1: "u", 2: "v", 3: "vs", 4: "vb", 5: "s", 6: "t", 7: "ut", 8: "vd",
}  # fmt: skip
_BASES = ("bn", "bt", "bu", "bv", "bs", "bver")
_KNOWN = frozenset(_LABELS.values())
_VERSION = 10


def from_json(payload: bytes, received_ts: int) -> list[Sample]:
    """Return the samples of a JSON pack.

    Raises:
        Invalid: with the reason.
    """
    return _resolved(msgspec.json.decode(payload), received_ts)


def from_cbor(payload: bytes, received_ts: int) -> list[Sample]:
    """Return the samples of a CBOR pack.

    Raises:
        Invalid: with the reason.
    """
    pack = cbor.document(payload)
    if not isinstance(pack, list):
        raise Invalid("BAD_PAYLOAD", "a SenML pack is an array")
    return _resolved([_labelled(record) for record in pack], received_ts)


def _labelled(record: Any) -> Any:
    if not isinstance(record, dict):
        return record
    return {_LABELS.get(key, key) if isinstance(key, int) else key: v for key, v in record.items()}


def _resolved(pack: Any, received_ts: int) -> list[Sample]:
    if not isinstance(pack, list) or not pack:
        raise Invalid("BAD_PAYLOAD", "a SenML pack is an array of at least one record")
    if len(pack) > MAX_METRICS:
        raise Invalid("TOO_LARGE", f"more than {MAX_METRICS} records in one pack")
    found: list[Sample] = []
    held: dict[str, Any] = {}
    for record in pack:
        if not isinstance(record, dict):
            raise Invalid("BAD_PAYLOAD", "a SenML record is an object")
        _check(record)
        held |= {name: record[name] for name in _BASES if name in record}
        found += _readings(record, held, received_ts)
    if not found:
        raise Invalid("NOT_A_NUMBER", "the pack holds no number and no boolean")
    return found


def _check(record: Mapping[Any, Any]) -> None:
    """Refuse what RFC 8428 says must be refused: a later version, a field that must be known."""
    version = record.get("bver", _VERSION)
    if type(version) is not int or version > _VERSION:
        raise Invalid("BAD_PAYLOAD", f"SenML version {str(version)[:40]!r}")
    for name in record:
        if isinstance(name, str) and name.endswith("_") and name not in _KNOWN:
            raise Invalid("BAD_PAYLOAD", f"field {name[:40]!r} must be understood and is not")


def _readings(record: Mapping[Any, Any], held: Mapping[str, Any], received_ts: int) -> list[Sample]:
    value, total = record.get("v"), record.get("s")
    if isinstance(record.get("vb"), bool):
        value = int(record["vb"])
    elif value is not None or ("bv" in held and not {"vs", "vd", "s"} & record.keys()):
        value = _sum("v", held.get("bv"), value)
    if value is None and total is None and "bs" not in held:
        return []
    device, metric = _name(held.get("bn", ""), record.get("n", ""))
    unit = values.text("u", record.get("u", held.get("bu")))
    ts = _time(_sum("t", held.get("bt"), record.get("t")), received_ts)
    found = []
    if value is not None:
        found.append(
            Sample(values.number("v", value), ts, unit, metric=metric_id(metric), device=device)
        )
    if total is not None or "bs" in held:
        number = values.number("s", _sum("s", held.get("bs"), total))
        found.append(Sample(number, ts, unit, metric=metric_id(f"{metric}.sum"), device=device))
    return found


def _sum(name: str, first: Any, second: Any) -> float:
    total = 0.0
    for part in (first, second):
        if part is not None:
            number = values.number(name, part)
            total = number if total == 0 else total + number
    return total


def _time(seconds: float, received_ts: int) -> int | None:
    if abs(seconds) < _RELATIVE_S:
        # Now, by the clock of the gateway: the device said no time of its own.
        return None if seconds == 0 else ts_of(received_ts + round(seconds * 1000))
    return values.time_ms(seconds, "s")


def _name(first: Any, second: Any) -> tuple[str, str]:
    if not isinstance(first, str) or not isinstance(second, str):
        raise Invalid("BAD_PAYLOAD", "a SenML name is text")
    full = first + second
    cut = max(full.rfind(":"), full.rfind("/"))
    return full[:cut].replace(":", "_").replace("/", "_") if cut > 0 else "", full[cut + 1 :]
