"""The seven NAB `realKnownCause` series that ship with the package, and their labels."""

import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from schemas.failure import BadConfig
from simulators.clock import parse_time, weeks_to
from simulators.message import Message, merged
from simulators.series import CLOSING_MS, Series, closed, read_csv, series_messages, shifted

DATA = Path(__file__).parent / "data" / "nab"


class Shipped(NamedTuple):
    """One shipped file: what it measures and how many readings it holds."""

    metric: str
    unit: str | None
    readings: int


SERIES: dict[str, Shipped] = {
    "ambient_temperature_system_failure": Shipped("temperature", "degF", 7267),
    "cpu_utilization_asg_misconfiguration": Shipped("cpu_utilization", "%", 18050),
    "ec2_request_latency_system_failure": Shipped("request_latency", None, 4032),
    "machine_temperature_system_failure": Shipped("temperature", "degF", 22695),
    "nyc_taxi": Shipped("passengers", None, 10320),
    "rogue_agent_key_hold": Shipped("key_hold", None, 1882),
    "rogue_agent_key_updown": Shipped("key_updown", None, 5315),
}


@cache
def load(name: str) -> Series:
    """Read a shipped series; its device bears the series' name.

    Raises:
        BadConfig: no series of that name ships.
    """
    if name not in SERIES:
        raise BadConfig(f"no series {name!r} ships; there are: {', '.join(SERIES)}")
    shipped = SERIES[name]
    return read_csv(DATA / f"{name}.csv", device=name, metric=shipped.metric, unit=shipped.unit)


def nab_messages(
    site: str,
    *,
    start_ms: int,
    days: float | None = None,
    names: Sequence[str] = tuple(SERIES),
    closing_ms: int = CLOSING_MS,
) -> Iterator[Message]:
    """Yield the shipped series, each shifted by whole weeks into the week from ``start_ms``.

    Args:
        site: first part of every device_id and of the topic.
        start_ms: where the common simulated clock starts.
        days: cut this many days after ``start_ms``; None plays everything.
        names: of the series; all seven unless said.
        closing_ms: closing readings reach this far beyond each series' end.
    """
    series = [closed(shifted(load(name), start_ms, days), closing_ms) for name in names]
    return merged(*(series_messages(each, site) for each in series))


def labels(start_ms: int) -> dict[str, list[tuple[int, int]]]:
    """Return NAB's anomaly windows as [from_ms, to_ms] by series, shifted as the series are.

    Windows behind a cut are listed too: the caller knows which days it plays.
    """
    windows = json.loads((DATA / "windows.json").read_text(encoding="utf-8"))
    found = {}
    for name in SERIES:
        shift = weeks_to(load(name).points[0][0], start_ms)
        found[name] = [
            (parse_time(begin) + shift, parse_time(end) + shift)
            for begin, end in windows[f"{name}.csv"]
        ]
    return found
