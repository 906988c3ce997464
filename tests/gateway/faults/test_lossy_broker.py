"""T6, W3, W12: a broker killed that keeps nothing: no session, no message.

What it loses is its own; the oracle is what the gateway acknowledged to it, read off the wire.
"""

import json
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from edge_mqtt import PUBACK
from edge_rig import GatewayProcess, seen, wait_for
from tcp_proxy import Link, Proxy

pytestmark = pytest.mark.stack
PUBLISH = 3
RECEIVED = "tidegate_mqtt_messages_received_total"
ACKNOWLEDGED = "tidegate_mqtt_messages_acknowledged_total"
CONNECTS = "tidegate_mqtt_connects_total"
STALE = "tidegate_mqtt_stale_acks_total"
KILLS, BEFORE, HELD, AFTER = 3, 300, 200, 20


class Told(NamedTuple):
    """What a connection's traffic says was acknowledged, and acknowledged without being sent."""

    acknowledged: set[tuple[str, int]]
    unsent: list[int]


def packets(stream: bytearray) -> Iterator[tuple[int, bytes]]:
    """Take whole MQTT packets off a stream: first byte and body (MQTT 5, 2.1.4)."""
    while len(stream) >= 2:
        size = shift = 0
        at = 1
        while at < len(stream):
            size |= (stream[at] & 0x7F) << shift
            shift += 7
            at += 1
            if stream[at - 1] < 0x80:
                break
        else:
            return
        if len(stream) < at + size:
            return
        yield stream[0], bytes(stream[at : at + size])
        del stream[: at + size]


def published(body: bytes) -> tuple[int, tuple[str, int]]:
    """Return packet id, and device and sequence number, of a PUBLISH of QoS 1 in MQTT 5."""
    end = 2 + int.from_bytes(body[:2], "big")
    _, site, device, _ = body[2:end].decode().split("/")
    assert body[end + 2] == 0, "no properties"
    reading = json.loads(body[end + 3 :])
    return int.from_bytes(body[end : end + 2], "big"), (f"{site}.{device}", reading["seq"])


def told(link: Link) -> Told:
    """Read a connection: an acknowledgement is of a message it brought and that still waits."""
    waiting: dict[int, tuple[str, int]] = {}
    acknowledged: set[tuple[str, int]] = set()
    unsent = []
    streams = {False: bytearray(), True: bytearray()}
    for from_broker, data in link.passed:
        streams[from_broker] += data
        for first, body in packets(streams[from_broker]):
            if from_broker and first >> 4 == PUBLISH:
                mid, reading = published(body)
                waiting[mid] = reading
            elif not from_broker and first >> 4 == PUBACK:
                mid = int.from_bytes(body[:2], "big")
                if mid in waiting:
                    acknowledged.add(waiting.pop(mid))
                else:
                    unsent.append(mid)
    return Told(acknowledged, unsent)


@contextmanager
def slow_disk(gateway: GatewayProcess) -> Iterator[None]:
    """Let no commit end: another holds the database's write lock."""
    path = Path(gateway.folder) / "data" / "spool.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        yield


def killed_while_commits_hang(edge: Any, gateway: GatewayProcess, start: int) -> None:
    """Lose the session with messages read and not committed; fewer come under the next one."""
    publisher, metric = edge.publisher, gateway.metric
    connects = metric(CONNECTS)
    list(publisher.readings(BEFORE, start=start))
    known = start + BEFORE
    wait_for("all on disk", lambda: metric(ACKNOWLEDGED) + metric(STALE) == known)
    with slow_disk(gateway):
        list(publisher.readings(HELD, start=start + BEFORE))
        wait_for("read", lambda: metric(RECEIVED) == known + HELD)
        edge.mosquitto.stop(signal.SIGKILL)
        edge.mosquitto.start()
        wait_for("a new session", lambda: metric(CONNECTS) == connects + 1)
        gateway.wait_ready()
        wait_for("the publisher's own connection", publisher.client.is_connected)
        list(publisher.readings(AFTER, start=start + BEFORE + HELD))
        wait_for("read", lambda: metric(RECEIVED) == known + HELD + AFTER)


@pytest.fixture
def proxy(edge: Any) -> Iterator[Proxy]:
    made = Proxy(edge.mosquitto.port)
    made.keeps = True
    yield made
    made.close()


def test_what_was_acknowledged_to_a_broker_that_lost_everything_is_in_kafka(
    edge: Any, proxy: Proxy
) -> None:
    """I3, I8: and nothing is acknowledged on a connection that did not bring it."""
    url = f"mqtt://127.0.0.1:{proxy.port}"
    gateway = GatewayProcess(edge.folder / "gw", url, edge.kafka.bootstrap, edge.registry.url)
    edge.gateways.append(gateway)
    gateway.wait_ready()
    each = BEFORE + HELD + AFTER
    for kill in range(KILLS):
        killed_while_commits_hang(edge, gateway, kill * each)
    wait_for("all that was read", lambda: len(seen(edge)) == KILLS * each)
    # What hung is acknowledged to nobody: its connection is gone.
    most = KILLS * (BEFORE + AFTER)
    wait_for("the last", lambda: sum(len(told(link).acknowledged) for link in proxy.links) >= most)
    found = [told(link) for link in proxy.links]
    assert [t.unsent for t in found] == [[]] * len(found)
    assert sum(len(t.acknowledged) for t in found) == most
    assert gateway.metric(STALE) == KILLS * HELD
    assert set.union(*(t.acknowledged for t in found)) <= seen(edge)
    assert edge.follower.dead == []
