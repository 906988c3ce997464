"""The uplink's error policy, with a scripted Kafka: invalid, rejected, recoverable, anything else."""

import pytest
from confluent_kafka import KafkaError
from edge_fakes import Report, Sent
from edge_session import Rig, settle, value

from gateway.kafka import Recoverable
from schemas.codec import decode
from schemas.records import Reading

TOO_LARGE = KafkaError.MSG_SIZE_TOO_LARGE
FORBIDDEN = KafkaError.TOPIC_AUTHORIZATION_FAILED


def test_what_is_delivered_is_discarded_and_nothing_before() -> None:
    rig = Rig()
    rig.put(3, [value(1), value(2)])
    rig.link.holding = True
    rig.turns()
    assert rig.feed.discarded == []
    rig.link.holding = False
    settle(rig, 3)
    assert [(r.value, r.gateway_seq) for r in rig.readings] == [(1, 3 * 4096), (2, 3 * 4096 + 1)]
    assert {s.key for s in rig.link.delivered} == {b"s.d"}
    assert (rig.tally.delivered, rig.over > 0) == (2, True)
    assert [d.device_id for d in rig.feed.devices] == ["s.d"]


def test_only_the_contiguous_prefix_is_discarded() -> None:
    rig = Rig()
    rig.link.holding = True
    for row in (1, 2, 3):
        rig.put(row, [value(row)])
    rig.turns(3)
    first, *others = rig.link.queue
    rig.link.queue = []
    for sent in others:
        sent.report(None, Report(sent))
    rig.turns(3)
    assert rig.feed.discarded == []
    first.report(None, Report(first))
    settle(rig, 3)


def test_an_invalid_message_becomes_a_dead_letter_beside_its_neighbours() -> None:
    rig = Rig()
    rig.put(1, [value(1), b"garbage", value(3)])
    settle(rig, 1)
    assert [r.value for r in rig.readings] == [1, 3]
    (letter,) = rig.dead
    assert (letter.reason, letter.payload, letter.mqtt_topic) == ("BAD_JSON", b"garbage", "s/d/t")
    assert (letter.gateway_id, letter.gateway_epoch, letter.gateway_seq) == ("gw", 7, 4097)
    assert (letter.origin, letter.config_version) == ("GATEWAY", "v")
    assert rig.tally.dead == {"BAD_JSON": 1}


def test_of_a_refused_batch_only_the_record_that_fails_alone_is_dead() -> None:
    rig = Rig()
    rig.put(1, [value(i) for i in range(500)])

    def holds_poison(batch: list[Sent]) -> int | None:
        values = [decode(Reading, s.value).value for s in batch if s.topic == "r"]
        return TOO_LARGE if 321 in values else None

    rig.link.judge = holds_poison
    settle(rig, 1)
    assert sorted(r.value for r in rig.readings) == [i for i in range(500) if i != 321]
    (letter,) = rig.dead
    assert (letter.reason, letter.payload) == ("REJECTED_BY_KAFKA", value(321))
    assert len(rig.link.rounds) < 30


def test_two_bad_records_of_one_batch_are_both_found() -> None:
    rig = Rig()
    rig.put(1, [value(i) for i in range(64)])
    rig.link.judge = lambda batch: (
        KafkaError.INVALID_RECORD
        if {3.0, 60.0} & {decode(Reading, s.value).value for s in batch if s.topic == "r"}
        else None
    )
    settle(rig, 1)
    assert sorted(letter.payload for letter in rig.dead) == sorted([value(3), value(60)])
    assert len(rig.readings) == 62


def test_a_batch_refused_once_is_only_sent_again() -> None:
    rig = Rig()
    verdicts = [TOO_LARGE]
    rig.link.judge = lambda _batch: verdicts.pop() if verdicts else None
    rig.put(1, [value(1), value(2)])
    settle(rig, 1)
    assert (len(rig.readings), rig.dead) == (2, [])


def test_a_record_refused_by_the_producer_itself_is_dead_and_alone() -> None:
    rig = Rig()
    rig.link.refuses = lambda topic, raw: topic == "r" and decode(Reading, raw).value == 2
    rig.put(1, [value(1), value(2), value(3)])
    settle(rig, 1)
    assert [r.value for r in rig.readings] == [1, 3]
    assert [letter.payload for letter in rig.dead] == [value(2)]


@pytest.mark.parametrize(
    "code",
    [
        FORBIDDEN,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.POLICY_VIOLATION,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError._MSG_TIMED_OUT,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.REQUEST_TIMED_OUT,
    ],
)
def test_every_other_failure_goes_back_to_the_cursor_and_buries_nothing(code: int) -> None:
    rig = Rig()
    rig.link.judge = lambda _batch: code
    rig.put(1, [value(1)])
    with pytest.raises(Recoverable):
        rig.turns()
    assert (rig.feed.discarded, rig.tally.dead) == ([], {})


def test_a_failure_while_looking_for_the_bad_record_goes_back_too() -> None:
    rig = Rig()
    verdicts = [FORBIDDEN, TOO_LARGE]
    rig.link.judge = lambda _batch: verdicts.pop() if verdicts else None
    rig.put(1, [value(1), value(2)])
    with pytest.raises(Recoverable):
        rig.turns()
    assert rig.feed.discarded == []


def test_a_small_dead_letter_that_is_refused_does_not_vanish() -> None:
    rig = Rig()
    rig.link.judge = lambda batch: TOO_LARGE if any(s.topic == "d" for s in batch) else None
    rig.put(1, [b"garbage"])
    with pytest.raises(Recoverable, match="refuses even a small dead letter"):
        rig.turns()
    assert rig.feed.discarded == []


def test_a_large_dead_letter_that_is_refused_is_cut() -> None:
    rig = Rig()
    rig.link.judge = lambda batch: TOO_LARGE if any(len(s.value) > 100_000 for s in batch) else None
    rig.put(1, [b"x" * 300_000, value(1)])
    settle(rig, 1)
    (letter,) = rig.dead
    assert letter.payload == b"x" * 65_536
    assert "of 300000 bytes" in letter.detail
    assert len(rig.readings) == 1


def test_large_payloads_in_flight_are_bounded_by_their_bytes() -> None:
    rig = Rig()
    rig.link.holding = True
    for row in range(1, 41):
        rig.put(row, [value(row)], size=1 << 20)
    rig.turns(50)
    assert 8 <= len(rig.link.queue) <= 10
    rig.link.holding = False
    settle(rig, 40)


def test_a_message_of_several_metrics_is_done_when_all_its_readings_are() -> None:
    rig = Rig()
    rig.put(1, [b'{"a":1,"b":2,"c":3}'], topic=b"m/s/d/x")
    rig.link.holding = True
    rig.turns(3)
    sent = list(rig.link.queue)
    rig.link.queue = []
    for one in sent[:2]:
        one.report(None, Report(one))
    rig.turns(3)
    assert rig.feed.discarded == []
    sent[2].report(None, Report(sent[2]))
    settle(rig, 1)


def test_the_end_waits_for_reports_that_are_due() -> None:
    rig = Rig()
    rig.put(1, [value(1)])
    rig.session._send(rig.feed.batches.pop())
    rig.session._stopping = lambda: True
    rig.session.run()
    assert rig.feed.discarded == [1]
