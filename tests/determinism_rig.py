"""All data at hand as one stream, all rules at hand as one file, and what is to be made of both.

scenarios, NAB, bearings ─▶ recorded ─▶ shuffled ─▶ the job
                                    └─▶ decided ─▶ the backtest
"""

import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from pathlib import Path
from typing import Any, NamedTuple

import bearing_rig
import yaml

from schemas.records import Reading, reading_key
from simulators.clock import DAY_MS, HOUR_MS, MINUTE_MS, parse_time
from simulators.message import Message
from simulators.nab import SERIES, load
from simulators.scenario import SCENARIOS
from simulators.series import closed, series_messages
from simulators.stage import staged_messages
from simulators.staging import Staging, staged
from stream.backtest import Series, decisions
from stream.engine import Decision
from stream.panes import fold_order
from stream.rule import Rules
from stream.rules import packs, rules_text

START = parse_time("2026-01-05")
RECEIVED = START + 60 * DAY_MS
"""When gateways had all of it: later than any reading, as of devices that come back."""
SEED = 61

# What packs do not have: roll-ups, runs and metrics made of metrics.
_BESIDE = """
rollups:
  - {metric: "*", size: 1h}
  - {metric: [temperature, passengers], size: 1d}
sessions:
  - {name: run, while: {metric: running, op: ">=", value: 0.5}, gap: 15m, of: [temperature, current]}
derive:
  - {metric: heat_per_ampere, expr: "temperature / max(current, 1) * running"}
"""


def joined_rules() -> str:
    """Join the shipped packs in one file; what a pack names is called ``pack_name`` there."""
    joined: dict[str, Any] = {"version": 1, "baselines": {}, "rules": [], "suppress": []}
    for pack in packs():
        said = yaml.safe_load(rules_text(pack))
        names = {*said.get("baselines", {}), *(each["name"] for each in said["rules"])}
        said = _renamed(said, {name: f"{pack}_{name}" for name in names})
        joined["baselines"] |= said.get("baselines", {})
        joined["rules"] += said["rules"]
        joined["suppress"] += said.get("suppress", [])
    return yaml.safe_dump(joined, sort_keys=False) + _BESIDE


def _renamed(said: Any, names: dict[str, str]) -> Any:
    if isinstance(said, dict):
        return {_renamed(key, names): _renamed(value, names) for key, value in said.items()}
    if isinstance(said, list):
        return [_renamed(each, names) for each in said]
    return names.get(said, said) if isinstance(said, str) else said


def recorded(ims: Path | None = None) -> list[list[Reading]]:
    """Return the readings of each device in order of arrival, each data set at its own time.

    Args:
        ims: the IMS bearing data, which may not ship; bearings made like them stand in.
    """
    nab = [series_messages(closed(load(name)), "nab") for name in SERIES]
    bearings = bearing_rig.like_that_rig(SEED) if ims is None else bearing_rig.recorded(ims)
    return [
        *(played(name) for name in SCENARIOS),
        *(list(_of_messages(messages)) for messages in nab),
        *(list(_of_series(each)) for each in bearings),
    ]


def played(scenario: str) -> list[Reading]:
    """Return the readings of a scenario's machine in order of arrival."""
    messages = staged_messages(scenario, start_ms=START, staging=_staged(scenario))
    return list(_of_messages(messages))


def _staged(name: str) -> Staging:
    """Set a scenario up in half its time, but later than what the packs learn first."""
    of = SCENARIOS[name]
    if of.below_ms is not None:
        short = {"onset_ms": HOUR_MS, "duration_ms": 2 * HOUR_MS, "days": 0.25}
    elif of.faulty:
        short = {"onset_ms": 5 * DAY_MS, "interval_ms": 10 * MINUTE_MS}
    else:
        short = {"days": 6, "interval_ms": 10 * MINUTE_MS}
    return staged(name, seed=SEED, **short)


def _of_messages(messages: Iterable[Message]) -> Iterator[Reading]:
    for count, each in enumerate(messages):
        unit = json.loads(each.payload).get("unit")
        for part, (metric, value) in enumerate(each.values):
            own = each.device_id, metric, unit, value, each.ts_ms
            yield _reading(*own, seq=each.seq, count=count, part=part)


def _of_series(series: Series) -> Iterator[Reading]:
    for seq, (ts, value) in enumerate(series.points):
        own = series.device_id, series.metric, series.unit, value, ts
        yield _reading(*own, seq=seq, count=seq, part=0)


def _reading(
    device: str, metric: str, unit: str | None, value: float, ts: int, *, seq: int, count: int,
    part: int,
) -> Reading:  # fmt: skip
    return Reading(
        device, metric, device.partition(".")[0], "READING", unit, "gw", 1, value, ts, ts, None,
        seq, "GOOD", count, part, 0, RECEIVED, "SYNCED", False,
    )  # fmt: skip


def shuffled(own: Sequence[Reading], lateness_ms: int, rng: random.Random) -> Iterator[Reading]:
    """Yield a device's readings so that none comes a lateness or more behind the device's clock.

    One that does so anyway keeps its place, and none passes it: no order makes it less late.
    """
    moved: list[tuple[float, int, Reading]] = []
    clock = own[0].ts
    for place, each in enumerate(own):
        clock = max(clock, each.ts)
        slack = each.ts + lateness_ms - clock
        if slack > 0:
            moved.append((clock + rng.random() * slack, place, each))
        else:
            yield from (reading for *_, reading in sorted(moved))
            moved = []
            yield each
    yield from (reading for *_, reading in sorted(moved))


def side_by_side(devices: Sequence[Sequence[Reading]]) -> Iterator[Reading]:
    """Merge devices so that all of them begin and end together."""

    def placed(number: int, own: Sequence[Reading]) -> Iterator[tuple[float, int, Reading]]:
        return ((place / len(own), number, each) for place, each in enumerate(own))

    return (each for *_, each in merge(*(placed(*of) for of in enumerate(devices))))


class Taken(NamedTuple):
    """What an alerts job has made of a device's readings by the last of them."""

    in_panes: list[Reading]
    late: list[Reading]


def taken(own: Iterable[Reading], pane: Callable[[str], int], lateness_ms: int) -> Taken:
    """Say which readings are in panes that have closed, and which came too late.

    Of one device in order of arrival. The rest is in panes that are open still.
    """
    on_time, late = [], []
    clock = 0
    for each in own:
        clock = max(clock, each.ts)
        found = on_time if _end(each, pane) + lateness_ms > clock else late
        found.append(each)
    return Taken([each for each in on_time if _end(each, pane) + lateness_ms <= clock], late)


def _end(reading: Reading, pane: Callable[[str], int]) -> int:
    size = pane(reading.metric)
    return (reading.ts // size + 1) * size


def decided(rules: Rules, readings: Iterable[Reading]) -> Iterator[Decision]:
    """Yield what `rules test` makes of readings, those that came twice taken once as it does."""
    distinct = {reading_key(each): each for each in readings}.values()
    series: dict[tuple[str, str], Series] = {}
    for each in sorted(distinct, key=fold_order):
        own = Series(each.device_id, each.metric, [], each.site, each.unit)
        points = series.setdefault((each.device_id, each.metric), own).points
        points.append((each.ts, each.value))
    return decisions(rules, series.values())
