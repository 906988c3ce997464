"""The indexer's loop: what is committed, when, and what is tried again."""

from collections.abc import Callable, Sequence
from threading import Event
from typing import Any

import pytest
from confluent_kafka import KafkaError, TopicPartition
from sink_rig import window

from compose import indexing
from compose.indexing import Counts, DeadLetters, Indexer
from schemas.codec import decode, encode
from schemas.contracts import contract_text
from schemas.failure import Failure, Unavailable
from schemas.records import DeadLetter
from schemas.registry import RegistryDown, RegistryRefused
from stream.sinks.documents import Document, document
from stream.sinks.opensearch import Outcome, Overloaded, TooLarge

BAD = Outcome("400 mapper_parsing_exception", final=True)
BUSY = Outcome("429 too busy")


class FakeMessage:
    def __init__(self, value: bytes | None, offset: int, error: int | None = None) -> None:
        self._value, self._offset, self._error = value, offset, error

    def value(self) -> bytes | None:
        return self._value

    def key(self) -> bytes:
        return b"key"

    def topic(self) -> str:
        return "t.windows"

    def partition(self) -> int:
        return 3

    def offset(self) -> int:
        return self._offset

    def error(self) -> KafkaError | None:
        return None if self._error is None else KafkaError(self._error)


class FakeKafka:
    """A consumer of one batch and the producer of dead letters."""

    def __init__(self, messages: list[FakeMessage]) -> None:
        self.messages = messages
        self.commits: list[tuple[int, int]] = []
        self.letters: list[DeadLetter] = []
        self.refusals = 0
        self.full = False

    def consume(self, _number: int, _timeout: float) -> list[FakeMessage]:
        messages, self.messages = self.messages, []
        return messages

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> None:
        assert not asynchronous
        self.commits += [(each.partition, each.offset) for each in offsets]

    def produce(self, topic: str, value: bytes, on_delivery: Callable[..., None]) -> None:
        assert topic == "t.dead-letters"
        assert len(value) < 950_000
        if self.full:
            raise BufferError
        if self.refusals:
            self.refusals -= 1
            on_delivery(KafkaError(KafkaError._MSG_TIMED_OUT), None)
        else:
            self.letters.append(decode(DeadLetter, value))
            on_delivery(None, None)

    def flush(self, _timeout: float) -> int:
        self.full = False
        return 0


class FakeCluster:
    """Answers in turn as told, then stores everything."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.stored: dict[str, Document] = {}
        self.sizes: list[int] = []

    def index(self, documents: Sequence[Document]) -> list[Outcome]:
        self.sizes.append(len(documents))
        answer = self.answers.pop(0) if self.answers else [Outcome()] * len(documents)
        if isinstance(answer, Exception):
            raise answer
        for each, came in zip(documents, answer, strict=True):
            if not came.refusal:
                self.stored[each.id] = each
        found: list[Outcome] = answer
        return found


class FakeRegistry:
    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    def text(self, schema_id: int) -> str:
        if self.errors:
            raise self.errors.pop(0)
        if schema_id != 7:
            raise RegistryRefused("no such schema", 404)
        return contract_text("window_features")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "backoff_s", lambda _attempt: 0.0)


def batch(*values: bytes | None) -> FakeKafka:
    return FakeKafka([FakeMessage(value, 40 + n) for n, value in enumerate(values)])


def three() -> FakeKafka:
    return batch(*(encode(window(number), 7) for number in range(3)))


def indexer(
    kafka: FakeKafka, cluster: FakeCluster, registry: Any = None, stop: Event | None = None
) -> Indexer:
    fakes: Any = (kafka, cluster, registry or FakeRegistry())
    letters: Any = DeadLetters(fakes[0], "t.dead-letters", 9)
    return Indexer(*fakes, letters, topic_prefix="t.", index_prefix="", stop=stop or Event())


def ids(*numbers: int) -> set[str]:
    return {document(window(number), "").id for number in numbers}


def test_offsets_are_committed_once_everything_is_stored() -> None:
    kafka, cluster = three(), FakeCluster()
    made = indexer(kafka, cluster)
    made.step()
    assert kafka.commits == [(3, 43)]
    assert cluster.stored.keys() == ids(0, 1, 2)
    assert made.counts == Counts(indexed=3)


@pytest.mark.parametrize("error", [Overloaded("429"), Unavailable("refused")])
def test_a_cluster_that_is_away_is_waited_for(error: Exception) -> None:
    kafka, cluster = three(), FakeCluster(error, error)
    made = indexer(kafka, cluster)
    made.step()
    assert cluster.sizes == [3, 3, 3]
    assert kafka.commits == [(3, 43)]
    assert kafka.letters == []


def test_only_what_was_not_taken_is_tried_again() -> None:
    kafka, cluster = three(), FakeCluster([Outcome(), BUSY, Outcome()], [BUSY])
    made = indexer(kafka, cluster)
    made.step()
    assert cluster.sizes == [3, 1, 1]
    assert cluster.stored.keys() == ids(0, 1, 2)
    assert made.counts == Counts(indexed=3)


def test_a_rejected_record_is_a_dead_letter_with_its_bytes_and_the_rest_goes_on() -> None:
    kafka, cluster = three(), FakeCluster([Outcome(), BAD, BUSY])
    made = indexer(kafka, cluster)
    made.step()
    (letter,) = kafka.letters
    assert (letter.reason, letter.detail) == ("REJECTED", BAD.refusal)
    assert letter.payload == encode(window(1), 7)
    assert (letter.kafka_topic, letter.kafka_partition, letter.kafka_offset) == ("t.windows", 3, 41)
    assert cluster.stored.keys() == ids(0, 2)
    assert kafka.commits == [(3, 43)]
    assert made.counts == Counts(indexed=2, rejected=1)


def test_nothing_is_committed_before_the_dead_letter_is_delivered() -> None:
    kafka, cluster = batch(b"no Avro", encode(window(1), 7)), FakeCluster()
    kafka.refusals = 2
    made = indexer(kafka, cluster)
    made.step()
    assert [letter.reason for letter in kafka.letters] == ["UNDECODABLE"]
    assert made.counts == Counts(indexed=1, undecodable=1)
    assert kafka.commits == [(3, 42)]


def test_a_letter_waits_for_room_and_is_cut_to_what_a_broker_takes() -> None:
    kafka = batch(b"x" * 1_000_000)
    kafka.full = True
    indexer(kafka, FakeCluster()).step()
    (letter,) = kafka.letters
    assert letter.payload == b"x" * 900_000
    assert letter.detail.startswith("the first 900000 bytes are kept; not Confluent wire format")
    assert kafka.commits == [(3, 41)]


def test_tombstones_and_unknown_schemas_are_undecodable_but_a_registry_away_is_waited_for() -> None:
    kafka, cluster = batch(None, encode(window(1), 8), encode(window(2), 7)), FakeCluster()
    made = indexer(kafka, cluster, FakeRegistry(RegistryDown("down"), RegistryRefused("no", 401)))
    made.step()
    assert made.counts == Counts(indexed=1, undecodable=2)
    assert kafka.commits == [(3, 43)]


def test_a_batch_that_is_too_large_goes_in_halves_and_one_too_large_aside() -> None:
    large = TooLarge("413")
    kafka, cluster = three(), FakeCluster(large, [Outcome()], large, large, [Outcome()])
    made = indexer(kafka, cluster)
    made.step()
    assert cluster.sizes == [3, 1, 2, 1, 1]
    assert cluster.stored.keys() == ids(0, 2)
    assert [letter.kafka_offset for letter in kafka.letters] == [41]
    assert made.counts == Counts(indexed=2, rejected=1)


def test_of_one_document_in_a_batch_the_newest_is_sent_alone() -> None:
    newer = window(1, mean=9.5)
    kafka = batch(encode(window(1), 7), encode(newer, 7))
    cluster = FakeCluster([BUSY])
    indexer(kafka, cluster).step()
    assert cluster.sizes == [1, 1]
    assert list(cluster.stored.values()) == [document(newer, "")]


def test_what_is_not_done_when_told_to_stop_is_not_committed() -> None:
    stop = Event()

    class Stopping(FakeCluster):
        def index(self, documents: Sequence[Document]) -> list[Outcome]:
            stop.set()
            raise Unavailable("away")

    kafka = three()
    indexer(kafka, Stopping(), stop=stop).step()
    assert kafka.commits == []


def test_a_login_that_is_refused_ends_it_with_nothing_committed() -> None:
    kafka = three()
    with pytest.raises(Failure, match="401"):
        indexer(kafka, FakeCluster(Failure("401"))).step()
    assert kafka.commits == []


def test_a_missing_topic_is_named() -> None:
    kafka = FakeKafka([FakeMessage(None, 0, KafkaError.UNKNOWN_TOPIC_OR_PART)])
    with pytest.raises(
        Failure, match=r"topic t.windows does not exist; create it: tidegate topics"
    ):
        indexer(kafka, FakeCluster()).step()
