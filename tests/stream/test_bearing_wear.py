"""Bearings run to failure on one shaft: the first to alarm is the one that fails, days before."""

import csv
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rule_builders import HOUR, MINUTE

from schemas.records import Alert
from stream.backtest import Series, run
from stream.rules import load_rules

ROWS = 984
EVERY = 10 * MINUTE
FAILS = "rig.bearing-1"


def like_that_rig(seed: int) -> list[Series]:
    """Four bearings for a week: one wears from the fourth day on, heals for hours, and fails.

    The others hear it in the last fifteen hours. Noise and drift of a hundredth, as on the rig.
    """
    rng = random.Random(seed)

    def worn(row: int) -> float:
        late = max(0, row - 540) / (ROWS - 540)
        healed = 0.6 if 700 <= row < 760 else 1.0
        return 1 + healed * (0.9 * late + 2.1 * late**8)

    def heard(row: int) -> float:
        return 1 + 0.6 * (max(0, row - (ROWS - 90)) / 90) ** 2

    def bearing(number: int) -> Series:
        level = rng.uniform(0.04, 0.09)
        shape = worn if number == 1 else heard
        noise, points = 0.0, []
        for row in range(ROWS):
            noise = 0.8 * noise + 0.006 * rng.gauss(0, 1)
            run_in = 0.02 * 0.97**row
            points.append((row * EVERY, level * (shape(row) + noise + run_in)))
        return Series(f"rig.bearing-{number}", "vibration_acceleration_mean", points)

    return [bearing(number) for number in range(1, 5)]


def recorded(path: Path) -> Iterator[Series]:
    with path.open(newline="") as file:
        _, *rows = csv.reader(file)
    times = [datetime.strptime(row[1], "%Y.%m.%d.%H.%M.%S").replace(tzinfo=UTC) for row in rows]
    for number in range(1, 5):
        values = [float(row[number + 1]) for row in rows]
        points = [(round(at.timestamp() * 1000), x) for at, x in zip(times, values, strict=True)]
        yield Series(f"rig.bearing-{number}", "vibration_acceleration_mean", points)


def first_alarms(series: list[Series]) -> dict[tuple[str, str], float]:
    """Hours before the end of the first alarm of each bearing and severity."""
    end = series[0].points[-1][0]
    found: dict[tuple[str, str], float] = {}
    alerts: list[Alert] = run(load_rules("bearing_wear"), series)
    for each in alerts:
        if each.event in ("FIRED", "ESCALATED"):
            found.setdefault((each.device_id, each.severity), (end - each.emitted_at) / HOUR)
    return found


def check(alarms: dict[tuple[str, str], float]) -> None:
    warned = alarms.pop((FAILS, "WARNING"))
    assert warned >= 40
    others = [hours for (device, _), hours in alarms.items() if device != FAILS]
    assert all(hours < warned for hours in others)


@pytest.mark.parametrize("seed", range(3))
def test_a_bearing_that_wears_is_warned_of_two_days_before_it_fails(seed):
    check(first_alarms(like_that_rig(seed)))


def test_the_rig_s_own_bearing_is_warned_of_two_days_before_it_fails(request):
    path = request.config.getoption("--ims")
    if path is None:
        pytest.skip("needs --ims CSV: the IMS bearing data, second test; it may not ship")
    alarms = first_alarms(list(recorded(Path(path))))
    check(dict(alarms))
    assert alarms[FAILS, "WARNING"] == pytest.approx(56.1, abs=0.1)
    assert alarms[FAILS, "CRITICAL"] == pytest.approx(46.1, abs=0.1)
    assert max(hours for (device, _), hours in alarms.items() if device != FAILS) < 15
