"""Every metric of the gateway, in one closed list; none has a device id as a label.

They are read off the running parts when somebody asks, so counting costs the data path nothing.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.mqtt import Connection
from gateway.net import Net
from gateway.spooling import Spooling
from gateway.upkeep import Upkeep
from gateway.uplink import Uplink

_COUNTERS = {
    "tidegate_mqtt_messages_received_total": "MQTT messages read from the broker.",
    "tidegate_mqtt_messages_acknowledged_total": "MQTT messages acknowledged, being on disk.",
    "tidegate_mqtt_stale_acks_total": "Acknowledgements withheld as their connection was gone.",
    "tidegate_mqtt_connects_total": "Connections made to the MQTT broker.",
    "tidegate_mqtt_duplicates_total": "Redeliveries proven to be on disk already, not kept twice.",
    "tidegate_buffer_commits_total": "Commits of the spool, an fsync each.",
    "tidegate_buffer_damaged_rows_total": "Spool rows with a bad checksum, kept as files.",
    "tidegate_buffer_set_aside_total": "Spool databases set aside as unreadable: possible loss.",
    "tidegate_gateway_messages_delivered_total": "Messages Kafka has, as readings or dead letters.",
    "tidegate_gateway_markers_total": "Markers made for quiet devices.",
    "tidegate_kafka_rewinds_total": "Times the uplink went back to the cursor.",
    "tidegate_gateway_clock_steps_total": "Times the system's clock was set while this ran.",
    "tidegate_gateway_messages_restamped_total": "Messages sent with their true time of receipt.",
}
_GAUGES = {
    "tidegate_buffer_messages": "Messages in the spool.",
    "tidegate_buffer_bytes": "Bytes of the spool's quota that are taken.",
    "tidegate_buffer_quota_bytes": "The spool's quota.",
    "tidegate_buffer_oldest_age_seconds": "Age of the oldest message in the spool.",
    "tidegate_buffer_full": "1 while the spool is full and nothing is acknowledged.",
    "tidegate_gateway_devices": "Devices whose reporting intervals are followed.",
    "tidegate_gateway_clock_synced": "1 while the gateway's own clock is synchronised.",
}
_REJECTED = "tidegate_gateway_messages_rejected_total"
_THINNED = "tidegate_gateway_readings_thinned_total"
_DROPPED = "tidegate_buffer_messages_dropped_total"
_CONNECTED = "tidegate_connected"
_BUILD = "tidegate_build_info"
_DELAY = "tidegate_kafka_delivery_seconds"
_CONFIG = "tidegate_config_info"
_RELOADS = "tidegate_config_reloads_total"
_EXPIRY = "tidegate_certificate_expiry_timestamp_seconds"
_IDLE = "tidegate_gateway_thread_idle_seconds"
# As every Prometheus client names them, so that existing dashboards show them.
_PROCESS = (
    "process_virtual_memory_bytes",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_cpu_seconds_total",
    "process_open_fds",
    "process_max_fds",
)
NAMES = (
    *_COUNTERS,
    *_GAUGES,
    *_PROCESS,
    *(_REJECTED, _THINNED, _DROPPED, _CONNECTED, _BUILD, _DELAY, _CONFIG, _RELOADS, _EXPIRY, _IDLE),
)


def package_version() -> str:
    """Return the installed version of tidegate."""
    try:
        return version("tidegate")
    except PackageNotFoundError:
        return "unknown"


class Running:
    """The running parts, as metrics and readiness see them."""

    def __init__(
        self,
        connection: Connection,
        net: Net,
        spooling: Spooling,
        uplink: Uplink,
        quota: int,
        synced: Callable[[], bool],
        upkeep: Upkeep,
    ) -> None:
        self.connection = connection
        self.net = net
        self.spooling = spooling
        self.uplink = uplink
        self.quota = quota
        self.synced = synced
        self.upkeep = upkeep


def beats(running: Running) -> dict[str, float]:
    """Return when each thread began its last turn, on the monotonic clock.

    One that has to wait for a name's look-up is ahead of the clock, see ``pacing.LOOKUP_S``.
    """
    return {
        "net": max(running.net.beat_s, running.connection.dialing_until_s),
        "spool": running.spooling.beat_s,
        "uplink": running.uplink.tally.beat_s,
    }


class GatewayMetrics(Collector):
    """Reads the metrics off the running parts."""

    def __init__(self, running: Running) -> None:
        self._r = running

    def collect(self) -> Iterator[Metric]:
        """Return every metric but the histogram, which counts for itself."""
        for name, value in self._counters().items():
            yield CounterMetricFamily(name, _COUNTERS[name], value=value)
        for name, value in self._gauges().items():
            yield GaugeMetricFamily(name, _GAUGES[name], value=value)
        yield self._rejected()
        yield self._thinned()
        yield self._dropped()
        connected = GaugeMetricFamily(_CONNECTED, "1 while connected.", labels=["side"])
        connected.add_metric(["mqtt"], float(self._r.connection.connected))
        connected.add_metric(["kafka"], float(self._r.uplink.tally.reachable))
        yield connected
        yield from self._upkeep()
        build = GaugeMetricFamily(_BUILD, "The running version.", labels=["version"])
        build.add_metric([package_version()], 1.0)
        yield build

    def _counters(self) -> dict[str, float]:
        r, level, tally = self._r, self._r.spooling.level, self._r.uplink.tally
        values = (
            r.net.received,
            r.net.acked - r.connection.stale_acks,
            r.connection.stale_acks,
            r.connection.connects,
            r.net.duplicates,
            level.commits,
            level.damaged,
            level.set_aside,
            tally.delivered,
            tally.markers,
            tally.rewinds,
            r.upkeep.steps.count,
            r.upkeep.stamps.restamped,
        )
        return dict(zip(_COUNTERS, map(float, values), strict=True))

    def _gauges(self) -> dict[str, float]:
        level = self._r.spooling.level
        age_s = 0.0 if level.oldest_ts is None else max(time.time() - level.oldest_ts / 1000, 0.0)
        values = (
            level.messages,
            level.used_bytes,
            self._r.quota,
            age_s,
            level.full,
            self._r.uplink.devices,
            self._r.synced(),
        )
        return dict(zip(_GAUGES, map(float, values), strict=True))

    def _upkeep(self) -> Iterator[Metric]:
        upkeep = self._r.upkeep
        info = GaugeMetricFamily(_CONFIG, "The configuration in force.", labels=["version"])
        info.add_metric([upkeep.version], 1.0)
        yield info
        reloads = CounterMetricFamily(
            _RELOADS, "Configurations, and replaced secrets.", labels=["what", "result"]
        )
        for (what, result), count in dict(upkeep.reloads).items():
            reloads.add_metric([what, result], float(count))
        yield reloads
        expiry = GaugeMetricFamily(_EXPIRY, "End of our own certificate.", labels=["side"])
        for side in upkeep.expiries:
            if side.not_after is not None:
                expiry.add_metric([side.side], float(side.not_after))
        yield expiry
        idle = GaugeMetricFamily(_IDLE, "Time since a thread's last turn.", labels=["thread"])
        now_s = time.monotonic()
        for name, beat_s in beats(self._r).items():
            idle.add_metric([name], max(now_s - beat_s, 0.0))
        yield idle

    def _rejected(self) -> Metric:
        family = CounterMetricFamily(_REJECTED, "Messages dead-lettered.", labels=["reason"])
        for reason, count in dict(self._r.uplink.tally.dead).items():
            family.add_metric([reason], float(count))
        return family

    def _dropped(self) -> Metric:
        told = "Messages that left the spool by its policy, undelivered."
        family = CounterMetricFamily(_DROPPED, told, labels=["policy"])
        for policy, count in self._r.spooling.level.dropped.items():
            family.add_metric([policy], float(count))
        return family

    def _thinned(self) -> Metric:
        family = CounterMetricFamily(_THINNED, "Readings left out by routes.", labels=["reason"])
        by_reason: Counter[str] = Counter()
        for (_, reason), count in self._r.uplink.tally.thinned.copy().items():
            by_reason[reason] += count
        for reason, count in by_reason.items():
            family.add_metric([reason], float(count))
        return family


def registry(running: Running) -> CollectorRegistry:
    """Return the gateway's own registry, and let the uplink's delays count in it."""
    made = CollectorRegistry(auto_describe=False)
    made.register(GatewayMetrics(running))
    ProcessCollector(registry=made)
    delay = Histogram(
        _DELAY,
        "From receipt to Kafka's acknowledgement, of a batch's first message.",
        registry=made,
        buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 30, 300, 3600),
    )
    running.uplink.tally.on_delay = delay.observe
    return made
