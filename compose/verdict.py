"""Which alerts of the demo were called for: its series have labels, its pumps a script."""

from collections.abc import Iterable
from typing import NamedTuple

from schemas.records import Alert
from simulators.clock import DAY_MS
from simulators.fleet import Fleet, pump_name, scenarios
from simulators.nab import labels

_FOR_EVER_MS = 1 << 62
MACHINE = "machine_temperature_system_failure"


class Episode(NamedTuple):
    """One alert from its start to its end, in ms; open ones end far in the future."""

    device_id: str
    starts_at: int
    ends_at: int


class Verdict(NamedTuple):
    """What was to be found and what was found."""

    labelled: list[tuple[int, int]]
    """Labelled windows of the machine's temperature inside the days played."""
    missed_labels: list[tuple[int, int]]
    failing: list[str]
    missed_pumps: list[str]
    healthy: int
    false_pumps: list[str]
    """Healthy pumps that alerted."""


def episodes(transitions: Iterable[Alert]) -> list[Episode]:
    """Return the alerts that their transitions tell of."""
    found: dict[str, Episode] = {}
    for each in transitions:
        ends_at = _FOR_EVER_MS if each.ends_at is None else each.ends_at
        found[each.alert_id] = Episode(each.device_id, each.starts_at, ends_at)
    return list(found.values())


def verdict(transitions: Iterable[Alert], site: str, start_ms: int, fleet: Fleet) -> Verdict:
    """Hold a run's alerts against the labels and the script."""
    found = episodes(transitions)
    end_ms = start_ms + round(fleet.days * DAY_MS)
    labelled = [span for span in labels(start_ms)[MACHINE] if span[1] <= end_ms]
    faults = {
        f"{site}.{told['pump']}": (told["onset_ms"], told["end_ms"])
        for told in (fault.told(pump_name(fault.pump), start_ms) for fault in scenarios(fleet))
    }
    pumps = [f"{site}.{pump_name(pump)}" for pump in range(fleet.pumps)]
    healthy = [pump for pump in pumps if pump not in faults]
    alerted = {each.device_id for each in found}

    def overlaps(device: str, begin: int, end: int) -> bool:
        return any(
            each.device_id == device and each.starts_at <= end and each.ends_at >= begin
            for each in found
        )

    return Verdict(
        labelled=labelled,
        missed_labels=[span for span in labelled if not overlaps(f"{site}.{MACHINE}", *span)],
        failing=sorted(faults),
        missed_pumps=[pump for pump, span in sorted(faults.items()) if not overlaps(pump, *span)],
        healthy=len(healthy),
        false_pumps=[pump for pump in healthy if pump in alerted],
    )
