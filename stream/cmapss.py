"""Run-to-failure files in the form of NASA's C-MAPSS sets: text, 26 columns, a row per cycle.

An engine is a device, a cycle a step of time. Columns are those of Saxena, Goebel, Simon, Eklund:
Damage Propagation Modeling for Aircraft Engine Run-to-Failure Simulation (PHM 2008), table 2.
"""

from pathlib import Path

from schemas.failure import Failure
from stream.recorded import Series

METRICS = (
    "setting_1", "setting_2", "setting_3", "T2", "T24", "T30", "T50", "P2", "P15", "P30", "Nf",
    "Nc", "epr", "Ps30", "phi", "NRf", "NRc", "BPR", "farB", "htBleed", "Nf_dmd", "PCNfR_dmd",
    "W31", "W32",
)  # fmt: skip
_COLUMNS = 2 + len(METRICS)
_START_MS = 946_684_800_000
"""2000-01-01: the files have no dates."""


def read_cmapss(path: Path, cycle_ms: int = 3_600_000) -> list[Series]:
    """Read one file; cycle 1 is at midnight of 2000-01-01, and each takes ``cycle_ms``.

    Raises:
        Failure: a line that is not of the form; it names file and line.
    """
    found: dict[str, list[list[tuple[int, float]]]] = {}
    for number, line in enumerate(_lines(path), start=1):
        cells = line.split()
        if not cells:
            continue
        try:
            numbers = [float(cell) for cell in cells]
        except ValueError as error:
            raise Failure(f"{path}:{number}: {error}") from error
        unit, cycle, *values = numbers if len(numbers) == _COLUMNS else (0.0, 0.0)
        if unit % 1 or cycle % 1 or cycle < 1:
            raise Failure(
                f"{path}:{number}: expected {_COLUMNS} numbers, first an engine and its cycle from "
                f"1 on, got {len(cells)}"
            )
        own = found.setdefault(f"engine-{int(unit):03d}", [[] for _ in METRICS])
        at = _START_MS + (int(cycle) - 1) * cycle_ms
        for points, value in zip(own, values, strict=True):
            points.append((at, value))
    if not found:
        raise Failure(f"{path}: holds no row")
    return [
        Series(device, metric, sorted(points))
        for device, own in found.items()
        for metric, points in zip(METRICS, own, strict=True)
    ]


def read_remaining(path: Path) -> list[float]:
    """Read remaining lives, a number a line, in the order of the devices.

    Raises:
        Failure: a line that is no number; it names file and line.
    """
    found = []
    for number, line in enumerate(_lines(path), start=1):
        try:
            found += [float(line)] if line.strip() else []
        except ValueError as error:
            raise Failure(f"{path}:{number}: {error}") from error
    return found


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{path}: cannot be read: {error}") from error
