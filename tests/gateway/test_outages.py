"""Kafka, the registry or the broker away, or the spool full: nothing lost, and it is told why."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from edge_rig import FakeRegistry, MockKafka, seen, wait_for

pytestmark = pytest.mark.stack

TOPIC_AUTHORIZATION_FAILED = 29


def test_a_kafka_outage_loses_nothing_and_is_told(edge: Any) -> None:
    gateway = edge.gateway()
    gateway.wait_ready()
    acked = set(edge.publisher.readings(500))
    edge.kafka.tell("down")
    acked |= set(edge.publisher.readings(4000, start=500))
    wait_for("told", lambda: "kafka: no broker" in gateway.get("/readyz")[1])
    assert gateway.metric("tidegate_buffer_messages") > 0
    assert gateway.get("/healthz")[0] == 200
    edge.kafka.tell("up")
    wait_for("all", lambda: acked <= seen(edge), 60)
    wait_for("ready again", gateway.ready)
    assert edge.follower.dead == []


def test_sigterm_while_kafka_is_away_ends_in_time(edge: Any) -> None:
    gateway = edge.gateway()
    gateway.wait_ready()
    edge.kafka.tell("down")
    acked = set(edge.publisher.readings(500))
    name = "tidegate_mqtt_messages_acknowledged_total"
    wait_for("acknowledged", lambda: gateway.metric(name) == 500)
    began = time.monotonic()
    assert gateway.end() == 0, gateway.logged()
    assert time.monotonic() - began < 15
    edge.kafka.tell("up")
    gateway.start()
    wait_for("all", lambda: acked <= seen(edge))


def test_authorisation_lost_for_a_while_empties_nothing_into_dead_letters(edge: Any) -> None:
    gateway = edge.gateway()
    gateway.wait_ready()
    edge.kafka.tell(f"fail {TOPIC_AUTHORIZATION_FAILED} 6")
    acked = set(edge.publisher.readings(300))
    wait_for("told", lambda: "kafka: " in gateway.get("/readyz")[1])
    wait_for("all", lambda: acked <= seen(edge), 90)
    assert edge.follower.dead == []
    assert gateway.metric("tidegate_kafka_rewinds_total") >= 1


def test_a_full_spool_keeps_the_connection_and_goes_on(edge: Any) -> None:
    """I9, T8, W11: not acknowledged, not disconnected for more than twice the keepalive."""
    gateway = edge.gateway('[spool]\nquota = "16MiB"')
    gateway.wait_ready()
    edge.kafka.tell("down")
    filler = b'{"value":1,"ts":%d,"x":"' + b"x" * 200_000 + b'"}'
    for i in range(150):
        edge.publisher.publish("sensors/plant/filler/temp", filler % (1_700_000_000_000 + i))
    wait_for("full", lambda: "spool: full" in gateway.get("/readyz")[1], 60)
    acked = set(edge.publisher.readings(200))
    connects = gateway.metric("tidegate_mqtt_connects_total")
    before = gateway.metric("tidegate_mqtt_messages_acknowledged_total")
    time.sleep(11)
    assert gateway.metric("tidegate_mqtt_connects_total") == connects, gateway.logged()
    assert gateway.metric("tidegate_mqtt_messages_acknowledged_total") == before
    assert gateway.metric("tidegate_connected") == 0 or "mqtt" not in gateway.get("/readyz")[1]
    edge.kafka.tell("up")
    wait_for(
        "acks again",
        lambda: gateway.metric("tidegate_mqtt_messages_acknowledged_total") > before,
        15,
    )
    wait_for("all", lambda: acked <= seen(edge), 60)
    fillers = {r.device_ts for r in edge.follower.readings if r.device_id == "plant.filler"}
    assert len(fillers) == 150
    assert gateway.rss_mb() < 150


@pytest.mark.parametrize("policy", ["drop-oldest", "thin"])
def test_a_spool_that_drops_tells_kafka_which_numbers_went_and_keeps_alarms(
    edge: Any, policy: str
) -> None:
    """I2, I3: what was acknowledged is a reading, or among the numbers of a gap record."""
    gateway = edge.gateway(
        f'[spool]\nquota = "16MiB"\nwhen_full = "{policy}"\n'
        'classes = [{ name = "alarms", devices = ["plant.fire-*"] }]'
    )
    gateway.wait_ready()
    edge.kafka.tell("down")
    filler = b'{"value":1,"ts":%d,"x":"' + b"x" * 100_000 + b'"}'
    for i in range(400):
        device = b"fire-1" if i % 10 == 0 else b"d%d" % (i % 7)
        edge.publisher.publish(
            f"sensors/plant/{device.decode()}/temp", filler % (1_700_000_000_000 + i)
        )
    name = "tidegate_mqtt_messages_acknowledged_total"
    wait_for("all acknowledged, though the spool is full", lambda: gateway.metric(name) == 400, 60)
    edge.kafka.tell("up")
    wait_for("how much went", lambda: any(losses(edge)), 60)
    wait_for("nothing waits", lambda: gateway.metric("tidegate_buffer_messages") == 0, 60)
    arrived = {r.ts for r in edge.follower.readings}
    lost = sum(each["messages"] for each in losses(edge))
    # A busy machine may give up its connection: what comes again may go once and arrive once.
    received = gateway.metric("tidegate_mqtt_messages_received_total")
    assert 400 <= len(arrived) + lost <= received
    assert received == 400 or gateway.metric("tidegate_mqtt_connects_total") > 1
    # Where every second is not enough, the oldest go.
    whys = {(each["why"], each["name"]) for each in losses(edge)}
    assert (policy, "rest") in whys
    assert whys <= {(policy, "rest"), ("drop-oldest", "rest")}
    assert {1_700_000_000_000 + i for i in range(0, 400, 10)} <= arrived, "alarms are never dropped"
    counted = [
        gateway.metric(f'tidegate_buffer_messages_dropped_total{{policy="{each}"}}')
        for each in {policy, "drop-oldest"}
    ]
    assert sum(counted) == lost
    gone = [json.loads(d.payload) for d in edge.follower.dead if d.mqtt_topic.endswith("numbers")]
    assert not {r.gateway_seq for r in edge.follower.readings} & set(numbers(gone))
    assert {d.reason for d in edge.follower.dead} == {"GAP"}


def losses(edge: Any) -> list[dict[str, Any]]:
    return [json.loads(d.payload) for d in edge.follower.dead if d.mqtt_topic.endswith("messages")]


def numbers(gone: list[dict[str, Any]]) -> Iterator[int]:
    """Return the numbers of gap records, those of rows of this test."""
    for record in gone:
        for first, last in record["ranges"]:
            yield from (row + at for row in range(first, last, 4096) for at in range(200))
        for first, bits in record["bits"].items():
            number = int.from_bytes(bytes.fromhex(bits), "little")
            yield from (int(first) + at for at in range(number.bit_length()) if number >> at & 1)


def test_without_a_schema_id_it_acknowledges_and_waits(edge: Any) -> None:
    url = edge.registry.url
    edge.registry.stop()
    gateway = edge.gateway()
    wait_for("told", lambda: "registry: schema id not known" in gateway.get("/readyz")[1])
    # Before the first subscription the broker keeps nothing for the gateway.
    wait_for("subscribed", lambda: "mqtt" not in gateway.get("/readyz")[1])
    acked = set(edge.publisher.readings(100))
    wait_for("on disk", lambda: gateway.metric("tidegate_mqtt_messages_acknowledged_total") >= 100)
    assert edge.follower.readings == []
    edge.registry = FakeRegistry(int(url.rpartition(":")[2]))
    wait_for("all", lambda: acked <= seen(edge), 60)


def test_a_registry_that_comes_late_makes_it_ready_without_any_message(edge: Any) -> None:
    port = int(edge.registry.url.rpartition(":")[2])
    edge.registry.stop()
    gateway = edge.gateway()
    wait_for("told", lambda: "registry: schema id not known" in gateway.get("/readyz")[1])
    edge.registry = FakeRegistry(port)
    gateway.wait_ready()


def test_a_registry_that_is_down_at_the_next_start_is_not_missed(edge: Any) -> None:
    gateway = edge.gateway()
    gateway.wait_ready()
    gateway.end()
    edge.registry.stop()
    gateway.start()
    gateway.wait_ready()
    acked = set(edge.publisher.readings(50))
    wait_for("all", lambda: acked <= seen(edge))
    edge.registry = FakeRegistry()


def test_a_broker_that_restarts_is_found_again(edge: Any) -> None:
    gateway = edge.gateway()
    gateway.wait_ready()
    acked = set(edge.publisher.readings(100))
    wait_for("first", lambda: acked <= seen(edge))
    edge.mosquitto.stop()
    wait_for("told", lambda: "mqtt: not connected" in gateway.get("/readyz")[1])
    edge.mosquitto.start()
    gateway.wait_ready()
    wait_for("the publisher's own connection", edge.publisher.client.is_connected)
    acked |= set(edge.publisher.readings(100, start=100))
    wait_for("all", lambda: acked <= seen(edge))


def test_the_mock_cluster_is_what_the_tests_take_it_for() -> None:
    kafka = MockKafka()
    kafka.tell("rtt 1")
    assert kafka.bootstrap.startswith("127.0.0.1:")
    kafka.stop()
