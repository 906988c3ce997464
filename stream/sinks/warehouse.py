"""Which topic becomes which table in PostgreSQL, and how each column is made fit for it."""

from typing import NamedTuple

from schemas.contracts import ContractName
from stream.columns import columns

TIMES = "TIMESTAMP(3)"
# A B-tree holds keys of up to a third of a page, 2704 bytes; UTF-8 takes four at most for each.
_MOST_KEY = 600
# PostgreSQL has no NUL in text: it would refuse the batch, again after each restart.
_NO_NUL = "REPLACE({}, CHR(0), '\ufffd')"
_FIRST, _LAST = "TIMESTAMP '0001-01-01 00:00:00'", "TIMESTAMP '9999-12-31 23:59:59.999'"


class WarehouseTable(NamedTuple):
    """A topic and the key by which its records are rows: a later record replaces an equal key's."""

    name: str
    topic: str
    contract: ContractName
    key: tuple[str, ...]

    @property
    def columns(self) -> dict[str, str]:
        """Return the table's columns with the types that Flink hands to the database."""
        return {
            name: kind if kind in _AS_IS else "STRING"
            for name, kind in columns(self.contract, TIMES).items()
        }

    @property
    def values(self) -> list[str]:
        """Return an SQL expression for each column."""
        return [_value(f"`{name}`", kind) for name, kind in columns(self.contract, TIMES).items()]

    @property
    def storable(self) -> str:
        """Return the condition under which a decoded record fits the table."""
        kinds = columns(self.contract, TIMES)
        length = " + ".join(
            f"CHAR_LENGTH(`{name}`)" for name in self.key if kinds[name] == "STRING"
        )
        times = [
            f"(`{name}` IS NULL OR `{name}` BETWEEN {_FIRST} AND {_LAST})"
            for name, kind in kinds.items()
            if kind == TIMES
        ]
        return " AND ".join([f"{length} <= {_MOST_KEY}", *times])


_AS_IS = frozenset({"STRING", "INT", "BIGINT", "DOUBLE", "BOOLEAN"})

WAREHOUSE: tuple[WarehouseTable, ...] = (
    WarehouseTable(
        "windows",
        "windows",
        "window_features",
        ("device_id", "metric", "window_start", "window_end", "session"),
    ),
    WarehouseTable("alerts", "alerts", "alert", ("alert_id", "seq", "event")),
    WarehouseTable("devices", "devices", "device", ("device_id", "valid_from")),
)


def _value(name: str, kind: str) -> str:
    if kind == "STRING":
        return _NO_NUL.format(name)
    if kind == TIMES:
        # As text with its zone: the driver would read a timestamp in the zone of its JVM.
        return f"CAST({name} AS STRING) || '+00'"
    if kind in _AS_IS:
        return name
    # Maps and lists become JSON, where a NUL is written out, and as unwelcome.
    return f"REPLACE(JSON_STRING({name}), '\\u0000', '\\ufffd')"
