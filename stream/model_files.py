"""Model files taken into the text of the rule file that names them.

    models: {turbofan: turbofan.json}   ──▶   models: {turbofan: {"kind": "rul", …}}

JSON is YAML, and a model goes where its name stood, on the same line: messages about the rest of
the file keep their lines, and the text that goes to a job is whole.
"""

import json
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml

from schemas.config import ConfigError
from stream.yaml_lines import compose_yaml

_LARGEST = 1 << 20


def embedded(text: str, name: str, folder: Path | Traversable) -> str:
    """Return a rule file's text with the model files that it names in it.

    Args:
        text: YAML.
        name: how messages call it, usually its path.
        folder: where relative names of models are looked for.

    Raises:
        ConfigError: not YAML, or a model's file cannot be read or is no JSON.
    """
    if "models" not in text:
        return text
    places = _places(compose_yaml(text, name))
    for node in sorted(places, key=lambda each: each.start_mark.index, reverse=True):
        line = f"{name}:{node.start_mark.line + 1}: models"
        model = _read(node.value, line, folder)
        text = (
            text[: node.start_mark.index]
            + json.dumps(model, ensure_ascii=False)
            + text[node.end_mark.index :]
        )
    return text


def _places(root: yaml.Node | None) -> list[yaml.ScalarNode]:
    """Return the names of files under `models`; an alias stands for what it names once."""
    if not isinstance(root, yaml.MappingNode):
        return []
    tables = [value for key, value in root.value if key.value == "models"]
    named = [
        value
        for table in tables
        if isinstance(table, yaml.MappingNode)
        for _, value in table.value
        if isinstance(value, yaml.ScalarNode) and value.tag == "tag:yaml.org,2002:str"
    ]
    return list({id(each): each for each in named}.values())


def _read(file: str, line: str, folder: Path | Traversable) -> Any:
    path = folder.joinpath(file)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror or "cannot be read") if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError(
            [f"{line}: {path}: {reason}; `tidegate rules fit` writes models"]
        ) from error
    if len(text) > _LARGEST:
        raise ConfigError([f"{line}: {path}: is no model: more than {_LARGEST >> 20} MiB"])
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError([f"{line}: {path}: is no JSON: {error}"]) from error
