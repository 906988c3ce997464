"""Which topics beside the readings go to the lake, under which key, and how columns are written."""

from typing import NamedTuple

from schemas.contracts import ContractName
from stream.columns import columns

TIMES = "TIMESTAMP(3)"
_FILE_TIMES = "TIMESTAMP_LTZ(3)"
_PLAIN = frozenset({"STRING", "INT", "BIGINT", "DOUBLE", "BOOLEAN"})


class Column(NamedTuple):
    """A column of the lake's files, its Flink type, and the SQL that makes it."""

    name: str
    kind: str
    value: str


class Archived(NamedTuple):
    """A topic as files: a record replaces an earlier one of an equal key.

    ``day`` is the column whose UTC day a record is filed under. It follows from the key, so equal
    keys are in one partition.
    """

    name: str
    contract: ContractName
    key: tuple[str, ...]
    day: str

    @property
    def columns(self) -> list[Column]:
        """Return the contract's columns but the site, which is a folder."""
        return [
            _column(name, kind)
            for name, kind in columns(self.contract, TIMES).items()
            if name != "site"
        ]


def _column(name: str, kind: str) -> Column:
    if kind == TIMES:
        return Column(name, _FILE_TIMES, f"CAST(`{name}` AS {_FILE_TIMES})")
    if kind in _PLAIN:
        return Column(name, kind, f"`{name}`")
    return Column(name, "STRING", f"JSON_STRING(`{name}`)")  # maps; every reader knows JSON


ARCHIVED: tuple[Archived, ...] = (
    Archived(
        "windows",
        "window_features",
        ("device_id", "metric", "window_start", "window_end", "session"),
        "window_start",
    ),
    Archived("alerts", "alert", ("alert_id", "seq", "event"), "starts_at"),
)
