"""The records that cross boundaries, field for field as in the Avro contracts.

Times are integers: milliseconds since the epoch, UTC.
"""

from typing import Literal

import msgspec

Kind = Literal["READING", "MARKER"]
Quality = Literal["GOOD", "UNCERTAIN", "BAD"]
Clock = Literal["SYNCED", "UNSYNCED", "CLAMPED"]
Origin = Literal["GATEWAY", "JOB"]
Severity = Literal["INFO", "WARNING", "CRITICAL"]
Category = Literal["PROCESS", "TREND", "SENSOR_HEALTH", "MULTI"]
AlertEvent = Literal[
    "FIRED",
    "ESCALATED",
    "DEESCALATED",
    "RENOTIFY",
    "RESOLVED",
    "NO_DATA",
    "ACKED",
    "SHELVED",
    "SUPPRESSED",
    "CORRECTED",
]
AlertState = Literal["PENDING", "FIRING", "RECOVERING", "LATCHED", "NO_DATA", "RESOLVED"]
MaintenanceKind = Literal["REPAIR", "REPLACEMENT", "INSPECTION", "PLANNED"]
Finding = Literal["FAULT_FOUND", "NO_FAULT", "UNKNOWN"]
Command = Literal["ACK", "SHELVE", "UNSHELVE", "RESET"]
ResolveReason = Literal["VALUE", "NO_DATA", "RULE_CHANGED", "RESET"]


class Reading(msgspec.Struct, frozen=True, gc=False):
    """One value of one metric of one device; ``kind`` MARKER carries a clock and no value."""

    device_id: str
    metric: str
    site: str
    kind: Kind
    unit: str | None
    gateway_id: str
    gateway_epoch: int
    value: float
    ts: int
    device_ts: int | None
    device_boot: str | None
    device_seq: int | None
    quality: Quality
    gateway_seq: int
    part: int
    repeat: int
    received_ts: int
    clock: Clock
    replayed: bool


class WindowFeatures(msgspec.Struct, frozen=True, gc=False):
    """What the window [window_start, window_end) of one metric held; slope is per second.

    ``session`` names what a machine's run is one of; it is empty for windows and roll-ups.
    The last three say what the device was at the window's end.
    """

    device_id: str
    metric: str
    site: str
    window_start: int
    window_end: int
    count: int
    min: float
    max: float
    mean: float
    stddev: float
    rms: float
    first: float
    last: float
    slope: float
    session: str = ""
    asset_id: str = ""
    device_class: str = ""
    iso_group: str | None = None


class DeadLetter(msgspec.Struct, frozen=True, gc=False):
    """Something that could not be accepted: its original bytes, where it came from and why."""

    origin: Origin
    reason: str
    detail: str
    payload: bytes
    at: int
    mqtt_topic: str | None = None
    gateway_id: str | None = None
    gateway_epoch: int | None = None
    gateway_seq: int | None = None
    config_version: str | None = None
    kafka_topic: str | None = None
    kafka_partition: int | None = None
    kafka_offset: int | None = None
    mqtt_properties: bytes | None = None


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One transition in the life of an alert; all times are event time."""

    alert_id: str
    fingerprint: str
    seq: int
    rule: str
    rule_version: int
    category: Category
    event: AlertEvent
    state: AlertState
    prev_state: AlertState | None = None
    severity: Severity
    prev_severity: Severity | None = None
    asset_id: str
    device_id: str
    site: str
    metric: str
    unit: str | None = None
    value: float
    threshold_enter: float
    threshold_exit: float
    comparator: str
    score: float | None = None
    baseline_mean: float | None = None
    baseline_std: float | None = None
    sample_count: int
    peak_value: float
    window_start: int
    window_end: int
    condition_since: int
    starts_at: int
    ends_at: int | None = None
    last_true_at: int
    emitted_at: int
    clock: Literal["EVENT", "PROCESSING"] = "EVENT"
    late: bool = False
    first_out: bool = False
    resolve_reason: ResolveReason | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    acked_at: int | None = None
    acked_by: str | None = None
    shelved_until: int | None = None


class AlertCommand(msgspec.Struct, frozen=True, kw_only=True):
    """What a person says about one alert; ``until`` is event time, ms, of SHELVE alone."""

    command: Command
    alert_id: str
    fingerprint: str
    at: int
    by: str
    until: int | None = None
    note: str = ""


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a device from ``valid_from`` on."""

    device_id: str
    asset_id: str
    site: str
    device_class: str = ""
    interval_ms: int | None = None
    iso_group: str | None = None
    own_clock_metrics: list[str] = []
    valid_from: int = 0
    labels: dict[str, str] = {}


class Maintenance(msgspec.Struct, frozen=True, kw_only=True):
    """Work on an asset; ``ended_at`` is None while the order is open."""

    order_id: str
    asset_id: str
    site: str = ""
    started_at: int
    ended_at: int | None = None
    kind: MaintenanceKind
    finding: Finding = "UNKNOWN"
    component: str = ""
    note: str = ""


class RuleSet(msgspec.Struct, frozen=True, kw_only=True):
    """A rule file as published; ``sha256`` is that of ``text``."""

    version: int
    effective_from: int
    sha256: str
    text: str


ReadingKey = tuple[object, ...]


def reading_key(reading: Reading) -> ReadingKey:
    """Return the identity of a reading; two with equal keys are the same measurement.

    The device's own time identifies it across gateway restarts. Without one only the gateway's
    counters do, and a message that comes back after a crash counts as a new reading.
    """
    if reading.device_ts is not None:
        return (
            reading.device_id,
            reading.metric,
            reading.device_ts,
            reading.device_boot,
            reading.device_seq,
            reading.value,
            reading.repeat,
        )
    return (reading.gateway_id, reading.gateway_epoch, reading.gateway_seq, reading.part)
