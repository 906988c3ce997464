"""The rule file as written: YAML, with the line of every key, into plain structs.

What a rule means is in :mod:`stream.rules`; here is only what may stand in the file.
"""

import re
from math import isfinite
from typing import Any, Literal, NamedTuple

import msgspec
import yaml

from schemas.amounts import DurationMs
from schemas.config import Complaint, ConfigError, nearest, read_table, told
from schemas.records import Category
from schemas.records import Severity as SeverityName
from schemas.toml_lines import KeyPath
from stream.conditions import WhenOp, WhenOpen
from stream.detectors import Aggregate, Compare, Op

Globs = str | list[str]
HoldText = str | int


class MatchFile(msgspec.Struct):
    """Which series a rule is for; each entry a glob or a list of them."""

    metric: Globs
    device: Globs = "*"
    site: Globs = "*"


class WindowFile(msgspec.Struct):
    """A sliding window; see :class:`stream.windows.WindowSpec` for ``grow_to``."""

    size: DurationMs
    slide: DurationMs
    grow_to: DurationMs | None = None
    type: Literal["sliding"] = "sliding"


class CompareFile(msgspec.Struct):
    """What the aggregate is compared with, and in which direction."""

    op: Op
    to: Compare
    baseline: str | None = None


class SeverityFile(msgspec.Struct):
    """Limits and delays of one severity; a bare integer counts evaluations."""

    level: SeverityName
    enter: float
    exit: float | None = None
    delay: HoldText = msgspec.field(name="for", default=0)
    keep_firing_for: HoldText = 0


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
    """One rule; ``version`` is the author's count of its changes."""

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
    cooldown: DurationMs = DurationMs(0)
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class DecayedFile(msgspec.Struct):
    """A baseline that forgets; see :class:`stream.baselines.Decayed`."""

    kind: Literal["decayed", "seasonal"]
    n0: float = 6400.0
    counted_every: DurationMs = DurationMs(300_000)
    warmup: float = 50.0
    floor_rel: float = 1e-3
    floor: float = 0.0
    freeze_while: tuple[Literal["PENDING", "FIRING", "RECOVERING"], ...] = ()


class SeasonalFile(DecayedFile):
    """The same for each hour of the day; see :class:`stream.baselines.Seasonal`.

    Two weeks of readings of 5 minutes, and nothing said before three days.
    """

    n0: float = 168.0
    warmup: float = 36.0


class FrozenFile(msgspec.Struct):
    """A baseline learned once; see :class:`stream.baselines.Frozen`."""

    kind: Literal["frozen"]
    learn_for: DurationMs
    skip_first: DurationMs = DurationMs(0)
    floor_rel: float = 1e-3
    floor: float = 0.0


class ConstantFile(msgspec.Struct):
    """A baseline that is said; see :class:`stream.baselines.Constant`."""

    kind: Literal["constant"]
    mean: float
    std: float


BaselineFile = DecayedFile | FrozenFile | ConstantFile
_KINDS: dict[str, type[BaselineFile]] = {
    "decayed": DecayedFile,
    "seasonal": SeasonalFile,
    "frozen": FrozenFile,
    "constant": ConstantFile,
}


class RuleFile(msgspec.Struct):
    """The whole file; ``version`` is that of its form. ``baselines`` are converted one by one."""

    version: Literal[1]
    rules: tuple[RuleEntry, ...]
    baselines: dict[str, Any] = {}


class Parsed(NamedTuple):
    """A file that has the right form, and where its keys stand."""

    file: RuleFile
    baselines: dict[str, BaselineFile]
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


class _Loader(yaml.SafeLoader):
    """Takes ``1e-3`` for a number, as everybody but YAML 1.1 does."""


_Loader.yaml_implicit_resolvers = {
    first: list(found) for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+"),
    list("-+.0123456789"),
)


def read_rule_file(text: str, name: str) -> Parsed:
    """Read YAML into structs.

    Args:
        text: the file's text.
        name: how messages call it, usually its path.

    Raises:
        ConfigError: not YAML, or not of the form; every mistake a line with file, line and key.
    """
    tree = _Tree()
    try:
        root = tree.plain(_compose(text, name), (), ())
    except RecursionError as error:
        raise ConfigError([f"{name}: nested too deeply to be a rule file"]) from error
    complaints = tree.complaints
    if not isinstance(root, dict):
        raise ConfigError([f"{name}:1: expected the keys version and rules, got {root!r}"])
    file = read_table(RuleFile, root, (), complaints)
    baselines = {} if file is None else _baselines(file, complaints)
    if complaints or file is None:
        raise ConfigError([told(c, name, tree.lines, {}) for c in complaints])
    return Parsed(file, baselines, name, tree.lines)


def _compose(text: str, name: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        raise ConfigError(
            [f'{where}: not YAML: {error.problem}; an operator or a * needs quotes, as in ">="']
        ) from error
    except yaml.YAMLError as error:
        raise ConfigError([f"{name}: not YAML: {str(error).splitlines()[0]}"]) from error


def _baselines(file: RuleFile, complaints: list[Complaint]) -> dict[str, BaselineFile]:
    found = {}
    for name, entry in file.baselines.items():
        path: KeyPath = ("baselines", name)
        if not isinstance(entry, dict):
            complaints.append(Complaint(path, f"expected a table, got {entry!r}"))
            continue
        named = str(entry.get("kind", "decayed"))  # one that is missing is told with the rest
        kind = _KINDS.get(named)
        if kind is None:
            told_of = f"expected one of {', '.join(_KINDS)}, got {named!r}"
            complaints.append(Complaint((*path, "kind"), told_of + nearest(named, list(_KINDS))))
            continue
        baseline = read_table(kind, entry, path, complaints)
        if baseline is not None:
            found[name] = baseline
    return found


class _Tree:
    """Turns YAML nodes into plain values and notes on which line each key stands."""

    def __init__(self) -> None:
        self.lines: dict[KeyPath, int] = {}
        self.complaints: list[Complaint] = []
        self._made: dict[int, Any] = {}

    def plain(self, node: yaml.Node | None, path: KeyPath, above: tuple[int, ...]) -> Any:
        """Return a node's value; an alias is made once, so that it cannot grow without bound."""
        if node is None:
            return None
        self.lines.setdefault(path, node.start_mark.line + 1)
        if id(node) in above:
            self._complain(path, "refers to itself")
            return None
        if id(node) not in self._made:
            self._made[id(node)] = self._make(node, path, (*above, id(node)))
        return self._made[id(node)]

    def _make(self, node: yaml.Node, path: KeyPath, above: tuple[int, ...]) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, above)
        if isinstance(node, yaml.SequenceNode):
            return [self.plain(item, (*path, i), above) for i, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(
        self, node: yaml.MappingNode, path: KeyPath, above: tuple[int, ...]
    ) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, value in node.value:
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else "?"
            inner = (*path, name)
            self.lines.setdefault(inner, key.start_mark.line + 1)
            if name in values:
                line = key.start_mark.line + 1
                self._complain(inner, f"is there twice, the second time on line {line}")
            values[name] = self.plain(value, inner, above)
        return values

    def _scalar(self, node: yaml.Node, path: KeyPath) -> Any:
        try:
            value = _Loader("").construct_object(node)
        except (ValueError, OverflowError, yaml.YAMLError):
            self._complain(path, f"{node.value!r} is no value of YAML's")
            return None
        if isinstance(value, int | float) and ":" in node.value:
            self._complain(path, f"YAML reads {node.value} as {value}; quote it, or write 90m")
        if isinstance(value, float) and not isfinite(value):
            self._complain(path, f"expected a finite number, got {node.value}")
            return 0.0
        if isinstance(value, int) and abs(value) >= 1 << 63:
            self._complain(path, "expected a number of at most 64 bits")
            return 0
        return value

    def _complain(self, path: KeyPath, message: str) -> None:
        self.complaints.append(Complaint(path, message))
