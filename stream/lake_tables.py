"""The lake's tables: what makes two rows of one the same, and the views that show each once.

The files hold rows as Kafka has them. The view of a table shows the row that counts among equal
keys: of readings the first, since they are the same measurement; of windows and alerts the newest,
since a later record replaces an earlier one.
"""

from typing import NamedTuple

from stream.archived import ARCHIVED
from stream.rollups import ROLLUPS_MS

# Two readings are the same when these are equal: schemas.records.reading_key, as SQL.
_READING_KEY = """
  device_id, metric, device_ts, device_boot, device_seq,
  CASE WHEN device_ts IS NOT NULL THEN "value" END,
  CASE WHEN device_ts IS NOT NULL THEN "repeat" END,
  CASE WHEN device_ts IS NULL THEN gateway_id END,
  CASE WHEN device_ts IS NULL THEN gateway_epoch END,
  CASE WHEN device_ts IS NULL THEN gateway_seq END,
  CASE WHEN device_ts IS NULL THEN part END
"""


class LakeTable(NamedTuple):
    """A folder of the lake, and SQL: the key of its rows, which of equal ones counts, their order.

    ``shown`` is what a row of the view has to meet; the files keep the others, too.
    """

    name: str
    job: str
    key: str
    first: str
    sorted: str
    shown: str = "TRUE"

    def distinct(self, source: str) -> str:
        """Return the query for the rows of a table or view that count."""
        return (
            f"SELECT * FROM {source} "
            f"QUALIFY row_number() OVER (PARTITION BY {self.key} ORDER BY {self.first}) = 1"
        )

    def views(self) -> list[str]:
        """Return the views over ``X_raw``, the rows as written; the first one is ``X``."""
        own = f"SELECT * FROM ({self.distinct(f'{self.name}_raw')}) WHERE {self.shown}"
        return [
            f"CREATE VIEW {self.name} AS {own}",
            *(f"CREATE VIEW {name} AS {query}" for name, query in _MORE.get(self.name, {}).items()),
        ]

    @property
    def names(self) -> list[str]:
        """Return what a query may name once the table has files."""
        return [self.name, f"{self.name}_raw", *_MORE.get(self.name, {})]


# Flink writes times in ms, of which DuckDB makes a type with few functions.
_START, _END = "epoch_ms(window_start::TIMESTAMP)", "epoch_ms(window_end::TIMESTAMP)"
_SIZES = ", ".join(map(str, ROLLUPS_MS))
# A row of a rule's window that stands where a roll-up would is the same row, so it is one.
_MORE = {
    "windows": {
        "rollups": f"""
            SELECT window_end::TIMESTAMP - window_start::TIMESTAMP AS size, * EXCLUDE (session)
            FROM windows
            WHERE session = '' AND {_END} - {_START} IN ({_SIZES})
              AND {_START} % ({_END} - {_START}) = 0
        """,
        "sessions": "SELECT * FROM windows WHERE session <> ''",
    },
    "alerts": {
        "alerts_latest": """
            SELECT * FROM alerts
            QUALIFY row_number() OVER (
              PARTITION BY alert_id ORDER BY emitted_at DESC, seq DESC) = 1
        """
    },
}
READINGS = LakeTable(
    "readings",
    "lake",
    _READING_KEY,
    "kafka_partition, kafka_offset",
    "device_id, metric, ts, gateway_seq",
)
TABLES: tuple[LakeTable, ...] = (
    READINGS,
    *(
        LakeTable(
            each.name,
            "archive",
            ", ".join(each.key),
            "kts DESC, kafka_partition, kafka_offset DESC",
            ", ".join(each.key),
            # A backfill takes a window back by sending it once more, empty.
            '"count" > 0' if each.name == "windows" else "TRUE",
        )
        for each in ARCHIVED
    ),
)
