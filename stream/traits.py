"""What a rule asks of the device's record: its class, asset, labels and how often it reports."""

import operator
import re
from collections.abc import Callable
from typing import Literal

import msgspec

from schemas.amounts import duration, told_ms
from schemas.records import Device
from stream.fleet import labels_of
from stream.globs import matches

_OPS: dict[str, Callable[[int, int], bool]] = {
    "<=": operator.le,
    "<": operator.lt,
    ">=": operator.ge,
    ">": operator.gt,
}
_INTERVAL = re.compile(r"\s*(<=|<|>=|>)\s*(\S.*?)\s*")


class Interval(msgspec.Struct, frozen=True):
    """How often a device reports, compared with so many ms."""

    op: Literal["<=", "<", ">=", ">"]
    ms: int

    def told(self) -> str:
        """Return it as a rule file has it."""
        return f"{self.op}{told_ms(self.ms)}"


class Traits(msgspec.Struct, frozen=True):
    """Globs of what a device has to be; a device nobody has told of is nothing of it.

    ``labels`` are by name; ``class`` and ``iso_group`` of the record count as labels, too.
    """

    labels: tuple[tuple[str, tuple[str, ...]], ...] = ()
    asset: tuple[str, ...] = ()
    interval: Interval | None = None


def interval_of(text: str) -> Interval:
    """Return what ``"<=10m"`` says.

    Raises:
        ValueError: it says no such thing.
    """
    found = _INTERVAL.fullmatch(text)
    if found is None:
        raise ValueError(f'expected a bound such as "<=10m" or ">1h", got {text!r}')
    return Interval(found[1], int(duration(found[2])))  # type: ignore[arg-type]


def lacks(asked: Traits, device: Device | None) -> list[str]:
    """Return what a device is not of what is asked; nothing when it is all of it."""
    if device is None:
        return ["a device that `fleet add` has told of"]
    known = labels_of(device)
    wrong = [
        f"{name} {', '.join(globs)}"
        for name, globs in asked.labels
        if not matches(globs, known.get(name, ""))
    ]
    if asked.asset and not matches(asked.asset, device.asset_id):
        wrong.append(f"asset {', '.join(asked.asset)}")
    if asked.interval is not None and not _meets(asked.interval, device.interval_ms):
        wrong.append(f"interval {asked.interval.told()}")
    return wrong


def _meets(asked: Interval, interval_ms: int | None) -> bool:
    return interval_ms is not None and _OPS[asked.op](interval_ms, asked.ms)
