"""The uplink's error policy, with a scripted Kafka: invalid, rejected, recoverable, anything else."""

import json
import time

import pytest
from confluent_kafka import KafkaError
from edge_fakes import FakeFeed, FakeLink, Report, Sent

from gateway.decode import Decoder, Limits
from gateway.kafka import Recoverable
from gateway.message import INTERNAL, Message, Stored
from gateway.quiet import Policy, QuietDevices
from gateway.routes import compile_route
from gateway.session import Identity, Parts, Session, Tally, moment
from gateway.spool import Batch
from gateway.wire import Topics, Wire
from schemas.codec import decode
from schemas.records import DeadLetter, Reading

TOPICS = Topics("r", "d")
ROUTES = [
    compile_route("{site}/{device}/{metric}", "json"),
    compile_route("m/{site}/{device}/x", "metrics"),
]
POLICY = Policy(120_000, 10**9, 100)
TOO_LARGE = KafkaError.MSG_SIZE_TOO_LARGE
FORBIDDEN = KafkaError.TOPIC_AUTHORIZATION_FAILED


class NoCheck:
    """Schema ids that hold for ever."""

    def check(self, _wire: Wire) -> None:
        pass


class Rig:
    """A session over fakes."""

    def __init__(self, policy: Policy = POLICY) -> None:
        self.link = FakeLink()
        self.feed = FakeFeed()
        self.tally = Tally()
        self.quiet = QuietDevices(policy)
        self.over = 0
        parts = Parts(
            self.feed,  # type: ignore[arg-type]
            NoCheck(),  # type: ignore[arg-type]
            TOPICS,
            Identity("gw", 7, "v"),
            Decoder("gw", ROUTES, Limits(1000, 1e300)),
            self.quiet,
            lambda: True,
            self.tally,
        )
        self.session = Session(parts, Wire(1, 2), self.link, lambda: False, self._over)  # type: ignore[arg-type]

    def _over(self) -> None:
        self.over += 1

    def put(
        self, row: int, payloads: list[bytes], topic: bytes = b"s/d/t", age_ms: int = 0
    ) -> None:
        now = moment()
        records = [
            Stored(row * 4096 + i, 7, Message(topic, p, now.ts - age_ms, now.mono - age_ms, 0))
            for i, p in enumerate(payloads)
        ]
        self.feed.batches.append(Batch(row, 1, records, None))

    def turns(self, count: int = 60) -> None:
        for _ in range(count):
            self.session._turn()

    @property
    def readings(self) -> list[Reading]:
        return [decode(Reading, s.value) for s in self.link.delivered if s.topic == "r"]

    @property
    def dead(self) -> list[DeadLetter]:
        return [decode(DeadLetter, s.value) for s in self.link.delivered if s.topic == "d"]


def value(number: int) -> bytes:
    return json.dumps({"value": number, "seq": number}).encode()


def settle(rig: Rig, row: int) -> None:
    until = time.monotonic() + 5
    while rig.feed.discarded[-1:] != [row] and time.monotonic() < until:
        rig.session._turn()
    assert rig.feed.discarded[-1:] == [row]


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
    assert (rig.tally.delivered, rig.over) == (2, 1)
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


def test_backlog_is_flagged_as_replayed() -> None:
    rig = Rig()
    rig.put(1, [value(1)], age_ms=31_000)
    rig.put(2, [value(2)])
    settle(rig, 2)
    assert [r.replayed for r in rig.readings] == [True, False]


def test_a_quiet_device_gets_a_marker_behind_everything_spooled() -> None:
    rig = Rig(Policy(1000, 10**9, 100))
    rig.put(1, [json.dumps({"value": 1, "ts": 5_000}).encode()], age_ms=3000)
    settle(rig, 1)
    rig.session._tick_at = 0.0
    rig.session._turn()
    (own,) = rig.feed.own
    assert own.flags & INTERNAL
    body = json.loads(own.payload)
    assert body[:3] == ["s.d", "s", True]
    assert 5_000 + 3000 <= body[3] < 5_000 + 8000


def test_no_marker_is_made_while_the_spool_has_more() -> None:
    rig = Rig(Policy(1000, 10**9, 100))
    rig.feed.drained = lambda: False  # type: ignore[method-assign]
    rig.put(1, [value(1)], age_ms=3000)
    settle(rig, 1)
    rig.session._tick_at = 0.0
    rig.session._turn()
    assert rig.feed.own == []


def test_a_marker_is_sent_and_moves_no_device_clock_at_the_gateway() -> None:
    rig = Rig()
    now = moment()
    body = json.dumps(["s.d", "s", True, 123]).encode()
    record = Stored(4096, 7, Message(b"$tidegate/marker", body, now.ts, now.mono, INTERNAL))
    rig.feed.batches.append(Batch(1, 1, [record], None))
    settle(rig, 1)
    (marker,) = rig.readings
    assert (marker.kind, marker.ts, marker.device_id) == ("MARKER", 123, "s.d")
    assert len(rig.quiet) == 0


def test_the_end_waits_for_reports_that_are_due() -> None:
    rig = Rig()
    rig.put(1, [value(1)])
    rig.session._send(rig.feed.batches.pop())
    rig.session._stopping = lambda: True
    rig.session.run()
    assert rig.feed.discarded == [1]
