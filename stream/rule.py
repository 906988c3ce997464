"""A rule as the engine applies it: checked, frozen, with times in ms."""

from fnmatch import fnmatchcase

import msgspec

from schemas.records import Category
from stream.baselines import BaselineSpec
from stream.compound import Compound
from stream.conditions import When
from stream.detectors import Aggregate, Compare, Op
from stream.expressions import Expression
from stream.iso import Iso
from stream.lifecycle import Severity
from stream.methods import Method
from stream.models import T2Q, Rul
from stream.suppress import Suppress
from stream.windows import WindowSpec

_GLOB_SIGNS = frozenset("*?[")


class Match(msgspec.Struct, frozen=True):
    """Globs of the series a rule is for; a series must match one of each."""

    metric: tuple[str, ...]
    device: tuple[str, ...]
    site: tuple[str, ...]

    def covers(self, device_id: str, metric: str, site: str) -> bool:
        """Say whether a series is meant."""
        return matches(self.metric, metric) and self.covers_device(device_id, site)

    def covers_device(self, device_id: str, site: str) -> bool:
        """Say whether any series of a device can be meant."""
        return matches(self.device, device_id) and matches(self.site, site)


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule; ``severities`` go from the lowest to the highest.

    ``method`` is there when more than one window is compared, ``iso`` when a standard's limits are.
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
    def every(self) -> tuple[AnyRule, ...]:
        """Return those on readings and those over rules."""
        return (*self.rules, *self.compounds)


def is_glob(text: str) -> bool:
    """Say whether a text can match more than itself."""
    return not _GLOB_SIGNS.isdisjoint(text)


def matches(globs: tuple[str, ...], name: str) -> bool:
    """Say whether a name matches one of the globs."""
    return any(glob == name or (is_glob(glob) and fnmatchcase(name, glob)) for glob in globs)
