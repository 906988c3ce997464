"""A real mosquitto that a test may kill, and a subscriber that stands in for the gateway."""

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties


def until(true: Callable[[], bool], what: str, within_s: float = 20.0) -> None:
    """Wait until something is true, or fail saying what never was."""
    give_up = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < give_up, f"not within {within_s:g} s: {what}"
        time.sleep(0.02)


class Mosquitto:
    """A broker on a port of its own, with a state that survives a restart."""

    def __init__(self, program: str, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self._program = program
        self._conf = folder / "mosquitto.conf"
        settings = [
            f"listener {self.port} 127.0.0.1",
            "allow_anonymous true",
            "persistence true",
            f"persistence_location {folder}/",
            "autosave_interval 1",
            "max_inflight_messages 1000",
            "max_queued_messages 1000000",
            *(["user root"] if os.geteuid() == 0 else []),
        ]
        self._conf.write_text("\n".join(settings) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [self._program, "-c", str(self._conf)], stderr=subprocess.DEVNULL
        )
        until(self._listens, "mosquitto listens")

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


class Subscriber:
    """Keeps every payload it gets; comes back by itself when the broker does."""

    def __init__(self, port: int) -> None:
        self.payloads: list[bytes] = []
        self.subscribed = threading.Event()
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5, client_id="stands-in"
        )
        self._client.reconnect_delay_set(min_delay=1, max_delay=1)
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.on_subscribe = lambda *_: self.subscribed.set()
        self._client.on_message = lambda _c, _u, message: self.payloads.append(message.payload)
        session = Properties(PacketTypes.CONNECT)
        session.ReceiveMaximum = 10_000
        session.SessionExpiryInterval = 3600
        self._client.connect("127.0.0.1", port, clean_start=False, properties=session)
        self._client.loop_start()
        assert self.subscribed.wait(10), "the subscriber never subscribed"

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    program = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program is not None, "no mosquitto: apt-get install -y mosquitto"
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    broker = Mosquitto(program, folder)
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture
def subscribe(mosquitto: Mosquitto) -> Iterator[Callable[[], Subscriber]]:
    made: list[Subscriber] = []

    def make() -> Subscriber:
        made.append(Subscriber(mosquitto.port))
        return made[-1]

    yield make
    for subscriber in made:
        subscriber.close()


@pytest.fixture(name="until")
def _until() -> Callable[..., None]:
    return until
