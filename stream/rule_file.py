"""The rule file as written: YAML, with the line of every key, into plain structs.

What a rule means is in :mod:`stream.rules`; here is only what may stand in the file.
"""

from typing import Any, Literal, NamedTuple

import msgspec

from schemas.amounts import DurationMs
from schemas.config import Complaint, ConfigError, nearest, read_table, told
from schemas.records import Category
from schemas.records import Severity as SeverityName
from schemas.toml_lines import KeyPath
from stream.baseline_file import BASELINE_KINDS, BaselineFile
from stream.compound_file import CompoundEntry, SuppressFile, is_above
from stream.conditions import WhenOp, WhenOpen
from stream.detectors import Aggregate, Compare, Op
from stream.iso import Iso
from stream.models import Model, read_models
from stream.sensor_file import ChecksFile, SilenceFile
from stream.trends import Fit
from stream.yaml_lines import read_yaml

Globs = str | list[str]
HoldText = str | int


class MatchFile(msgspec.Struct):
    """Which series a rule is for; each entry a glob or a list of them.

    ``class``, ``asset``, ``labels`` and ``interval`` (``"<=10m"``) ask what is known of the device.
    """

    metric: Globs
    device: Globs = "*"
    site: Globs = "*"
    device_class: Globs | None = msgspec.field(name="class", default=None)
    asset: Globs | None = None
    labels: dict[str, Globs] = {}
    interval: str | None = None


class WindowFile(msgspec.Struct):
    """A sliding window; see :class:`stream.windows.WindowSpec` for ``grow_to``."""

    size: DurationMs
    slide: DurationMs
    grow_to: DurationMs | None = None
    type: Literal["sliding"] = "sliding"


class CompareFile(msgspec.Struct):
    """What the aggregate is compared with, and in which direction.

    Which of the other keys a comparison has is in :mod:`stream.compare_said`.
    """

    op: Op
    to: Compare
    baseline: str | None = None
    over: DurationMs | None = None
    unit: Literal["s", "min", "h", "d"] | None = None
    share: float | None = msgspec.field(name="lambda", default=None)
    slack: float | None = msgspec.field(name="k", default=None)
    limit: float | None = None
    fit: Fit | None = None
    points: int | None = None
    direction: Literal["rising", "falling"] | None = None
    floor: float | None = None
    min_tstat: float | None = None
    horizon: DurationMs | None = None


class SeverityFile(msgspec.Struct):
    """Limits and delays of one severity; a bare integer counts evaluations.

    ``enter`` is missing where the rule's ``iso`` says the limits.
    """

    level: SeverityName
    enter: float | None = None
    exit: float | None = None
    delay: HoldText = msgspec.field(name="for", default=0)
    keep_firing_for: HoldText = 0
    latch: bool = False


class WhenFile(msgspec.Struct):
    """What another metric of the device must say; see :class:`stream.conditions.When`.

    Either ``metric``, ``op`` and ``value``, or ``absent`` alone.
    """

    metric: str | None = None
    op: WhenOp | None = None
    value: float | None = None
    held: DurationMs | None = msgspec.field(name="for", default=None)
    open: WhenOpen | None = None
    absent: str | None = None


class RuleEntry(msgspec.Struct):
    """One rule; ``version`` counts its changes, a bare word for ``no_data`` is its action."""

    name: str
    match: MatchFile
    window: WindowFile
    aggregate: Aggregate
    compare: CompareFile
    severities: tuple[SeverityFile, ...]
    category: Category = "PROCESS"
    version: int = 1
    min_samples: int = 1
    when: WhenFile | None = None
    iso: Iso | None = None
    cooldown: DurationMs = DurationMs(0)
    realarm_after: DurationMs = DurationMs(0)
    no_data: SilenceFile | Literal["keep", "ignore"] | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class SensorEntry(msgspec.Struct):
    """A rule about sensors: each of its ``checks`` is a rule of its own, named after both.

    ``every`` is the length of the panes that it looks at. With ``gates``, the other rules of a
    series rest while an alert says that its values are none.
    """

    name: str
    match: MatchFile
    checks: ChecksFile
    every: DurationMs = DurationMs(60_000)
    severity: SeverityName = "WARNING"
    delay: HoldText = msgspec.field(name="for", default=0)
    keep_firing_for: HoldText = "30m"
    latch: bool = False
    gates: bool = True
    category: Literal["SENSOR_HEALTH"] = "SENSOR_HEALTH"
    version: int = 1
    when: WhenFile | None = None
    cooldown: DurationMs = DurationMs(0)
    realarm_after: DurationMs = DurationMs(0)
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class DeriveFile(msgspec.Struct):
    """A metric made of others, by an expression or by a model; see :mod:`stream.derive`.

    With an expression, ``inputs`` gives metrics the names that it uses; with a model, it says which
    metrics the model's own inputs are, in their order.
    """

    metric: str
    expr: str | None = None
    model: str | None = None
    inputs: dict[str, str] | tuple[str, ...] | None = None
    unit: str | None = None
    every: DurationMs | None = None
    device: Globs = "*"
    site: Globs = "*"


class RollupFile(msgspec.Struct):
    """Tumbling windows of all series that match; see :mod:`stream.rollups`."""

    metric: Globs
    size: DurationMs
    device: Globs = "*"
    site: Globs = "*"


class WhileFile(msgspec.Struct):
    """What the state metric says during a run."""

    metric: str
    op: WhenOp
    value: float


class SessionFile(msgspec.Struct):
    """Runs of a machine, and of which metrics they get rows; see :mod:`stream.sessions`."""

    name: str
    gap: DurationMs
    of: Globs
    state: WhileFile = msgspec.field(name="while")
    device: Globs = "*"
    site: Globs = "*"


class RuleFile(msgspec.Struct):
    """The whole file; ``version`` is that of its form.

    ``rules``, ``baselines`` and ``models`` are converted one by one, for they are of several kinds.
    """

    version: Literal[1]
    rules: list[Any]
    baselines: dict[str, Any] = {}
    rollups: tuple[RollupFile, ...] = ()
    sessions: tuple[SessionFile, ...] = ()
    suppress: tuple[SuppressFile, ...] = ()
    derive: tuple[DeriveFile, ...] = ()
    models: dict[str, Any] = {}


class Parsed(NamedTuple):
    """A file that has the right form, and where its keys stand.

    ``rules`` and ``compounds`` are by their places in the file's list of rules.
    """

    file: RuleFile
    rules: dict[int, RuleEntry | SensorEntry]
    compounds: dict[int, CompoundEntry]
    baselines: dict[str, BaselineFile]
    models: dict[str, Model]
    name: str
    lines: dict[KeyPath, int]

    def refuse(self, complaints: list[Complaint]) -> None:
        """Raise what is wrong, if anything is.

        Raises:
            ConfigError: there are complaints.
        """
        if complaints:
            raise ConfigError(
                [told(c, self.name, self.lines, {}) for c in dict.fromkeys(complaints)]
            )


def read_rule_file(text: str, name: str) -> Parsed:
    """Read YAML into structs.

    Args:
        text: the file's text.
        name: how messages call it, usually its path.

    Raises:
        ConfigError: not YAML, or not of the form; every mistake a line with file, line and key.
    """
    root, lines, complaints = read_yaml(text, name)
    if not isinstance(root, dict):
        raise ConfigError([f"{name}:1: expected the keys version and rules, got {root or 'none'}"])
    file = read_table(RuleFile, root, (), complaints)
    rules, compounds = _rules(root.get("rules"), complaints)
    baselines = {} if file is None else _baselines(file, complaints)
    models = {} if file is None else read_models(file.models, complaints)
    if complaints or file is None:
        raise ConfigError([told(c, name, lines, {}) for c in complaints])
    return Parsed(file, rules, compounds, baselines, models, name, lines)


def _rules(
    entries: object, complaints: list[Complaint]
) -> tuple[dict[int, RuleEntry | SensorEntry], dict[int, CompoundEntry]]:
    """Return the rules on readings and those over rules, each by its place."""
    plain: dict[int, RuleEntry | SensorEntry] = {}
    compounds: dict[int, CompoundEntry] = {}
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        path: KeyPath = ("rules", index)
        if not isinstance(entry, dict):
            complaints.append(Complaint(path, f"expected a table, got {entry!r}"))
        elif "match" not in entry and is_above(entry):
            compound = read_table(CompoundEntry, entry, path, complaints)
            if compound is not None:
                compounds[index] = compound
        else:
            # One with a slip in the word is about sensors, too: it has no window either.
            checks = "checks" in entry or ("window" not in entry and nearest("checks", list(entry)))
            kind: type[RuleEntry | SensorEntry] = SensorEntry if checks else RuleEntry
            rule = read_table(kind, entry, path, complaints)
            if rule is not None:
                plain[index] = rule
    return plain, compounds


def _baselines(file: RuleFile, complaints: list[Complaint]) -> dict[str, BaselineFile]:
    found = {}
    for name, entry in file.baselines.items():
        path: KeyPath = ("baselines", name)
        if not isinstance(entry, dict):
            complaints.append(Complaint(path, f"expected a table, got {entry!r}"))
            continue
        named = str(entry.get("kind", "decayed"))  # one that is missing is told with the rest
        kind = BASELINE_KINDS.get(named)
        if kind is None:
            told_of = f"expected one of {', '.join(BASELINE_KINDS)}, got {named!r}"
            complaints.append(
                Complaint((*path, "kind"), told_of + nearest(named, list(BASELINE_KINDS)))
            )
            continue
        baseline = read_table(kind, entry, path, complaints)
        if baseline is not None:
            found[name] = baseline
    return found
