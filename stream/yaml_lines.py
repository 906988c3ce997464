"""YAML as plain values, with the line on which every key stands."""

import re
from math import isfinite
from typing import Any, NamedTuple

import yaml

from schemas.config import Complaint, ConfigError
from schemas.toml_lines import KeyPath


class Tree(NamedTuple):
    """A file's plain values, where its keys stand, and what is no value at all."""

    root: Any
    lines: dict[KeyPath, int]
    complaints: list[Complaint]


def read_yaml(text: str, name: str) -> Tree:
    """Read a YAML text.

    Args:
        text: YAML.
        name: how messages call it, usually its path.

    Raises:
        ConfigError: not YAML, or nested too deeply.
    """
    walk, node = _Walk(), compose_yaml(text, name)
    try:
        root = walk.plain(node, (), ())
    except RecursionError as error:
        raise ConfigError([f"{name}: nested too deeply to be a rule file"]) from error
    return Tree(root, walk.lines, walk.complaints)


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


def compose_yaml(text: str, name: str) -> yaml.Node | None:
    """Return the tree of a YAML text, with the place of every node.

    Raises:
        ConfigError: not YAML, or nested too deeply.
    """
    try:
        return yaml.compose(text, Loader=_Loader)
    except RecursionError as error:
        raise ConfigError([f"{name}: nested too deeply to be a rule file"]) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        raise ConfigError(
            [f"{where}: not YAML: {error.problem}; {_remedy(error.problem or '')}"]
        ) from error
    except yaml.YAMLError as error:
        raise ConfigError([f"{name}: not YAML: {str(error).splitlines()[0]}"]) from error


def _remedy(problem: str) -> str:
    if "'\\t'" in problem:
        return "YAML is indented with spaces, never with tabs"
    return 'an operator or a * needs quotes, as in ">="'


class _Walk:
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
