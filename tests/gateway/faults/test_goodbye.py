"""T12: the end of a gateway under load. What is on disk is acknowledged, so it comes once."""

import signal
import threading
import time
from pathlib import Path
from typing import Any

import edge_fakes
import pytest
from edge_fakes import Broker, chunk
from edge_mqtt import DISCONNECT, PUBACK, arrive, connect, endpoint
from edge_rig import seen, wait_for

from gateway.message import Arrivals, Done
from gateway.mqtt import Connection
from gateway.spool import Spool


def test_the_last_acknowledgements_survive_what_nobody_read(broker: Broker) -> None:
    """I3: a reset would take them from a broker that has not read them yet."""
    connection = Connection(endpoint(broker), ["t/+"], stale=[])
    connect(connection, broker)
    broker.publish(1)
    (arrivals,) = arrive(connection, 1)
    for mid in range(2, 200):
        broker.publish(mid, b"x" * 100)
    assert connection.ack(arrivals.epoch, arrivals.mids)
    closing = threading.Thread(target=connection.close)
    closing.start()
    assert broker.read() == (PUBACK, b"\x00\x01")
    # Sent while the goodbye is on its way, as a broker does at every acknowledgement.
    broker.publish(200, b"x" * 100)
    assert broker.read()[0] == DISCONNECT
    with pytest.raises(EOFError):
        broker.read()
    broker.hang_up()
    closing.join(5)
    assert not closing.is_alive()


def test_a_broker_that_never_hangs_up_holds_the_goodbye_for_a_second_only(broker: Broker) -> None:
    connection = Connection(endpoint(broker), ["t/+"], stale=[])
    connect(connection, broker)
    began = time.monotonic()
    connection.close()
    assert time.monotonic() - began < 3


def test_nothing_stops_waiting_for_the_disk_before_it_can_be_acknowledged(tmp_path: Path) -> None:
    """The network thread ends when nothing waits; by then it must know of the last commit."""
    waited: list[int] = []

    def on_done(_done: Done) -> None:
        waited.append(spooling.waiting_bytes)

    spooling = edge_fakes.spooling(lambda: Spool(tmp_path / "spool.db", 64 << 20, 1), on_done)
    spooling.offer(Arrivals(1, [1], [chunk(b"1")]))
    spooling.stop()
    spooling.run()
    assert [size > 0 for size in waited] == [True]
    assert spooling.waiting_bytes == 0


@pytest.mark.stack
@pytest.mark.slow  # A broker that stalls for a second, as on a busy machine, may repeat some.
def test_sigterm_under_load_sends_nothing_twice(edge: Any) -> None:
    """I3, I6: an ending in order is no crash, so no reading has a second identity after it."""
    gateway = edge.gateway()
    acked: set[tuple[str, int]] = set()
    for turn in range(4):
        gateway.wait_ready()
        batch = edge.publisher.readings(5000, start=turn * 5000)
        acked |= {next(batch) for _ in range(500 + 600 * turn)}
        assert gateway.end(signal.SIGTERM) == 0, gateway.logged()
        acked.update(batch)
        gateway.start()
    wait_for("all that was acknowledged", lambda: acked <= seen(edge))
    assert len(edge.follower.readings) == len(acked)
    assert edge.follower.dead == []
