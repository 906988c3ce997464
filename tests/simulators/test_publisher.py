import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from schemas.failure import BadConfig, Unavailable
from simulators.fleet import Fleet, fleet_messages
from simulators.ledger import read_ledger
from simulators.link import Broker, Link, parse_url
from simulators.message import Message
from simulators.publisher import Clock, Published, paced, publish

DAY = Fleet(pumps=4, faults=(), days=1, closing_ms=0)


class ManualClock:
    def __init__(self) -> None:
        self.at_s = 100.0

    def now(self) -> float:
        return self.at_s


def at(*seconds: float) -> Iterator[Message]:
    return (Message(round(s * 1000), "t", b"", "s.d", 0, ()) for s in seconds)


def day() -> Iterator[Message]:
    return fleet_messages("s", start_ms=0, fleet=DAY)


def test_as_fast_as_acknowledged_everything_is_due_in_bounded_bites():
    take = paced(at(0, 10, 20), None, Clock())
    assert [message.ts_ms for message in take(2)[0]] == [0, 10_000]
    taken, wait_s = take(2)
    assert [message.ts_ms for message in taken] == [20_000]
    assert wait_s == float("inf")


def test_a_paced_message_is_due_when_its_simulated_time_has_come():
    clock = ManualClock()
    take = paced(at(1000, 1010, 1030), 5.0, Clock(now=clock.now))
    assert take(9) == (list(at(1000)), 2.0)
    clock.at_s += 1.5
    assert take(9) == ([], 0.5)
    clock.at_s += 0.5
    assert take(9) == (list(at(1010)), 4.0)
    clock.at_s += 4.0
    assert take(0) == ([], 0.0)
    assert take(9) == (list(at(1030)), float("inf"))


def test_a_message_with_a_wrong_time_is_due_when_it_is_sent():
    clock = ManualClock()
    (first,), (wrong,) = at(1000), at(9000)
    take = paced(iter([first, wrong._replace(sent_ms=1_010_000)]), 5.0, Clock(now=clock.now))
    assert take(9) == ([first], 2.0)


def test_an_mqtt_url_is_read_and_anything_else_refused():
    assert parse_url("mqtt://localhost") == Broker("localhost", 1883, False, None, None)
    assert parse_url("mqtts://u:p%40@h:99") == Broker("h", 99, True, "u", "p@")
    for url in ("localhost:1883", "http://h", "mqtt://", "mqtt://h:port"):
        with pytest.raises(BadConfig):
            parse_url(url)


def test_a_broker_that_is_not_there_is_unavailable_once_patience_is_out():
    clock = ManualClock()

    def sleep(seconds: float) -> None:
        clock.at_s += seconds

    with pytest.raises(Unavailable, match="took nothing for 3 s"):
        publish(day(), "mqtt://127.0.0.1:1", patience_s=3, clock=Clock(clock.now, sleep))


def test_a_wish_to_stop_ends_it_also_when_there_is_no_broker():
    clock = ManualClock()

    def sleep(seconds: float) -> None:
        clock.at_s += seconds

    done = publish(day(), "mqtt://127.0.0.1:1", stop=lambda: True, clock=Clock(clock.now, sleep))
    assert done.stopped
    assert done.messages == 0


@pytest.mark.stack
def test_everything_published_is_received_in_order_and_stands_acknowledged_in_the_ledger(
    mosquitto, subscribe, until, tmp_path: Path
):
    subscriber = subscribe()
    told: list[Published] = []
    ledger = tmp_path / "ledger.ndjson"
    done = publish(day(), mosquitto.url, ledger=ledger, on_progress=told.append)
    sent = list(day())
    assert (done.messages, done.acked_messages, done.unacked) == (len(sent), len(sent), 0)
    assert done.acked_readings == done.readings == 4 * len(sent)
    assert told[-1]._replace(seconds=0) == done._replace(seconds=0)
    until(lambda: len(subscriber.payloads) == len(sent), "all messages received")
    assert subscriber.payloads == [message.payload for message in sent]
    entries = list(read_ledger(ledger))
    assert all(entry.acked for entry in entries)
    assert [(e.device_id, e.ts, e.seq, tuple(e.values.items())) for e in entries] == [
        (m.device_id, m.ts_ms, m.seq, m.values) for m in sent
    ]


@pytest.mark.stack
def test_messages_that_nobody_subscribes_to_are_sent_again_until_somebody_does(
    mosquitto, subscribe, until, tmp_path: Path
):
    ledger = tmp_path / "ledger.ndjson"
    seen: list[Published] = []
    results: list[Published] = []
    publishing = threading.Thread(
        target=lambda: results.append(
            publish(day(), mosquitto.url, ledger=ledger, on_progress=seen.append)
        )
    )
    publishing.start()
    until(lambda: bool(seen) and seen[-1].resent >= 2, "refused messages are sent again")
    assert seen[-1].acked_messages == 0
    assert not any(entry.acked for entry in read_ledger(ledger))
    subscriber = subscribe()
    publishing.join(timeout=30)
    sent = [message.payload for message in day()]
    assert results[0].acked_messages == len(sent)
    until(lambda: len(subscriber.payloads) >= len(sent), "all messages received")
    assert list(dict.fromkeys(subscriber.payloads)) == sent


@pytest.mark.stack
def test_nobody_ever_subscribing_is_unavailable_and_the_ledger_says_so(mosquitto, tmp_path: Path):
    ledger = tmp_path / "ledger.ndjson"
    with pytest.raises(Unavailable, match="is the gateway running"):
        publish(day(), mosquitto.url, ledger=ledger, patience_s=0.5)
    assert not any(entry.acked for entry in read_ledger(ledger))


@pytest.mark.stack
def test_a_broker_killed_mid_run_costs_nothing_that_was_acknowledged(
    mosquitto, subscribe, until, tmp_path: Path
):
    """The killing is gated: what a broker loses between its PUBACK and its disk is its own loss."""
    subscriber = subscribe()
    ledger = tmp_path / "ledger.ndjson"

    def acked() -> set[tuple[str, int]]:
        return {(entry.device_id, entry.seq) for entry in read_ledger(ledger) if entry.acked}

    def received() -> set[tuple[str, int]]:
        return {keys[payload] for payload in list(subscriber.payloads)}

    def with_kills(messages: list[Message]) -> Iterator[Message]:
        for count, message in enumerate(messages):
            if count in (300, 800):
                until(lambda: acked() <= received(), "what is acknowledged is received")
                mosquitto.kill()
                mosquitto.start()
            yield message

    sent = list(day())
    keys = {message.payload: (message.device_id, message.seq) for message in sent}
    done = publish(with_kills(sent), mosquitto.url, ledger=ledger)
    assert done.resent > 0
    assert acked() == set(keys.values())
    until(lambda: acked() <= received(), "all messages received")


@pytest.mark.stack
def test_the_window_is_what_the_broker_allows(mosquitto):
    with closing(Link(parse_url(mosquitto.url), lambda _mid, _reason: None)) as link:
        assert link.window == 1000
