"""Four bearings on one shaft, run to failure: made like the IMS rig's, or that rig's own."""

import csv
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from rule_builders import MINUTE

from stream.backtest import Series

ROWS = 984
EVERY = 10 * MINUTE


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
