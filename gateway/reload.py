"""What another configuration asks of a gateway that runs."""

from typing import Literal, NamedTuple

import msgspec

from gateway.sections import Config
from schemas.toml_lines import KeyPath

How = Literal["live", "reconnect", "producer", "restart"]
"""Applied as it is; needs a new MQTT connection; needs a new producer; cannot change now."""

_BY_SECTION: dict[str, How] = {
    "gateway": "restart",
    "mqtt": "reconnect",
    "kafka": "producer",
    "registry": "producer",
    "spool": "restart",
    "limits": "live",
    "markers": "live",
    "admin": "restart",
    "log": "live",
    "clock": "live",
    "routes": "live",
}
# The broker keeps the session, and what is queued in it, under this name.
_BY_KEY: dict[KeyPath, How] = {("mqtt", "client_id"): "restart"}


class Change(NamedTuple):
    """A key that differs, and what it takes to apply it."""

    key: KeyPath
    how: How

    @property
    def name(self) -> str:
        """Return the key as it is written."""
        return ".".join(map(str, self.key))


def changes(old: Config, new: Config) -> list[Change]:
    """Return what differs, key by key; a section this module does not know needs a restart."""
    return [
        Change(key, _BY_KEY.get(key, _BY_SECTION.get(str(key[0]), "restart")))
        for section in msgspec.structs.fields(Config)
        for key in _differing(section.name, getattr(old, section.name), getattr(new, section.name))
    ]


def _differing(name: str, old: object, new: object) -> list[KeyPath]:
    if old == new:
        return []
    if not isinstance(old, msgspec.Struct):
        return [(name,)]
    return [
        (name, field)
        for field in old.__struct_fields__
        if getattr(old, field) != getattr(new, field)
    ]
