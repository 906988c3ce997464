"""The rule file's form as JSON Schema, so that editors complete and check it.

Made from the structs that read the file (:mod:`stream.rule_file`), so it cannot say another thing.
What a file means, such as limits in order, only `tidegate rules check` knows.
"""

import re
from collections.abc import Mapping
from functools import reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from schemas.amounts import DurationMs, told_ms
from stream.baseline_file import BASELINE_KINDS
from stream.compound_file import COMPOUND_KINDS, CompoundEntry
from stream.rule_file import RuleEntry, RuleFile, SensorEntry

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_AMOUNT = r"^\s*\d+(\.\d+)?\s*(ms|s|m|h|d)\s*$"
_DURATION = Annotated[
    str, msgspec.Meta(pattern=_AMOUNT, description="A duration such as 500ms, 30s, 15m, 1.5h, 2d.")
]
_RULES = (RuleEntry, SensorEntry, CompoundEntry)
_ROLE = re.compile(r"; see :\w+:`[^.]*`[^.]*|``")
"""What only means something to who reads the code."""


def rule_schema() -> dict[str, Any]:
    """Return the JSON Schema of a rule file; keys that are not known are refused, as in reading."""
    made: dict[type, type] = {}
    kinds = {name: _plain(kind, made) for name, kind in BASELINE_KINDS.items()}
    root, *rules = (_plain(kind, made) for kind in (RuleFile, *_RULES))
    (top, *_), defs = msgspec.json.schema_components(
        [root, *rules, *kinds.values()], ref_template="#/$defs/{name}"
    )
    for each in defs.values():
        if "properties" in each:
            each["additionalProperties"] = False
    defs["Baseline"] = {"oneOf": [_of_kind(name, defs[k.__name__]) for name, k in kinds.items()]}
    defs[CompoundEntry.__name__]["anyOf"] = [{"required": [key]} for key in COMPOUND_KINDS]
    for kind in set(kinds.values()):
        del defs[kind.__name__]
    properties = defs[root.__name__]["properties"]
    properties["baselines"]["additionalProperties"] = {"$ref": "#/$defs/Baseline"}
    properties["rules"]["items"] = {
        "anyOf": [{"$ref": f"#/$defs/{kind.__name__}"} for kind in rules]
    }
    return {"$schema": _DRAFT, "title": "tidegate rule file", **top, "$defs": defs}


def _of_kind(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of one kind of baseline; several may share a struct."""
    properties = {**schema["properties"], "kind": {"const": name}}
    return {**schema, "title": name, "properties": properties}


def _plain(kind: Any, made: dict[type, type]) -> Any:
    """Return a type as JSON has it: durations are text, and structs are made of such types."""
    if kind is DurationMs:
        return _DURATION
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        if kind not in made:
            made[kind] = _plain_struct(kind, made)
        return made[kind]
    inner = [_plain(each, made) if each is not Ellipsis else each for each in get_args(kind)]
    origin = get_origin(kind)
    if origin in (None, Literal, Annotated):
        return kind
    if origin in (Union, UnionType):
        return reduce(or_, inner)
    return origin[tuple(inner)]


def _plain_struct(kind: type[msgspec.Struct], made: dict[type, type]) -> type:
    fields = []
    for each in msgspec.structs.fields(kind):
        default: Any = _written(each.default)
        if default is msgspec.NODEFAULT and each.default_factory is not msgspec.NODEFAULT:
            default = msgspec.field(default_factory=each.default_factory)
        plain = _plain(each.type, made)
        fields.append(
            (each.encode_name, plain) if each.required else (each.encode_name, plain, default)
        )
    told = _ROLE.sub("", (kind.__doc__ or "").partition("\n\n")[0])
    return msgspec.defstruct(kind.__name__, fields, namespace={"__doc__": told}, kw_only=True)


def _written(default: Any) -> Any:
    """Return a default as a file has it; a length of time in its largest whole unit."""
    if not isinstance(default, DurationMs):
        return default
    return told_ms(default) if default else "0s"
