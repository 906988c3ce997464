"""A rule as the engine applies it: checked, frozen, with times in ms."""

from typing import Literal

import msgspec

from schemas.records import Category, Device
from stream.baselines import BaselineSpec
from stream.compound import Compound
from stream.conditions import When
from stream.detectors import Aggregate, Compare, Op
from stream.expressions import Expression
from stream.globs import matches
from stream.iso import Iso
from stream.lifecycle import Severity
from stream.methods import Method
from stream.models import T2Q, Rul
from stream.sensor_checks import Check
from stream.suppress import Suppress
from stream.traits import Traits, lacks
from stream.windows import WindowSpec


class Match(msgspec.Struct, frozen=True):
    """Globs of the series a rule is for; a series must match one of each.

    ``traits`` are what its device has to be by its record.
    """

    metric: tuple[str, ...]
    device: tuple[str, ...]
    site: tuple[str, ...]
    traits: Traits | None = None

    def covers(self, device_id: str, metric: str, site: str, device: Device | None = None) -> bool:
        """Say whether a series is meant; ``device`` is what is known of its device."""
        return matches(self.metric, metric) and self.covers_device(device_id, site, device)

    def covers_device(self, device_id: str, site: str, device: Device | None = None) -> bool:
        """Say whether any series of a device can be meant."""
        named = matches(self.device, device_id) and matches(self.site, site)
        return named and (self.traits is None or not lacks(self.traits, device))


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule; ``severities`` go from the lowest to the highest.

    ``method`` is there when more than one window is compared, ``iso`` when a standard's limits are.
    With a ``check`` it is about the sensor and looks at each pane, as long as its window, by
    itself; with ``gates`` the other rules of the series rest while its alert is open. An alert
    that lasts is told of again after ``realarm_ms``, 0 for never. ``silence`` is "ignored" where no
    rule about sensors is to mind that of the series, and "own" of the check of a process rule that
    does so itself.
    ``digest`` changes with whatever makes remembered state meaningless.
    """

    name: str
    version: int
    category: Category
    match: Match
    window: WindowSpec
    min_samples: int
    aggregate: Aggregate
    op: Op
    to: Compare
    baseline: BaselineSpec | None
    severities: tuple[Severity, ...]
    labels: dict[str, str]
    annotations: dict[str, str]
    when: When | None = None
    cooldown_ms: int = 0
    method: Method | None = None
    iso: Iso | None = None
    realarm_ms: int = 0
    check: Check | None = None
    gates: bool = False
    silence: Literal["", "own", "ignored"] = ""
    digest: str = ""


class Derived(msgspec.Struct, frozen=True, kw_only=True):
    """A metric of a device that is made of others.

    ``inputs`` are in the order of the formula's own. ``pane_ms`` is the interval a value is for, 0
    until all rules are known. ``digest`` changes with whatever makes other values of it.
    """

    metric: str
    match: Match
    inputs: tuple[str, ...]
    formula: Expression | T2Q | Rul
    unit: str | None = None
    pane_ms: int = 0
    digest: str = ""


class Rollup(msgspec.Struct, frozen=True):
    """Tumbling windows of some series, ``size_ms`` long; see :mod:`stream.rollups`."""

    match: Match
    size_ms: int


class Session(msgspec.Struct, frozen=True):
    """Runs of a machine; see :mod:`stream.sessions`.

    ``match`` says of which metrics there is a row for each run. ``state`` is what makes a run, and
    ``gap_ms`` how long it is not met when a run is over. ``digest`` changes with what these two
    mean.
    """

    name: str
    match: Match
    state: When
    gap_ms: int

    @property
    def digest(self) -> str:
        """Return what makes a remembered run one of this session."""
        return f"{self.state.gate}|{self.gap_ms}"


AnyRule = Rule | Compound


class Rules(msgspec.Struct, frozen=True):
    """All rules of a file, in its order, and what else it asks of the windows.

    Of rules over rules, each stands behind those it names, and of derived metrics behind those it
    is made of.
    """

    rules: tuple[Rule, ...]
    rollups: tuple[Rollup, ...] = ()
    sessions: tuple[Session, ...] = ()
    compounds: tuple[Compound, ...] = ()
    suppress: Suppress = Suppress()
    derived: tuple[Derived, ...] = ()

    @property
    def asks_devices(self) -> bool:
        """Say whether it depends on devices' records which rules they have."""
        return any(rule.match.traits is not None for rule in self.rules)

    @property
    def every(self) -> tuple[AnyRule, ...]:
        """Return those on readings and those over rules."""
        return (*self.rules, *self.compounds)
