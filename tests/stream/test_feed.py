"""Topics read whole: everything that was there when it was asked for, and nothing twice."""

import threading
from collections.abc import Iterator

import pytest
from confluent_kafka import Producer
from edge_rig import MockKafka

from stream.jobs.feed import Feed, News

TOPIC, OTHER = "tidegate.readings", "tidegate.dead-letters"


@pytest.fixture
def kafka() -> Iterator[MockKafka]:
    made = MockKafka()
    yield made
    made.stop()


def put(kafka: MockKafka, *records: tuple[str, bytes, bytes | None]) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for topic, key, value in records:
        producer.produce(topic, value, key)
    assert producer.flush(30) == 0


def caught(feed: Feed) -> set[tuple[str, bytes, bytes | None]]:
    found: list[News] = []
    feed.catch_up(found.append)
    assert len({each[:3] for each in found}) == len(found)
    return {(each.topic, each.key, each.value) for each in found}


def test_it_hands_over_all_that_was_there_and_then_only_what_is_new(kafka: MockKafka) -> None:
    first = [(TOPIC, b"%d" % i, b"%d" % i) for i in range(50)] + [(OTHER, b"a", b"x")]
    put(kafka, *first)
    feed = Feed(kafka.bootstrap, (TOPIC, OTHER, "nothing.here"))
    assert caught(feed) == set(first)
    assert caught(feed) == set()
    more: list[tuple[str, bytes, bytes | None]] = [(OTHER, b"a", None), (TOPIC, b"9", b"y")]
    for record in more:
        put(kafka, record)
        assert caught(feed) == {record}
    feed.close()


def test_it_waits_for_brokers_that_do_not_answer(kafka: MockKafka) -> None:
    put(kafka, (TOPIC, b"a", b"x"))
    feed = Feed(kafka.bootstrap, (TOPIC,))
    kafka.tell("down")
    found: list[News] = []
    waiting = threading.Thread(target=feed.catch_up, args=(found.append,))
    waiting.start()
    kafka.tell("up")
    waiting.join(60)
    assert [each.value for each in found] == [b"x"]
    feed.close()
