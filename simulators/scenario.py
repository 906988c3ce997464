"""The scenarios: what goes wrong with a machine, a sensor or the delivery, and what should fire.

The one place that says so: the listing, the labels and every test's ground truth come from here.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

from schemas.config import nearest
from schemas.failure import BadConfig
from schemas.records import Category, Severity
from simulators.clock import HOUR_MS
from simulators.faults import KINDS, Sigma

METRICS = (*Sigma._fields, "running")
"""What a machine tells."""
ANY = "*"
"""Any one of a machine's metrics."""

Effect = Literal[
    "stuck", "drift", "flaps", "drops_out", "jumps", "doubles", "overtakes", "cycles", "nothing"
]
"""What is done to the readings of a healthy machine."""

_DAY_H = 24.0
_LOAD_H = 24.0
"""A shift of few sigma may hide behind the day's load, so a whole day of it must be seen."""
_NO_SHIFT = Sigma(0, 0, 0)
_ANY_MACHINE = {"rotating": 3.0, "generic": 3.0}
_SENSOR = {"sensor_health": 0.0}


class Expected(NamedTuple):
    """An alert that should fire: the metric, one of the categories, this severity or a worse one.

    It must start within ``hours`` of the onset or, where that is longer, within ``readings``
    intervals; both count from the worst if ``from_worst``. A rule may raise it ``most`` times at
    most while the fault lasts; None = as often as it likes.
    """

    metric: str
    categories: tuple[Category, ...]
    hours: float
    severity: Severity = "WARNING"
    readings: int = 0
    from_worst: bool = False
    most: int | None = None

    def within_ms(self, ramp_ms: int, duration_ms: int, interval_ms: int) -> int:
        """Return by when it must have started, in ms after the onset: before the end at least."""
        bound = max(round(self.hours * HOUR_MS), self.readings * interval_ms)
        return min(duration_ms, bound + (ramp_ms if self.from_worst else 0))


class Scenario(NamedTuple):
    """One scenario, with the times it has unless others are asked for."""

    about: str
    expected: tuple[Expected, ...] = ()
    """Empty: nothing may fire."""
    found_by: Mapping[str, float] = MappingProxyType({})
    """The shipped packs that find it in its time, and from how many sigma on; 0: it has none."""
    kind: str | None = None
    """Of `faults.KINDS`, for what a machine does; else see ``effect``."""
    effect: Effect = "nothing"
    shift: Sigma = _NO_SHIFT
    """Offsets at the worst, for a size of 1 sigma."""
    size: float | None = None
    """In sigma of the healthy running signal, of the metric that shifts most; None: has none."""
    onset_h: float = 7 * _DAY_H
    spread_h: float = _DAY_H
    """Each machine's onset is drawn from so many hours after ``onset_h``."""
    ramp_h: float = 0
    """From the onset to the worst."""
    hold_h: float = _DAY_H
    """From the worst to the end."""
    interval_ms: int = 300_000
    below_ms: int | None = None
    """With an interval of so much or more it would do nothing."""

    @property
    def duration_h(self) -> float:
        """Return the hours from the onset to the end."""
        return self.ramp_h + self.hold_h

    @property
    def faulty(self) -> bool:
        """Whether anything happens at all."""
        return self.kind is not None or self.effect != "nothing"

    def offsets(self, size: float | None) -> Sigma:
        """Return the offsets at the worst in sigma, for a size."""
        return Sigma(*((size or 0.0) * each for each in self.shift))

    def quiet(self, size: float | None) -> tuple[str, ...]:
        """Return the metrics on which nothing but what is expected may fire.

        Those of half a sigma or more are not among them: they may be noticed, or not.
        """
        shifted = self.offsets(size)._asdict()
        return tuple(m for m in METRICS if abs(shifted.get(m, 0.0)) < 0.5)


def _of_machine(kind: str, about: str, **found_from: float) -> Scenario:
    """Return the scenario of a fault that the fleet has, too, and at its size there.

    Packs that go by limits in the metric's own unit find it from so many sigma on.
    """
    of = KINDS[kind]
    size = max(abs(getattr(of, metric)) for metric in Sigma._fields)
    shift = Sigma(*(getattr(of, metric) / size for metric in Sigma._fields))
    metric = max(Sigma._fields, key=lambda name: abs(getattr(of, name)))
    found = Expected(metric, ("PROCESS", "TREND", "MULTI"), hours=_LOAD_H, from_worst=True)
    found_by = _ANY_MACHINE | found_from
    return Scenario(
        about, (found,), found_by, kind, shift=shift, size=size, ramp_h=of.ramp_h, hold_h=of.hold_h
    )


def _of_sensor(metric: str, *, hours: float, readings: int) -> tuple[Expected, ...]:
    return (Expected(metric, ("SENSOR_HEALTH",), hours, readings=readings),)


SCENARIOS: dict[str, Scenario] = {
    "healthy": Scenario("nothing is wrong: load by the hour, one or two stops a day, AR(1) noise"),
    "bearing_wear": _of_machine(
        "bearing_wear",
        "a bearing wears: vibration grows over days, the housing warms",
        bearing_wear=6,
        pump=6,
    ),
    "imbalance": _of_machine(
        "imbalance",
        "a rotor loses its balance: vibration steps up and stays",
        bearing_wear=6,
        pump=6,
    ),
    "cavitation": _of_machine(
        "cavitation",
        "the pump cavitates: unsteady vibration, less current, some heat",
        bearing_wear=6,
        pump=6,
    ),
    "overheating": _of_machine(
        "overheating", "cooling fails: the housing heats up within hours", temperature=6
    ),
    "clogged_filter": _of_machine(
        "clog",
        "the filter clogs: less flow and current, vibration and heat",
        bearing_wear=6,
        pump=6,
    ),
    "stuck_sensor": Scenario(
        "the temperature sensor repeats its last value",
        _of_sensor("temperature", hours=4, readings=48),
        _SENSOR,
        effect="stuck",
    ),
    "drift": Scenario(
        "the temperature sensor drifts away over days; the machine is well",
        (
            Expected(
                "temperature",
                ("SENSOR_HEALTH", "PROCESS", "TREND"),
                hours=_LOAD_H,
                from_worst=True,
            ),
        ),
        _ANY_MACHINE | {"sensor_health": 8.0},
        effect="drift",
        shift=Sigma(1, 0, 0),
        size=8,
        ramp_h=96,
        hold_h=48,
    ),
    "drop_out": Scenario(
        "the temperature is missing from the messages; the other metrics go on",
        _of_sensor("temperature", hours=1, readings=12),
        _SENSOR,
        effect="drops_out",
        hold_h=6,
    ),
    "clock_jump": Scenario(
        "the device's clock jumps two hours ahead, and back at the end",
        _of_sensor(ANY, hours=3, readings=36),
        _SENSOR,
        effect="jumps",
        hold_h=12,
    ),
    "duplicates": Scenario("one message in five is delivered twice", effect="doubles"),
    "out_of_order": Scenario(
        "messages of one a second overtake each other, by less than 4 s",
        effect="overtakes",
        onset_h=6,
        spread_h=6,
        hold_h=6,
        interval_ms=1000,
        below_ms=4000,
    ),
    "start_stop": Scenario(
        "the machine is stopped and started about every two hours, as planned",
        effect="cycles",
        hold_h=48,
    ),
    "flapping": Scenario(
        "vibration flaps around ISO 10816-3's 2.8 mm/s every 5 to 15 minutes",
        (Expected("vibration_rms", ("PROCESS",), hours=6, most=1),),
        dict.fromkeys(("rotating", "generic", "pump"), 1.0),
        effect="flaps",
        shift=Sigma(0, 1, 0),
        size=1,
    ),
}


def scenario(name: str) -> Scenario:
    """Return a scenario by its name.

    Raises:
        BadConfig: there is none of that name.
    """
    if name not in SCENARIOS:
        near = nearest(name, list(SCENARIOS))
        raise BadConfig(f"no scenario {name!r}{near or '; there are: ' + ', '.join(SCENARIOS)}")
    return SCENARIOS[name]
