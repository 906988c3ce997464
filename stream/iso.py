"""Limits of vibration velocity by ISO 10816-3:2009: mm/s RMS, 10 to 1000 Hz, machines of 15 kW up.

ISO 20816-3:2022 supersedes that edition and merges its zones A and B; the other limits are used on.
The figures are those of PyPI predictive-maintenance-mcp 0.13.0, diagnostics/iso20816.py (MIT).
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import msgspec

from schemas.records import Severity as SeverityName

Support = Literal["rigid", "flexible"]


class Iso(msgspec.Struct, frozen=True):
    """Which machine: group 1 is above 300 kW, group 2 from 15 kW; and how it stands."""

    standard: Literal["10816-3"]
    group: Literal[1, 2]
    support: Support


class Zones(NamedTuple):
    """Between which velocities (mm/s RMS) a machine is as good as new, good, restricted, harmful.

    A value on a boundary belongs to the lower zone.
    """

    ab: float
    bc: float
    cd: float


ZONES: Mapping[tuple[int, Support], Zones] = {
    (1, "rigid"): Zones(2.3, 4.5, 7.1),
    (1, "flexible"): Zones(3.5, 7.1, 11.0),
    (2, "rigid"): Zones(1.4, 2.8, 4.5),
    (2, "flexible"): Zones(2.3, 4.5, 7.1),
}
_BACK = 0.9
"""An alert is over below nine tenths of the boundary: our choice, the standard has none."""
_CHANGE = 0.25
"""Criterion II: of the boundary B/C, how much a change is significant wherever it ends."""


def zone_limits(iso: Iso) -> dict[SeverityName, float]:
    """Return where zones B, C and D begin, by the severity that they are."""
    zones = ZONES[iso.group, iso.support]
    return {"INFO": zones.ab, "WARNING": zones.bc, "CRITICAL": zones.cd}


def change_limits(iso: Iso) -> dict[SeverityName, float]:
    """Return from which change on a machine is to be looked at (criterion II)."""
    return {"WARNING": _CHANGE * ZONES[iso.group, iso.support].bc}


def leave(enter: float) -> float:
    """Return where a severity ends that begins at ``enter``."""
    return round(_BACK * enter, 6)


def told(iso: Iso) -> str:
    """Return what the limits are, in words."""
    return (
        f"limits of ISO {iso.standard}:2009, group {iso.group}, {iso.support} support, mm/s RMS; "
        "ISO 20816-3:2022 supersedes it and merges zones A and B"
    )
