"""A redelivery is recognised where the bytes prove it, and never by its DUP flag alone."""

import struct
import threading
from pathlib import Path
from typing import Any

import edge_fakes
from edge_fakes import Broker
from edge_mqtt import connect, endpoint, turn_until
from edge_rig import wait_for
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from gateway.message import Arrivals, Chunk, Done
from gateway.mqtt import Connection
from gateway.net import Net
from gateway.packets import DUP, PUBLISH, split
from gateway.redelivery import Redelivery, _packets
from gateway.spool import Spool


def publish(mid: int, payload: bytes, flags: int = 0) -> bytes:
    packet_id = struct.pack(">H", mid) if mid else b""
    body = b"\0\1t" + packet_id + payload
    assert len(body) < 128
    return bytes((PUBLISH | (2 if mid else 0) | flags, len(body))) + body


def arrivals(epoch: int, *packets: bytes) -> Arrivals:
    mids = [p[5] << 8 | p[6] for p in packets if p[0] & 2]
    return Arrivals(epoch, mids, [Chunk(b"".join(packets), len(packets), 1, 1, 0)])


def payloads(found: Arrivals) -> list[bytes]:
    return [p[2] for c in found.chunks for p in split(c.packets, v5=False)]


def committed_unacked(*packets: bytes) -> Redelivery:
    made = Redelivery()
    old = arrivals(2, *packets)
    made.offered(old)
    made.done(Done(old.epoch, old.mids), written=False)
    return made


def test_what_is_on_disk_and_was_never_acknowledged_is_not_spooled_again() -> None:
    made = committed_unacked(publish(1, b"a"), publish(2, b"b"))
    again = arrivals(4, publish(1, b"a", DUP), publish(2, b"b", DUP), publish(3, b"c"))
    found = made.novel(again, resumes=2)
    assert (payloads(found), found.mids, made.duplicates) == ([b"c"], [1, 2, 3], 2)


def test_chunks_of_nothing_but_duplicates_leave_their_packet_ids() -> None:
    made = committed_unacked(publish(1, b"a"))
    found = made.novel(arrivals(4, publish(1, b"a", DUP)), resumes=2)
    assert (found.chunks, found.mids) == ([], [1])


def test_the_dup_flag_alone_proves_nothing() -> None:
    cases: list[tuple[Redelivery, bytes, int | None]] = [
        (Redelivery(), publish(1, b"a", DUP), 2),
        (committed_unacked(publish(1, b"a")), publish(1, b"x", DUP), 2),
        (committed_unacked(publish(1, b"a")), publish(2, b"a", DUP), 2),
        (committed_unacked(publish(1, b"a")), publish(1, b"a"), 2),
        (committed_unacked(publish(1, b"a")), publish(1, b"a", DUP), None),
        (committed_unacked(publish(1, b"a")), publish(1, b"a", DUP), 0),
    ]
    for made, packet, resumes in cases:
        assert len(payloads(made.novel(arrivals(4, packet), resumes))) == 1
        assert made.duplicates == 0


def test_an_acknowledgement_that_may_have_left_proves_nothing() -> None:
    made = Redelivery()
    old = arrivals(2, publish(1, b"a"))
    made.offered(old)
    made.done(Done(2, old.mids), written=True)
    assert made.novel(arrivals(4, publish(1, b"a", DUP)), 2).chunks


def test_behind_the_first_new_message_packet_ids_may_be_used_again() -> None:
    made = committed_unacked(publish(1, b"a"), publish(2, b"b"))
    new = arrivals(4, publish(1, b"a", DUP), publish(9, b"new"), publish(2, b"b", DUP))
    assert payloads(made.novel(new, 2)) == [b"new", b"b"]
    late = arrivals(2, publish(5, b"late"))
    made.offered(late)
    made.done(Done(2, late.mids), written=False)
    assert payloads(made.novel(arrivals(4, publish(5, b"late", DUP)), 2)) == [b"late"]


def test_a_message_the_spool_let_go_is_taken_again() -> None:
    made = Redelivery()
    let_go, kept = arrivals(2, publish(1, b"a")), arrivals(2, publish(2, b"b"))
    made.offered(let_go)
    made.offered(kept)
    made.done(Done(2, kept.mids), written=False)
    again = arrivals(4, publish(1, b"a", DUP), publish(2, b"b", DUP))
    assert payloads(made.novel(again, 2)) == [b"a"]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.binary(max_size=3)), min_size=1, max_size=12))
def test_what_is_left_is_whole_packets_in_their_order(parts: list[tuple[int, bytes]]) -> None:
    unique = list({mid: (mid, payload) for mid, payload in parts if mid}.values())
    made = committed_unacked(*[publish(*p) for p in unique]) if unique else Redelivery()
    again = [publish(mid, payload, DUP if mid else 0) for mid, payload in parts]
    kept = payloads(made.novel(arrivals(4, *again), 2))
    assert len(kept) + made.duplicates == len(parts)
    left = iter(payload for _, payload in parts)
    assert all(payload in left for payload in kept)


class AnyBroker(RuleBasedStateMachine):
    """A broker that keeps the packet-id rule, and a link lost at any moment: nothing is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.made = Redelivery()
        self.epoch, self.resumes = 2, None
        self.unacked: dict[int, tuple[int, bytes]] = {}
        """Packet id to message number and payload, as the broker sees it, in sending order."""
        self.sent = 0
        self.pending: list[tuple[Arrivals, list[int]]] = []
        self.spooled: set[int] = set()

    def deliver(self, packets: list[tuple[int, int, bytes]], flags: int) -> None:
        came = arrivals(self.epoch, *[publish(mid, payload, flags) for mid, _, payload in packets])
        found = self.made.novel(came, self.resumes)
        left = {p.mid for c in found.chunks for p in _packets(c.packets)}
        kept = [number for mid, number, _ in packets if mid in left]
        dropped = {number for mid, number, _ in packets if mid not in left}
        assert dropped <= self.spooled, "thrown away and not on disk"
        self.made.offered(found)
        self.pending.append((found, kept))

    @precondition(lambda self: len(self.unacked) < 3)
    @rule(mid=st.integers(1, 3), payload=st.sampled_from([b"", b"s"]))
    def publishes(self, mid: int, payload: bytes) -> None:
        if mid in self.unacked:
            return
        self.sent += 1
        # The number is no part of the bytes: equal messages are what the proof is about.
        self.unacked[mid] = (self.sent, payload)
        self.deliver([(mid, self.sent, payload)], 0)

    @precondition(lambda self: self.pending)
    @rule(acked=st.booleans())
    def commits(self, acked: bool) -> None:
        found, kept = self.pending.pop(0)
        self.spooled |= set(kept)
        live = found.epoch == self.epoch
        self.made.done(Done(found.epoch, found.mids), written=live)
        if live:
            for mid in found.mids:
                number = self.unacked[mid][0]
                assert number in self.spooled, "acknowledged and not on disk"
                if acked:
                    del self.unacked[mid]
            if not acked:
                self.reconnects(session=True)

    @rule(session=st.booleans())
    def reconnects(self, session: bool) -> None:
        before, self.epoch = self.epoch, self.epoch + 2
        self.resumes = before if session else None
        if not session:
            self.unacked.clear()
        if self.unacked:
            self.deliver([(mid, n, p) for mid, (n, p) in self.unacked.items()], DUP)


TestAnyBroker = AnyBroker.TestCase
TestAnyBroker.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_over_a_real_connection_the_second_delivery_is_acknowledged_and_not_kept(
    broker: Broker,
) -> None:
    connection = Connection(endpoint(broker), ["t/+"], stale=[])
    offered: list[Arrivals] = []

    class Held:
        waiting_bytes = 0

        def offer(self, arrivals: Arrivals) -> None:
            offered.append(arrivals)

    net = Net(connection, Held(), lambda: True)
    connect(connection, broker)
    broker.publish(1, b"once")
    until(net, lambda: offered)
    broker.hang_up()
    turn_until(connection, lambda: not connection.connected)
    net.on_done(Done(offered[0].epoch, offered[0].mids))
    net._turn(0.01)
    connect(connection, broker, session=True)
    broker.publish(1, b"once", flags=2 | DUP)
    broker.publish(2, b"new")
    until(net, lambda: sum(len(a.mids) for a in offered) == 3)
    assert [m[2] for a in offered[1:] for c in a.chunks for m in split(c.packets, v5=True)] == [
        b"new"
    ]
    assert net.duplicates == 1
    for part in offered[1:]:
        net.on_done(Done(part.epoch, part.mids))
    net._turn(0.01)
    assert [struct.unpack(">H", broker.read()[1][:2])[0] for _ in range(2)] == [1, 2]


def until(net: Net, done: Any) -> None:
    for _ in range(500):
        if done():
            return
        net._turn(0.02)
    raise AssertionError("the network loop did not get there")


def test_arrivals_of_nothing_are_done_in_their_turn(tmp_path: Path) -> None:
    done: list[Done] = []
    spooling = edge_fakes.spooling(lambda: Spool(tmp_path / "spool.db", 16 << 20, 1), done.append)
    thread = threading.Thread(target=spooling.run, daemon=True)
    thread.start()
    spooling.offer(Arrivals(4, [1], []))
    wait_for("it is done", lambda: done == [Done(4, [1])])
    spooling.offer(arrivals(4, publish(2, b"b")))
    spooling.offer(Arrivals(4, [3], []))
    wait_for("all of it", lambda: [mid for d in done for mid in d.mids] == [1, 2, 3])
    batch = spooling.take(5.0)
    assert batch is not None
    assert sum(stored.chunk.messages for stored in batch.chunks) == 1
    wait_for("nothing more", spooling.drained)
    spooling.stop()
    thread.join(5)
    assert not thread.is_alive()
