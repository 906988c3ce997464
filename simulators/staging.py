"""A scenario set up on machines: sized, placed in time by a seed, with its ground truth."""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, isfinite
from typing import NamedTuple

from schemas.failure import BadConfig
from schemas.records import Alert, Category, Severity
from simulators.clock import DAY_MS, HOUR_MS, MINUTE_MS, stamp
from simulators.faults import Fault, Sigma
from simulators.fleet import Fleet, pump_name
from simulators.scenario import ANY, Expected, Scenario, scenario
from simulators.series import CLOSING_MS

JUMP_MS = 2 * HOUR_MS
_LARGEST = 1000.0
_ORDER: tuple[Severity, ...] = ("INFO", "WARNING", "CRITICAL")


@dataclass(frozen=True, slots=True)
class Staging:
    """What is played; equal stagings behave equally. Made by `staged`."""

    name: str
    fleet: Fleet
    """The machines, without scripted faults."""
    size: float | None
    """In sigma; None where the scenario has none."""
    onset_ms: int | None
    """After the start, of every machine; None = drawn by the seed, each machine its own."""
    duration_ms: int
    """From onset to end."""

    @property
    def scenario(self) -> Scenario:
        """What happens."""
        return scenario(self.name)


class Placed(NamedTuple):
    """When something happens to one machine, in ms of the simulated clock."""

    onset_ms: int
    worst_ms: int
    end_ms: int


class Due(NamedTuple):
    """An alert that should start on a machine, with its deadline; see `scenario.Expected`."""

    metric: str
    categories: tuple[Category, ...]
    severity: Severity
    by_ms: int
    most: int | None


class Truth(NamedTuple):
    """What is true of one machine."""

    device_id: str
    scenario: str
    placed: Placed | None
    """None: nothing happens."""
    window: tuple[int, int] | None
    """First and last time, ms, of readings in which something is wrong; None: nothing ever is."""
    sigma: Sigma
    """How far each metric is off at the worst, in sigma of the healthy running signal."""
    due: tuple[Due, ...]
    quiet: tuple[str, ...]
    """Metrics on which nothing but what is due may start, and before the onset on no metric."""

    def found(self, alerts: Iterable[Alert]) -> bool:
        """Say whether each alert that is due starts in its time, and none more often than it may.

        Args:
            alerts: transitions of any machines, by any rules.
        """
        own = self._starts(alerts)
        return all(
            self._met(due, [each for each in own if self._fits(due, each)]) for due in self.due
        )

    def unfounded(self, alerts: Iterable[Alert]) -> list[Alert]:
        """Return the starts of alerts on this machine that should not have been."""
        return [
            each
            for each in self._starts(alerts)
            if not any(self._fits(due, each) for due in self.due)
            and (
                self.placed is None
                or each.starts_at < self.placed.onset_ms
                or each.metric in self.quiet
            )
        ]

    def _starts(self, alerts: Iterable[Alert]) -> list[Alert]:
        own = (each for each in alerts if each.device_id == self.device_id)
        return [each for each in own if each.event in ("FIRED", "NO_DATA")]

    def _fits(self, due: Due, alert: Alert) -> bool:
        # That nothing comes is the sensor's fault, whichever rule it was that missed it.
        category = "SENSOR_HEALTH" if alert.event == "NO_DATA" else alert.category
        return (
            due.metric in (ANY, alert.metric)
            and category in due.categories
            and self.placed is not None
            and alert.starts_at >= self.placed.onset_ms
        )

    def _met(self, due: Due, fitting: list[Alert]) -> bool:
        bad = _ORDER[_ORDER.index(due.severity) :]
        in_time = any(each.starts_at <= due.by_ms and each.severity in bad for each in fitting)
        rules = [each.rule for each in fitting]
        return in_time and (due.most is None or all(rules.count(r) <= due.most for r in rules))


def staged(
    name: str,
    *,
    seed: int = 7,
    machines: int = 1,
    days: float | None = None,
    interval_ms: int | None = None,
    size: float | None = None,
    onset_ms: int | None = None,
    duration_ms: int | None = None,
    closing_ms: int = CLOSING_MS,
) -> Staging:
    """Set up a scenario; what is None is the scenario's own.

    Args:
        name: of the scenario.
        seed: equal seeds give equal readings.
        machines: how many; the same happens to each of them, but in its own time.
        days: how long they run; unless given, until a while after the end of it all.
        interval_ms: between a machine's messages.
        size: of the fault, in sigma of the healthy running signal.
        onset_ms: of the fault, after the start.
        duration_ms: from the onset to the end.
        closing_ms: how far readings go on behind the last day.

    Raises:
        BadConfig: no such scenario, or it cannot be had like this.
    """
    of = scenario(name)
    _refuse_needless(name, of, size=size, onset=onset_ms, duration=duration_ms)
    step = of.interval_ms if interval_ms is None else interval_ms
    lasts = round(of.duration_h * HOUR_MS) if duration_ms is None else duration_ms
    _check_size(size)
    _check_times(name, of, step, onset_ms, lasts)
    ends = lasts + (round((of.onset_h + of.spread_h) * HOUR_MS) if onset_ms is None else onset_ms)
    if days is None:
        days = ceil((ends + of.spread_h * HOUR_MS) / DAY_MS) if of.faulty else 30
    elif of.faulty and ends > days * DAY_MS:
        raise BadConfig(
            f"{name}: it may end {ends / DAY_MS:.2f} days after the start, and --days is {days:g}; "
            "give more days, or an earlier --onset or a shorter --duration"
        )
    if step > days * DAY_MS:
        raise BadConfig(f"--interval must be at most --days, {days:g} days here")
    fleet = Fleet(machines, (), days, step, seed, closing_ms)
    return Staging(name, fleet, of.size if size is None else size, onset_ms, lasts)


def _refuse_needless(name: str, of: Scenario, **given: float | None) -> None:
    for option, value in given.items():
        if value is None:
            continue
        if not of.faulty:
            raise BadConfig(f"{name} has no --{option}: nothing happens in it")
        if option == "size" and of.size is None:
            raise BadConfig(f"{name} has no --size: it happens or it does not")


def _check_size(size: float | None) -> None:
    if size is not None and not (isfinite(size) and 0 < size <= _LARGEST):
        raise BadConfig(f"--size {size:g}: a size in sigma is above 0 and at most {_LARGEST:g}")


def _check_times(name: str, of: Scenario, step: int, onset_ms: int | None, lasts: int) -> None:
    if step < 1:
        raise BadConfig("--interval must be at least 1ms")
    if of.below_ms is not None and step >= of.below_ms:
        raise BadConfig(f"{name}: with an --interval of {of.below_ms} ms or more nothing happens")
    if onset_ms is not None and onset_ms < 0:
        raise BadConfig("--onset must not be before the start")
    if of.faulty and lasts < step:
        raise BadConfig(f"--duration must be at least one --interval, {step} ms here")


def placed(staging: Staging, machine: int, start_ms: int) -> Placed | None:
    """Return when it happens to a machine; None if nothing does."""
    of = staging.scenario
    if not of.faulty:
        return None
    onset = staging.onset_ms
    if onset is None:
        rng = random.Random(f"{staging.fleet.seed}:{staging.name}:{machine}")
        spread = rng.randrange(max(1, round(of.spread_h * 60))) * MINUTE_MS
        onset = round(of.onset_h * HOUR_MS) + spread
    ramp = round(staging.duration_ms * of.ramp_h / of.duration_h)
    at = start_ms + onset
    return Placed(at, at + ramp, at + staging.duration_ms)


def fault(staging: Staging, machine: int, at: Placed, start_ms: int) -> Fault | None:
    """Return what a machine of a placed scenario suffers; None if it is well itself."""
    of = staging.scenario
    if of.kind is None or of.size is None or staging.size is None:
        return None
    onset, worst, end = ((each - start_ms) / HOUR_MS for each in at)
    return Fault(machine, of.kind, onset, worst, end, staging.size / of.size)


def truths(staging: Staging, site: str, start_ms: int) -> tuple[Truth, ...]:
    """Return what is true of each machine."""
    return tuple(_truth(staging, site, each, start_ms) for each in range(staging.fleet.pumps))


def labels_of(truth: Iterable[Truth]) -> dict[str, list[list[str]]]:
    """Return labelled windows as `rules test --labels` takes them: by file name, ISO times.

    Machines of which nothing is wrong have none: every alert on them is false.
    """
    return {
        f"{each.device_id}.csv": [[stamp(at) for at in each.window]] if each.window else []
        for each in truth
    }


def _truth(staging: Staging, site: str, machine: int, start_ms: int) -> Truth:
    of, at = staging.scenario, placed(staging, machine, start_ms)
    step = staging.fleet.interval_ms
    due = tuple(_due(each, at, step) for each in of.expected) if at else ()
    window = None
    if at and due:
        # The device's own time runs on as far as its clock has jumped.
        window = (at.onset_ms, at.end_ms + (JUMP_MS if of.effect == "jumps" else 0))
    return Truth(
        f"{site}.{pump_name(machine)}",
        staging.name,
        at,
        window,
        of.offsets(staging.size),
        due,
        of.quiet(staging.size),
    )


def _due(of: Expected, at: Placed, step_ms: int) -> Due:
    within = of.within_ms(at.worst_ms - at.onset_ms, at.end_ms - at.onset_ms, step_ms)
    return Due(of.metric, of.categories, of.severity, at.onset_ms + within, of.most)
