"""Windows and alerts as documents: which index, which id, which fields.

Index and id follow from the record alone, so what is indexed again replaces itself.
"""

import hashlib
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from schemas.records import Alert, WindowFeatures

_MOST_ID_BYTES = 512
_DATE: dict[str, object] = {"type": "date", "format": "epoch_millis"}
_WORD: dict[str, object] = {"type": "keyword", "ignore_above": 1024}
_TYPES: dict[object, dict[str, object]] = {
    str: _WORD,
    int: {"type": "long"},
    float: {"type": "double"},
    bool: {"type": "boolean"},
}
_TIMES = frozenset(
    {"window_start", "window_end", "condition_since", "starts_at", "ends_at", "last_true_at",
     "emitted_at"}
)  # fmt: skip
_MAPS = ("labels", "annotations")


class Document(NamedTuple):
    """One document: where it goes, what it is called there, and its JSON."""

    index_name: str
    id: str
    source: bytes


def document(record: WindowFeatures | Alert, prefix: str) -> Document:
    """Return a record as a document; an index holds a month of windows or a year of alerts.

    JSON has neither NaN nor infinities: they become null. Each label stands as ``name=value``
    in ``label_words`` too, where it can be searched.
    """
    fields = msgspec.structs.asdict(record)
    if isinstance(record, WindowFeatures):
        index = f"{prefix}windows-{_named(record.window_end, '%Y.%m')}"
        key = [record.device_id, record.metric, record.window_start, record.window_end]
        # Without one it is the id that such a window has always had.
        key += [record.session] if record.session else []
    else:
        index = f"{prefix}alerts-{_named(record.starts_at, '%Y')}"
        key = [record.alert_id, record.event, record.emitted_at, record.seq]
        fields["label_words"] = [f"{name}={value}" for name, value in record.labels.items()]
    return Document(index, _id("|".join(map(str, key))), msgspec.json.encode(fields))


def _named(at_ms: int, form: str) -> str:
    """Return a time in an index's name; one that no calendar has goes to an index of its own."""
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).strftime(form)
    except (ValueError, OverflowError, OSError):
        return "beyond"


def _id(key: str) -> str:
    return key if len(key.encode()) <= _MOST_ID_BYTES else hashlib.sha256(key.encode()).hexdigest()


def templates(prefix: str) -> dict[str, dict[str, Any]]:
    """Return the index templates by name: every field with its type, and nothing guessed."""
    return {
        f"{prefix}windows": _template(f"{prefix}windows-*", _properties(WindowFeatures)),
        f"{prefix}alerts": _template(
            f"{prefix}alerts-*", _properties(Alert) | {"label_words": _WORD}
        ),
    }


def _template(pattern: str, properties: dict[str, object]) -> dict[str, Any]:
    # A field of a later version is kept, if not searchable, until its template is set up.
    mappings = {"dynamic": False, "properties": properties}
    return {
        "index_patterns": [pattern],
        "priority": 100,
        "template": {
            "settings": {"number_of_shards": 1, "auto_expand_replicas": "0-1"},
            "mappings": mappings,
        },
        "_meta": {"owner": "tidegate"},
    }


def _properties(kind: type[WindowFeatures] | type[Alert]) -> dict[str, object]:
    return {field.name: _mapped(field.name, field.type) for field in msgspec.structs.fields(kind)}


def _mapped(name: str, kind: object) -> dict[str, object]:
    if name in _TIMES:
        return _DATE
    if name in _MAPS:
        # Names are the operator's: as fields of their own there would be ever more of them.
        return {"type": "object", "enabled": False}
    plain = [branch for branch in getattr(kind, "__args__", (kind,)) if branch is not type(None)]
    return _TYPES.get(plain[0], _WORD)
