"""Units of common sensors, and how to get from one to another of the same kind."""

from typing import NamedTuple


class Unit(NamedTuple):
    """``value * scale + offset`` is the same in the kind's own unit."""

    kind: str
    scale: float
    offset: float = 0.0


_UNITS: dict[str, Unit] = {
    **dict.fromkeys(("K",), Unit("temperature", 1.0)),
    **dict.fromkeys(("degC", "Cel", "C", "°C"), Unit("temperature", 1.0, 273.15)),
    **dict.fromkeys(("degF", "F", "°F"), Unit("temperature", 5 / 9, 459.67 * 5 / 9)),
    "Pa": Unit("pressure", 1.0),
    "hPa": Unit("pressure", 100.0),
    "mbar": Unit("pressure", 100.0),
    "kPa": Unit("pressure", 1000.0),
    "bar": Unit("pressure", 100_000.0),
    "MPa": Unit("pressure", 1_000_000.0),
    "psi": Unit("pressure", 6894.757293168),
    "mm/s": Unit("speed", 0.001),
    "m/s": Unit("speed", 1.0),
    "in/s": Unit("speed", 0.0254),
    "km/h": Unit("speed", 1 / 3.6),
    "m/s2": Unit("acceleration", 1.0),
    "g": Unit("acceleration", 9.80665),
    "um": Unit("length", 1e-6),
    "mm": Unit("length", 0.001),
    "m": Unit("length", 1.0),
    "in": Unit("length", 0.0254),
    "W": Unit("power", 1.0),
    "kW": Unit("power", 1000.0),
    "hp": Unit("power", 745.6998715822702),
    "mA": Unit("current", 0.001),
    "A": Unit("current", 1.0),
    "mV": Unit("voltage", 0.001),
    "V": Unit("voltage", 1.0),
    "kV": Unit("voltage", 1000.0),
    "rpm": Unit("rotation", 1 / 60),
    "1/min": Unit("rotation", 1 / 60),
    "Hz": Unit("rotation", 1.0),
    "l/min": Unit("flow", 1 / 60_000),
    "m3/h": Unit("flow", 1 / 3600),
    "m3/s": Unit("flow", 1.0),
    "Wh": Unit("energy", 3600.0),
    "kWh": Unit("energy", 3_600_000.0),
    "J": Unit("energy", 1.0),
}


def known(name: str) -> bool:
    """Return whether a unit can be converted."""
    return name in _UNITS


def converted(value: float, given: str, wanted: str) -> float | None:
    """Return a value in another unit of the same kind, None where there is no way."""
    if given == wanted:
        return value
    start, end = _UNITS.get(given), _UNITS.get(wanted)
    if start is None or end is None or start.kind != end.kind:
        return None
    return (value * start.scale + start.offset - end.offset) / end.scale
