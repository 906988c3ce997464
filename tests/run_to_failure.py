"""Machines that wear out, seeded: the same each time, and with no licence to ask for."""

import csv
import random
from pathlib import Path

HOUR = 3_600_000
START = 1_767_571_200_000


def write_lives(path: Path, seed: int, machines: int = 20, *, whole: bool = True) -> list[float]:
    """Write machines that run to failure, or to some hours before; return how many those are.

    Four metrics follow the wear, each in its own way; one is noise, and one never changes.
    """
    rng = random.Random(seed)
    left = []
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["timestamp", "device", "metric", "value"])
        for machine in range(machines):
            hours = rng.randint(130, 260)
            onset = hours - rng.randint(60, 110)
            shown = hours if whole else rng.randint(onset, hours - 2)
            left.append(float(hours - shown))
            for hour in range(shown):
                wear = max(0.0, (hour - onset) / (hours - onset)) ** 1.7
                values = {
                    "heat": 60 + 8 * wear, "shake": 1 + 2.5 * wear, "flow": 30 - 4 * wear,
                    "draw": 12 + 1.5 * wear, "noise": 0.0,
                }  # fmt: skip
                for metric, value in values.items():
                    noise = rng.gauss(0, 0.6 if metric != "shake" else 0.2)
                    at = START + hour * HOUR + 60_000
                    table.writerow([at, f"m-{machine:02d}", metric, round(value + noise, 4)])
                table.writerow([START + hour * HOUR + 60_000, f"m-{machine:02d}", "fixed", 7])
    return left
