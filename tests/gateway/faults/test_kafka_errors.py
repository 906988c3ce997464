"""T5, W4: each error a broker may answer a Produce request with, and what becomes of the records.

The answers are librdkafka's mock cluster's; it checks no sequence numbers, and has not appended
what it refuses. A Kafka refuses what comes behind a gap; the mock takes it, and the client then
holds what it was about to send again for delivered. So of what is sent again one is on its way.
"""

from collections.abc import Iterable
from typing import Any

import pytest
from confluent_kafka import KafkaError
from edge_rig import first_order, seen, wait_for
from edge_session import Rig, value

from gateway.kafka import POISONOUS, Recoverable
from schemas.records import reading_key

RETRIED = {
    "NOT_LEADER_FOR_PARTITION": 6,
    "NOT_ENOUGH_REPLICAS": 19,
    "NOT_ENOUGH_REPLICAS_AFTER_APPEND": 20,
    "KAFKA_STORAGE_ERROR": 56,
    "REQUEST_TIMED_OUT": 7,
    "UNKNOWN_TOPIC_OR_PART": 3,
    "INVALID_MSG": 2,
    "UNKNOWN_PRODUCER_ID": 59,
}
HELD = {"DUPLICATE_SEQUENCE_NUMBER": 46}
REFUSED = {"MSG_SIZE_TOO_LARGE": 10, "INVALID_RECORD": 87, "INVALID_TIMESTAMP": 32}
BACK_TO_THE_CURSOR = {
    "INVALID_PRODUCER_EPOCH": 47,
    "TOPIC_AUTHORIZATION_FAILED": 29,
    "CLUSTER_AUTHORIZATION_FAILED": 31,
    "POLICY_VIOLATION": 44,
    "OUT_OF_ORDER_SEQUENCE_NUMBER": 45,  # fatal: the producer is broken for good
}
COUNT = 300
LATER_MS = 40
REWINDS = "tidegate_kafka_rewinds_total"
WAITING = "tidegate_buffer_messages"
ONE_AT_A_TIME = '[kafka.librdkafka]\n"max.in.flight" = 1'


class Load:
    """A gateway that is sent readings while its broker answers with errors."""

    def __init__(self, edge: Any, extra: str = "") -> None:
        self.edge = edge
        self.gateway = edge.gateway(extra)
        self.gateway.wait_ready()
        self.acked: set[tuple[str, int]] = set()

    def answered(self, name: str, errors: str) -> float:
        """Send readings meanwhile; return by how often the gateway began again at its cursor."""
        before = self.gateway.metric(REWINDS)
        self.edge.kafka.tell(f"fail {errors}")
        self.acked.update(self.edge.publisher.readings(COUNT, start=len(self.acked)))
        wait_for(f"all after {name}", lambda: self.acked <= seen(self.edge), 60)
        self.drained()
        return self.gateway.metric(REWINDS) - before

    def drained(self) -> None:
        wait_for("an empty spool", lambda: self.gateway.metric(WAITING) == 0)

    def judge(self) -> None:
        """I3, I6: each is there, and what came twice is the same reading."""
        assert seen(self.edge) == self.acked
        assert len({reading_key(r) for r in self.edge.follower.readings}) == len(self.acked)

    def judge_order(self) -> None:
        """I5: nothing came before what was sent before it."""
        for device, order in first_order(self.edge).items():
            assert order == sorted(order), device


def test_the_table_is_that_of_the_library() -> None:
    codes = RETRIED | HELD | REFUSED | BACK_TO_THE_CURSOR
    assert len(codes) == 17
    assert {name: getattr(KafkaError, name) for name in codes} == codes
    assert set(REFUSED.values()) == POISONOUS


@pytest.mark.stack
def test_what_the_client_tries_again_is_seen_by_nobody(edge: Any) -> None:
    load = Load(edge, ONE_AT_A_TIME)
    for name, code in RETRIED.items():
        assert load.answered(name, f"{code} 3 {LATER_MS}") == 0, name
        assert edge.follower.dead == [], name
    load.judge()
    load.judge_order()


@pytest.mark.stack
def test_what_is_no_fault_of_the_record_goes_back_to_the_cursor(edge: Any) -> None:
    """Of the order a Kafka takes care: behind a gap in the sequence it accepts nothing."""
    load = Load(edge)
    for name, code in BACK_TO_THE_CURSOR.items():
        assert 1 <= load.answered(name, f"{code} 2 {LATER_MS}") <= 2, name
        assert edge.follower.dead == [], name
    load.judge()


@pytest.mark.stack
def test_only_what_is_refused_alone_is_a_dead_letter(edge: Any) -> None:
    """A refusal is of a batch; its good records follow it, behind what was on its way already."""
    load = Load(edge)
    for place, (name, code) in enumerate(REFUSED.items(), 1):
        assert load.answered(name, f"{code} 1") == 0, name
        assert len(edge.follower.dead) == place - 1, name
        edge.kafka.tell(f"fail {code} 2")  # its batch, and it alone
        payload = b'{"value":1,"x":"%d"}' % code
        edge.publisher.publish("sensors/plant/bad/temp", payload)
        wait_for(f"{name} buried", lambda count=place: len(edge.follower.dead) == count)
        letter = edge.follower.dead[-1]
        assert (letter.reason, letter.payload) == ("REJECTED_BY_KAFKA", payload)
        load.drained()
    load.judge()


@pytest.mark.stack
def test_what_the_broker_says_it_has_is_delivered(edge: Any) -> None:
    """The answer to a repeat whose first try was appended; the mock has appended nothing."""
    load = Load(edge)
    (code,) = HELD.values()
    edge.kafka.tell(f"fail {code} 1")
    edge.publisher.publish("sensors/plant/held/temp", b'{"value":1}')
    delivered = "tidegate_gateway_messages_delivered_total"
    wait_for("delivered", lambda: load.gateway.metric(delivered) == 1)
    assert load.answered("what follows", f"{code} 0") == 0
    assert edge.follower.dead == []
    load.judge()
    load.judge_order()


def every_other_code() -> Iterable[int]:
    names = (name for name in dir(KafkaError) if name.isupper())
    return sorted({getattr(KafkaError, name) for name in names} - POISONOUS - {KafkaError.NO_ERROR})


def test_of_all_the_codes_there_are_three_condemn_a_record() -> None:
    codes = list(every_other_code())
    assert len(codes) > 150
    for code in codes:
        rig = Rig()
        rig.link.judge = lambda _batch, code=code: code
        rig.put(1, [value(1)])
        with pytest.raises(Recoverable):
            rig.turns()
        assert (rig.feed.discarded, rig.tally.dead, rig.readings) == ([], {}, []), code
