"""The producer's settings and its sorting of errors, on librdkafka itself."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from edge_rig import MockKafka, wait_for

from gateway import kafka
from gateway.kafka import Link, Recoverable


@pytest.fixture
def mock() -> Iterator[MockKafka]:
    made = MockKafka()
    yield made
    made.stop()


def test_the_defaults_keep_the_promise() -> None:
    settings = kafka.settings("h:1", {"linger.ms": 50})
    assert settings["bootstrap.servers"] == "h:1"
    assert settings["acks"] == "all"
    assert settings["enable.idempotence"] is True
    assert settings["message.timeout.ms"] == 0, "the default fails messages after five minutes"
    assert settings["partitioner"] == "murmur2_random", "as Java's"
    assert settings["queue.buffering.max.kbytes"] <= 32_768
    assert settings["linger.ms"] == 50


def test_a_producer_that_cannot_be_made_is_recoverable() -> None:
    with pytest.raises(Recoverable):
        Link({"no.such.key": 1}, lambda: False, lambda _up, _why: None)


def test_it_says_whether_a_broker_is_there(mock: MockKafka) -> None:
    told: list[bool] = []
    settings = kafka.settings(mock.bootstrap, {"statistics.interval.ms": 50})
    link = Link(settings, lambda: False, lambda up, _why: told.append(up))
    link.probe("tidegate.readings")
    assert told[-1:] == [True]

    def is_told(up: bool) -> bool:
        link.poll(0.05)
        return told[-1:] == [up]

    mock.tell("down")
    wait_for("down is told", lambda: is_told(False))
    mock.tell("up")
    wait_for("up is told", lambda: is_told(True))
    link.drop()


def test_why_no_broker_is_there_is_told_where_it_is_known(mock: MockKafka) -> None:
    """A cause stays the same text however often it comes: it is logged once."""
    oidc = {
        "security.protocol": "sasl_plaintext",
        "sasl.mechanism": "OAUTHBEARER",
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.client.id": "gw",
        "sasl.oauthbearer.client.secret": "hush",
        "sasl.oauthbearer.token.endpoint.url": "https://127.0.0.1:1/token",
        "sasl.oauthbearer.config": "",
    }
    cases = [
        (mock.bootstrap, {"security.protocol": "ssl"}, "ssl", 2),
        ("no-such-name.invalid:9092", {}, "resolve", 2),
        (mock.bootstrap, oidc, "token", 1),
    ]
    for bootstrap, extra, word, times in cases:
        causes: list[str] = []
        settings = kafka.settings(bootstrap, {"reconnect.backoff.max.ms": 100, **extra})
        link = Link(settings, lambda: False, lambda up, why, told=causes: told.append(why))  # type: ignore[misc]

        def is_told(link: Link = link, causes: list[str] = causes, times: int = times) -> bool:
            link.poll(0.05)
            return len(list(filter(None, causes))) >= times

        wait_for(f"a cause with {word}", is_told)
        found = set(filter(None, causes))
        assert len(found) == 1, found
        assert word.lower() in found.pop().lower()
        assert "hush" not in str(causes)
        link.drop()


def test_a_record_beyond_the_clients_own_limit_is_refused_at_once(mock: MockKafka) -> None:
    link = Link(kafka.settings(mock.bootstrap, {}), lambda: False, lambda _up, _why: None)
    assert not link.produce("tidegate.readings", b"k", bytes(1_100_000), lambda _e, _m: None)
    assert link.queued == 0
    link.drop()


def test_a_full_queue_waits_and_gives_up_only_to_stop(mock: MockKafka) -> None:
    mock.tell("down")
    stopping = [False]
    settings = kafka.settings(mock.bootstrap, {"queue.buffering.max.messages": 3})
    link = Link(settings, lambda: stopping[0], lambda _up, _why: None)
    reports: list[object] = []
    for _ in range(3):
        assert link.produce("tidegate.readings", b"k", b"v", lambda e, _m: reports.append(e))
    stopping[0] = True
    with pytest.raises(Recoverable, match="send queue was full"):
        link.produce("tidegate.readings", b"k", b"v", lambda e, _m: reports.append(e))
    mock.tell("up")

    def all_reported() -> bool:
        link.poll(0.05)
        return len(reports) == 3

    wait_for("the three", all_reported)
    assert reports == [None] * 3
    link.drop()


def test_a_dropped_producer_leaves_no_thread_behind(mock: MockKafka) -> None:
    """Not even until the next garbage collection: an outage makes producers for hours."""
    gc.disable()
    try:
        before = len(list(Path("/proc/self/task").iterdir()))
        for _ in range(3):
            link = Link(kafka.settings(mock.bootstrap, {}), lambda: False, lambda _up, _why: None)
            link.probe("tidegate.readings")
            link.drop()
        wait_for(
            "its threads to end", lambda: len(list(Path("/proc/self/task").iterdir())) <= before
        )
    finally:
        gc.enable()
