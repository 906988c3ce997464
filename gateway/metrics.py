"""Every metric of the gateway, in one closed list; none has a device id as a label.

They are read off the running parts when somebody asks, so counting costs the data path nothing.
"""

import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.mqtt import Connection
from gateway.net import Net
from gateway.spooling import Spooling
from gateway.uplink import Uplink

_COUNTERS = {
    "tidegate_mqtt_messages_received_total": "MQTT messages read from the broker.",
    "tidegate_mqtt_messages_acknowledged_total": "MQTT messages acknowledged, being on disk.",
    "tidegate_mqtt_stale_acks_total": "Acknowledgements withheld as their connection was gone.",
    "tidegate_mqtt_connects_total": "Connections made to the MQTT broker.",
    "tidegate_buffer_commits_total": "Commits of the spool, an fsync each.",
    "tidegate_buffer_damaged_rows_total": "Spool rows with a bad checksum, kept as files.",
    "tidegate_buffer_set_aside_total": "Spool databases set aside as unreadable: possible loss.",
    "tidegate_gateway_messages_delivered_total": "Messages Kafka has, as readings or dead letters.",
    "tidegate_gateway_markers_total": "Markers made for quiet devices.",
    "tidegate_kafka_rewinds_total": "Times the uplink went back to the cursor.",
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
_CONNECTED = "tidegate_connected"
_BUILD = "tidegate_build_info"
_DELAY = "tidegate_kafka_delivery_seconds"
NAMES = (*_COUNTERS, *_GAUGES, _REJECTED, _CONNECTED, _BUILD, _DELAY)


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
    ) -> None:
        self.connection = connection
        self.net = net
        self.spooling = spooling
        self.uplink = uplink
        self.quota = quota
        self.synced = synced


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
        connected = GaugeMetricFamily(_CONNECTED, "1 while connected.", labels=["side"])
        connected.add_metric(["mqtt"], float(self._r.connection.connected))
        connected.add_metric(["kafka"], float(self._r.uplink.tally.reachable))
        yield connected
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
            level.commits,
            level.damaged,
            level.set_aside,
            tally.delivered,
            tally.markers,
            tally.rewinds,
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

    def _rejected(self) -> Metric:
        family = CounterMetricFamily(_REJECTED, "Messages dead-lettered.", labels=["reason"])
        for reason, count in dict(self._r.uplink.tally.dead).items():
            family.add_metric([reason], float(count))
        return family


def registry(running: Running) -> CollectorRegistry:
    """Return the gateway's own registry, and let the uplink's delays count in it."""
    made = CollectorRegistry(auto_describe=False)
    made.register(GatewayMetrics(running))
    delay = Histogram(
        _DELAY,
        "From receipt to Kafka's acknowledgement, of a batch's first message.",
        registry=made,
        buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 30, 300, 3600),
    )
    running.uplink.tally.on_delay = delay.observe
    return made
