"""What the jobs have told of a period so far: their topics read once, kept on disk by device.

A period of a fleet has more windows than fit into memory; a device's have not.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from math import inf
from pathlib import Path
from typing import NamedTuple

import msgspec
from confluent_kafka import Message

from compose.outbox import MARK
from gateway.follow import decoder, follow
from schemas.records import Alert, Reading, WindowFeatures
from stream.correction import Scope
from stream.fleet import Fleet
from stream.recompute import Before, makes
from stream.rule import Rules

_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE windows (
  device TEXT, metric TEXT, start_ms INTEGER, end_ms INTEGER, body BLOB,
  PRIMARY KEY (device, metric, start_ms, end_ms)
) WITHOUT ROWID;
CREATE TABLE alerts (
  device TEXT, metric TEXT, alert_id TEXT, since INTEGER, window_start INTEGER,
  window_end INTEGER, rested INTEGER, body BLOB
);
CREATE TABLE closed (
  device TEXT, metric TEXT, told INTEGER, late INTEGER, PRIMARY KEY (device, metric)
) WITHOUT ROWID;
"""
# Null is less than any number to max() over rows, but not to max() of two.
_CLOSED = """
INSERT INTO closed VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET
  told = max(coalesce(told, excluded.told), coalesce(excluded.told, told)),
  late = max(coalesce(late, excluded.late), coalesce(excluded.late, late))
"""
# An alert's first record says since when, its last until when; one without an end goes on.
_ACTIVE = "SELECT min(since) AS since, max(rested) AS ends FROM alerts {} GROUP BY alert_id"
_BOUNDS = " UNION ".join(
    f"SELECT metric, {bound} FROM {table} WHERE device = ?1"
    for table, bounds in (
        ("windows", ("start_ms", "end_ms")),
        ("alerts", ("window_start", "window_end")),
    )
    for bound in bounds
)


class Whose(NamedTuple):
    """Which records: of one site or device, or of all."""

    site: str | None
    device: str | None

    def takes(self, record: Alert | Reading | WindowFeatures) -> bool:
        """Say whether a record is meant."""
        return self.site in (None, record.site) and self.device in (None, record.device_id)


class Told:
    """The windows of a scope, and all alerts, of the chosen devices, as the topics have them."""

    def __init__(
        self,
        path: Path,
        rules: Rules,
        scope: Scope,
        whose: Whose,
        pane_ms: Callable[[str], int],
        fleet: Fleet,
    ) -> None:
        """Make the file; it is scratch."""
        self._fleet = fleet
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.executescript(_TABLES)
        self._rules = rules
        self._cooldown_ms = {rule.name: rule.cooldown_ms for rule in rules.every}
        self._pane_ms = pane_ms
        self._scope = scope
        self._whose = whose

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def add_window(self, window: WindowFeatures, *, corrected: bool) -> None:
        """Keep a window, the job's or one that a backfill sent; the newest of equal ones stays.

        Not a machine's run: it says nothing of how far its metric's windows have come.
        """
        if not self._whose.takes(window) or window.session:
            return
        if not corrected:
            self._close(window.device_id, window.metric, told=window.window_end)
        after, upto = self._scope
        if not after < window.window_end <= upto:
            return
        device = self._fleet.at(window.device_id, window.window_end)
        if makes(self._rules, window, device):
            key = (window.device_id, window.metric, window.window_start, window.window_end)
            self._db.execute(
                "INSERT OR REPLACE INTO windows VALUES (?, ?, ?, ?, ?)",
                (*key, msgspec.msgpack.encode(window)),
            )

    def add_alert(self, alert: Alert) -> None:
        """Keep an alert's record, if its rule is one of these."""
        if not self._whose.takes(alert) or alert.rule not in self._cooldown_ms:
            return
        # While a rule rests nothing is evaluated, which is as much a part of an alert as it was.
        rested = None if alert.ends_at is None else alert.ends_at + self._cooldown_ms[alert.rule]
        self._db.execute(
            "INSERT INTO alerts VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                alert.device_id, alert.metric, alert.alert_id, alert.condition_since,
                alert.window_start, alert.window_end, rested, msgspec.msgpack.encode(alert),
            ),
        )  # fmt: skip

    def add_late(self, reading: Reading) -> None:
        """Learn from a late reading that the job had closed its pane."""
        if self._whose.takes(reading):
            size = self._pane_ms(reading.metric)
            self._close(reading.device_id, reading.metric, late=(reading.ts // size + 1) * size)

    def windows(self, device: str) -> Iterator[WindowFeatures]:
        """Yield the scope's windows of a device."""
        for (body,) in self._db.execute("SELECT body FROM windows WHERE device = ?", (device,)):
            yield _window(body)

    def alerts(self, device: str, before: Before) -> Iterator[Alert]:
        """Yield the records of a device's alerts, as far as the job has come, in order."""
        asked = "SELECT body FROM alerts WHERE device = ? ORDER BY rowid"
        for (body,) in self._db.execute(asked, (device,)):
            alert = _alert(body)
            if before.has_told(alert.metric, alert.window_end):
                yield alert

    def before(self, device: str) -> Before:
        """Return what else is known of the job's run over a device.

        A metric's windows come out as its next pane does, so what is behind the newest of them is
        not yet the job's last word, closed or not. Of a metric whose readings all came late
        there are none, and there will be none for the time before those.
        """
        closed = self._db.execute(
            "SELECT metric, coalesce(told, late) FROM closed WHERE device = ?", (device,)
        )
        active = self._db.execute(_ACTIVE.format("WHERE device = ?"), (device,))
        bounds: dict[str, list[int]] = {}
        for metric, bound in self._db.execute(_BOUNDS, (device,)):
            bounds.setdefault(metric, []).append(bound)
        return Before(
            dict(closed.fetchall()),
            [(since, inf if end is None else end) for since, end in active],
            bounds,
        )

    def nothing(self) -> bool:
        """Say whether the job has told nothing of any of them."""
        return self._db.execute("SELECT 1 FROM closed LIMIT 1").fetchone() is None

    def active_since(self, at_ms: int) -> int | None:
        """Return since when the oldest alert active, or rested after, at a time was about to be."""
        asked = (
            f"SELECT min(since) FROM ({_ACTIVE.format('')}) "
            "WHERE since < ?1 AND (ends IS NULL OR ends > ?1)"
        )
        return self._db.execute(asked, (at_ms,)).fetchone()[0]  # type: ignore[no-any-return]

    def index(self) -> None:
        """Make look-ups by device fast, once all is in."""
        self._db.execute("CREATE INDEX alerts_of ON alerts (device)")

    def _close(
        self, device: str, metric: str, *, told: int | None = None, late: int | None = None
    ) -> None:
        self._db.execute(_CLOSED, (device, metric, told, late))


def listen(bootstrap: str, topic: str, take: Callable[[Message], None], began_by_ms: int) -> bool:
    """Hand over a topic's committed records up to its end.

    Returns:
        Whether all since ``began_by_ms`` were there: retention has taken none of them.

    Raises:
        Unavailable: the brokers do not answer.
        Failure: the topic does not exist.
    """
    first: dict[int | None, bool] = {}
    for batch in follow(bootstrap, topic, until_end=True):
        for message in batch:
            partition = message.partition()
            if partition not in first:
                whole = message.offset() == 0 or message.timestamp()[1] <= began_by_ms
                first[partition] = whole
            take(message)
    return all(first.values())


def listeners(told: Told, registry_url: str) -> Mapping[str, Callable[[Message], None]]:
    """Return what each topic's records go to, by the topic's name without a prefix."""
    window = decoder(WindowFeatures, registry_url)
    alert = decoder(Alert, registry_url)
    late = decoder(Reading, registry_url)
    return {
        "windows": lambda message: told.add_window(
            window(message.value()), corrected=MARK in (message.headers() or ())
        ),
        "late": lambda message: told.add_late(late(message.value())),
        "alerts": lambda message: told.add_alert(alert(message.value())),
    }


_window = msgspec.msgpack.Decoder(WindowFeatures).decode
_alert = msgspec.msgpack.Decoder(Alert).decode
