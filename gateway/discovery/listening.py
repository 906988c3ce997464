"""Listening to a broker for a while, in a session of its own that leaves nothing behind."""

import time
from collections.abc import Callable
from typing import NamedTuple

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import MQTTProtocolVersion

from gateway.endpoint import Endpoint, client
from schemas.failure import Unavailable

_MOST_TOPICS = 5000
_MOST_PER_TOPIC = 30
_MOST_BYTES = 32 << 20
_MOST_PAYLOAD = 256 << 10
_CONNECT_S = 10.0


class Sample(NamedTuple):
    """A message as it came; ``at_s`` on the monotonic clock."""

    topic: str
    payload: bytes
    at_s: float


class Heard:
    """What came: all of it counted, some of it kept."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.messages = 0
        self.bytes = 0
        self.left_out: dict[str, int] = {}
        """Messages that were not kept, by why."""
        self._counts: dict[str, int] = {}
        self._kept_bytes = 0

    def note(self, sample: Sample) -> None:
        """Count a message, and keep it as a sample if there is room."""
        self.messages += 1
        self.bytes += len(sample.payload) + len(sample.topic)
        count = self._counts.get(sample.topic, 0)
        why = ""
        if len(sample.payload) > _MOST_PAYLOAD:
            why = f"larger than {_MOST_PAYLOAD >> 10} KiB"
        elif not count and len(self._counts) >= _MOST_TOPICS:
            why = f"of more topics than the first {_MOST_TOPICS}"
        elif self._kept_bytes > _MOST_BYTES:
            why = f"beyond the first {_MOST_BYTES >> 20} MiB"
        elif count >= _MOST_PER_TOPIC:
            return  # More of the same is not left out: its topic is known.
        if why:
            self.leave_out(why)
            return
        self._counts[sample.topic] = count + 1
        self._kept_bytes += len(sample.payload)
        self.samples.append(sample)

    def leave_out(self, why: str) -> None:
        """Count a message that is not kept."""
        self.left_out[why] = self.left_out.get(why, 0) + 1


def listen(
    end: Endpoint, topic_filter: str, seconds: float, told: Callable[[Heard], None]
) -> Heard:
    """Listen at QoS 0; ``told`` is called every now and then.

    Raises:
        Unavailable: the broker does not take the connection or the subscription.
    """
    heard = Heard()
    answers: list[str] = []
    link = client(end, MQTTProtocolVersion.MQTTv311, passing=True)

    def on_connect(paho: Client, _data: object, _flags: object, reason: object, _p: object) -> None:
        if getattr(reason, "is_failure", False):
            answers.append(str(reason))
        else:
            paho.subscribe(topic_filter, qos=0)

    def on_message(_paho: Client, _data: object, message: MQTTMessage) -> None:
        try:
            heard.note(Sample(message.topic, bytes(message.payload), time.monotonic()))
        except UnicodeDecodeError:
            heard.leave_out("of a topic that is not UTF-8")

    link.on_connect, link.on_message = on_connect, on_message
    link.on_subscribe = lambda _c, _d, _mid, codes, _p: answers.append(
        str(codes[0]) if codes[0].is_failure else ""
    )
    try:
        link.connect(end.host, end.port, end.keepalive_s)
    except (OSError, ValueError) as error:
        raise Unavailable(f"{end.host}:{end.port}: {error}") from error
    link.loop_start()
    try:
        _until(lambda: bool(answers), _CONNECT_S)
        if not answers or answers[0]:
            why = answers[0] if answers else "no answer"
            raise Unavailable(f"{end.host}:{end.port}, subscribing to {topic_filter}: {why}")
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 1.0))
            told(heard)
    finally:
        link.disconnect()
        link.loop_stop()
    return heard


def _until(done: Callable[[], bool], seconds: float) -> None:
    until = time.monotonic() + seconds
    while not done() and time.monotonic() < until:
        time.sleep(0.02)
