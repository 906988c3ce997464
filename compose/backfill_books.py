"""What a backfill is asked for, and what it says of itself."""

from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.topics import DEFAULT_PREFIX
from stream.commands import Commands
from stream.correction import Scope
from stream.fleet import Fleet
from stream.rule import Rules
from stream.rule_sets import Engines
from stream.run_in import reach_ms

_WINDOWS = ("changed", "new", "withdrawn", "unchanged", "ahead")
_ALERTS = ("corrected", "new", "withdrawn", "unchanged", "open", "left")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be repaired: readings with event times in [from_ms, to_ms), ms.

    ``panes`` are pane sizes that the job's do not exceed, as it was submitted with them. Rules that
    were pushed count beside ``rules`` where their version is above ``after``, none do where that is
    None; ``engines`` then apply each at its time, and ``rules`` are all of them. ``fleet`` is what
    is known of the devices, ``resets`` what people said that ends alerts.
    """

    from_ms: int
    to_ms: int
    rules: Rules
    device: str | None = None
    site: str | None = None
    prefix: str = DEFAULT_PREFIX
    run_in_ms: int | None = None
    wait_ms: int = 120_000
    dry_run: bool = False
    panes: str | None = None
    after: int | None = None
    engines: Engines | None = None
    fleet: Fleet = field(default_factory=Fleet)
    resets: Commands = field(default_factory=Commands)

    @property
    def scope(self) -> Scope:
        """Return the windows that can hold such a reading."""
        return Scope(self.from_ms, self.to_ms + reach_ms(self.rules))

    def of(self) -> str:
        """Return whose readings are meant, for a message; "" for all."""
        named = [
            f"{word} {value}"
            for word, value in (("device", self.device), ("site", self.site))
            if value is not None
        ]
        return f" of {' of '.join(named)}" if named else ""


class RunIn(NamedTuple):
    """From when on readings are taken, ms, and why."""

    from_ms: int
    why: str


@dataclass
class Books:
    """A run in numbers, and what people have to know of it: devices, metrics, rules, topics."""

    run_in_from: str = ""
    run_in_why: str = ""
    devices: int = 0
    readings: int = 0
    run_in_readings: int = 0
    panes: int = 0
    windows: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_WINDOWS, 0))
    alerts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_ALERTS, 0))
    sent: int = 0
    short_baselines: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    aged_out: list[str] = field(default_factory=list)
