"""The alerts job's Python operator: a thin adapter over the pure engine."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, get_args

import msgspec
from pyflink.common import Time, Types
from pyflink.datastream import KeyedProcessFunction, RuntimeContext
from pyflink.datastream.state import MapStateDescriptor, StateTtlConfig

from schemas.codec import encode
from schemas.encoders import ReadingEncoder, WindowEncoder
from schemas.records import Alert, DeadLetter, Reading, WindowFeatures
from stream.device_state import DeviceState
from stream.engine import NOTHING
from stream.fleet import enriched, placed
from stream.jobs.buckets import Buckets
from stream.jobs.feed import Feed
from stream.jobs.known import Given, Known, Source
from stream.jobs.told import PaneTold, ReadingTold, Told, Undecodable, told

Decided = tuple[str, bytes, bytes]
"""Where a record goes, its key and its value. PyFlink takes a tuple in half a Row's time."""

DECISION_TYPE = Types.TUPLE(
    [Types.STRING(), Types.PRIMITIVE_ARRAY(Types.BYTE()), Types.PRIMITIVE_ARRAY(Types.BYTE())]
)

_PROMISED = [
    field.name
    for field in msgspec.structs.fields(Reading)
    if type(None) not in get_args(field.type)
]
_MOST_SITES = 1000
"""A metric each: more would be a burden on every system that collects them."""


class Ids(NamedTuple):
    """Schema ids of the values that the job writes, or takes from those who push, by topic."""

    alerts: int
    windows: int
    late: int
    dead_letters: int
    readings: int
    rules: int
    devices: int
    commands: int


class Decide(KeyedProcessFunction):
    """Turns panes into windows and alerts, and passes on what could not enter a pane.

    Keyed by bucket of devices. State is the engine's, as bytes by device and piece
    (`stream.device_state`): a pane reads and writes that of its own metric. A piece that has not
    changed for the time to live dies.
    """

    def __init__(
        self,
        given: Given,
        source: Source,
        readings_topic: str,
        ids: Ids,
        ttl_days: int,
        feed: Callable[[Source], Feed] = Source.feed,
    ) -> None:
        """Keep only what can be shipped to a worker; the engines are made in :meth:`open`."""
        self._given = given
        self._source = source
        self._topic = readings_topic
        self._ids = ids
        self._ttl_days = ttl_days
        self._feed = feed

    def open(self, runtime_context: RuntimeContext) -> None:
        """Read what was pushed so far, and find the state."""
        self._known = Known(self._given, self._source, self._feed(self._source))
        # What all workers refuse, one of them tells.
        self._tells = runtime_context.get_index_of_this_subtask() == 0
        self._late = ReadingEncoder(self._ids.late)
        self._readings = ReadingEncoder(self._ids.readings)
        self._windows = WindowEncoder(self._ids.windows)
        descriptor = MapStateDescriptor(
            "pieces", Types.STRING(), Types.PRIMITIVE_ARRAY(Types.BYTE())
        )
        descriptor.enable_time_to_live(
            StateTtlConfig.new_builder(Time.days(self._ttl_days))
            .set_update_type(StateTtlConfig.UpdateType.OnCreateAndWrite)
            # "Never return expired" makes PyFlink ask the JVM for each value and write each back
            # at once, past its caches. What has expired and is still there does no harm here.
            .return_expired_if_not_cleaned_up()
            .build()
        )
        self._buckets = Buckets(runtime_context.get_map_state(descriptor))
        self._metrics = runtime_context.get_metrics_group()
        self._newest: dict[str, int] = {}
        self._metrics.gauge("rules_version", self._known.newest_version)

    def process_element(self, value: bytes, ctx: KeyedProcessFunction.Context) -> list[Decided]:
        """Return what the row leads to."""
        rows = told(value)
        if isinstance(rows, Undecodable):
            place = [rows.kafka_partition, rows.kafka_offset]
            why, record = rows.reason or "", rows.record or b""
            letter = self._letter("UNDECODABLE", why, record, place, _now_ms(ctx))
            return [self._set_aside("", letter)]
        return [each for row in rows for each in self._take(row, ctx)]

    def _take(self, row: Told, ctx: KeyedProcessFunction.Context) -> list[Decided]:
        if isinstance(row, PaneTold):
            return self._decide(row, ctx)
        if row.why == "LATE":
            reading = _reading(row)
            return [("late", reading.device_id.encode(), self._late.encode(reading))]
        return [self._set_aside(str(row.fields[0] or ""), self._turned_away(row, _now_ms(ctx)))]

    def _decide(self, row: PaneTold, ctx: KeyedProcessFunction.Context) -> list[Decided]:
        device_id, site, end = row.device_id, row.site, row.pane.pane_end
        self._known.up_to(end)
        said = self._known.commands.due(device_id, end)
        engines = self._known.engines
        try:
            self._buckets.reach(ctx.get_current_key())
            state = DeviceState(self._buckets.load(device_id))
            obeyed = engines.obey(state, device_id, site, said, end) if said else NOTHING
            decision = engines.on_pane(state, device_id, row.metric, site, row.unit, row.pane)
            changed = list(state.changed())
        # An exception that leaves here can end the TaskManager, and would again after each
        # restart: whatever it is, this pane is set aside and everybody else goes on.
        except Exception as error:  # noqa: BLE001
            letter = DeadLetter(
                origin="JOB",
                reason="ENGINE",
                detail=f"{type(error).__name__}: {error}"[:1000],
                payload=msgspec.json.encode(row),
                at=_now_ms(ctx),
            )
            return [self._set_aside(device_id, letter)]
        for piece, data in changed:
            self._buckets.keep(device_id, piece, data)
        self._note(site, end)
        windows = [self._window(each) for each in decision.windows]
        alerts = [self._alert(each) for each in (*obeyed.alerts, *decision.alerts)]
        return windows + alerts + self._refused()

    def _window(self, window: WindowFeatures) -> Decided:
        known = self._known.fleet.at(window.device_id, window.window_end)
        key = f"{window.device_id}|{window.metric}".encode()
        return "windows", key, self._windows.encode(placed(window, known))

    def _alert(self, alert: Alert) -> Decided:
        known = self._known.fleet.at(alert.device_id, alert.window_end)
        value = encode(enriched(alert, known), self._ids.alerts)
        return "alerts", alert.fingerprint.encode(), value

    def _refused(self) -> list[Decided]:
        letters = self._known.letters()
        return [self._set_aside("", each) for each in letters] if self._tells else []

    def _note(self, site: str, pane_end: int) -> None:
        """Keep a site's newest pane end (epoch ms) as a metric: its age is how late alerts are."""
        known = self._newest.get(site)
        if known is None and len(self._newest) < _MOST_SITES:
            self._newest[site] = pane_end
            group = self._metrics.add_group("site", site)
            group.gauge("newest_pane_end", lambda: self._newest[site])
        elif known is not None and pane_end > known:
            self._newest[site] = pane_end

    def _set_aside(self, device_id: str, letter: DeadLetter) -> Decided:
        key = device_id or f"{letter.kafka_partition}-{letter.kafka_offset}"
        return "dead-letters", key.encode(), encode(letter, self._ids.dead_letters)

    def _turned_away(self, row: ReadingTold, now_ms: int) -> DeadLetter:
        """Return the reading's bytes as the gateway would write them, and what is wrong with it."""
        place = [row.kafka_partition, row.kafka_offset]
        if row.why == "FUTURE":
            reading = _reading(row)
            detail = (
                f"event time {reading.ts} is more than a minute ahead of its arrival "
                f"(gateway {reading.received_ts})"
            )
            return self._letter(row.why, detail, self._readings.encode(reading), place, now_ms)
        named = dict(zip(Reading.__struct_fields__, row.fields, strict=True))
        missing = [name for name in _PROMISED if named[name] is None]
        detail = (
            f"without a value: {', '.join(missing)}"
            if missing
            else f"event time {named['ts']} is before the year 1"
        )
        return self._letter(row.why, detail, msgspec.json.encode(named), place, now_ms)

    def _letter(
        self,
        reason: str,
        detail: str,
        payload: bytes,
        place: Sequence[int | None],
        now_ms: int,
    ) -> DeadLetter:
        return DeadLetter(
            origin="JOB",
            reason=reason,
            detail=detail,
            payload=payload,
            at=now_ms,
            kafka_topic=self._topic,
            kafka_partition=place[0],
            kafka_offset=place[1],
        )


def _now_ms(ctx: KeyedProcessFunction.Context) -> int:
    return int(ctx.timer_service().current_processing_time())


def _reading(row: ReadingTold) -> Reading:
    return Reading(*row.fields)
