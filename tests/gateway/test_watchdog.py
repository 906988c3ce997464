"""The real threads over parts that hang: the supervisor's watchdog starves, and only then."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import edge_fakes
import pytest
from edge_fakes import chunk
from edge_session import Rig

from gateway.daemon import _Signals, _Watch
from gateway.message import Arrivals, Batch
from gateway.net import Net
from gateway.spool import Spool
from gateway.uplink import Uplink


class Source:
    """A connection on which nothing comes; hangs when told to."""

    epoch, resumes = 1, None

    def __init__(self, block: threading.Event) -> None:
        self.block = block

    def take(self, wait_s: float, *, synced: bool, reading: bool) -> None:
        self.block.wait()
        time.sleep(min(wait_s, 0.01))

    def ack(self, epoch: int, mids: list[int]) -> bool:
        return True

    def wake(self) -> None:
        pass

    restart = close = wake


class SlowSpool(Spool):
    block: threading.Event

    def append(self, *args: Any) -> list[Batch]:
        self.block.wait()
        return super().append(*args)


class Whole:
    """Net, spool and uplink threads, idle and healthy until a block falls."""

    def __init__(self, folder: Path) -> None:
        self.may_turn = {name: threading.Event() for name in ("net", "spool", "uplink")}
        for event in self.may_turn.values():
            event.set()

        def opened() -> Spool:
            made = SlowSpool(folder / "spool.db", 16 << 20, 7)
            made.block = self.may_turn["spool"]
            return made

        self.spooling = edge_fakes.spooling(opened, lambda _done: None)
        self.net = Net(Source(self.may_turn["net"]), self.spooling, lambda: True)  # type: ignore[arg-type]
        binding = SimpleNamespace(bind=self.bind)
        parts = Rig().session._p._replace(feed=self.spooling, binding=binding)  # type: ignore[arg-type]
        self.uplink = Uplink(parts, {})
        for work in (self.spooling.run, self.net.run, self.uplink.run):
            threading.Thread(target=work, daemon=True).start()

    def bind(self) -> Any:
        from gateway.kafka import Recoverable

        self.may_turn["uplink"].wait()
        raise Recoverable("no registry today")

    def hang(self, name: str) -> None:
        self.may_turn[name].clear()
        if name == "spool":
            self.spooling.offer(Arrivals(1, [1], [chunk(b"1")]))

    def stop(self) -> None:
        for event in self.may_turn.values():
            event.set()
        for part in (self.net, self.uplink, self.spooling):
            part.stop()


@pytest.fixture
def whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Whole]:
    monkeypatch.setattr("gateway.spooling._RETRY_S", 0.01)
    monkeypatch.setattr("gateway.uplink.backoff_s", lambda *_, **__: 0.01)
    made = Whole(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    inbox = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    inbox.bind(str(tmp_path / "notify"))
    inbox.settimeout(0)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    yield inbox
    inbox.close()


def watch(whole: Whole) -> _Watch:
    running = SimpleNamespace(
        net=whole.net,
        spooling=whole.spooling,
        uplink=whole.uplink,
        upkeep=SimpleNamespace(look=lambda *_: None),
        connection=SimpleNamespace(connected=True, subscribed=True, cause="", dialing_until_s=0.0),
        quota=1,
    )
    live = SimpleNamespace(
        busy=False,
        turn=lambda _now: None,
        config=SimpleNamespace(spool=SimpleNamespace(high_water=9e9)),
    )
    signals: Any = SimpleNamespace(hangup=False)
    return _Watch(signals, SimpleNamespace(running=running), live)  # type: ignore[arg-type]


def fed(round_: _Watch, inbox: socket.socket, seconds: float) -> int:
    """Go round for so long; return how often the watchdog was fed."""
    count, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        round_._turn(time.monotonic())
        count += received(inbox).count(b"WATCHDOG=1")
        time.sleep(0.005)
    return count


def received(inbox: socket.socket) -> list[bytes]:
    found = []
    while True:
        try:
            found.append(inbox.recv(500))
        except BlockingIOError:
            return found


def test_an_idle_gateway_in_trouble_with_kafka_feeds_it(
    whole: Whole, systemd: socket.socket
) -> None:
    assert fed(watch(whole), systemd, 0.8) >= 3


@pytest.mark.parametrize("name", ["net", "spool", "uplink"])
def test_one_thread_that_hangs_starves_it(
    whole: Whole, systemd: socket.socket, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("gateway.uplink.LOOKUP_S", 0.0)
    round_ = watch(whole)
    assert fed(round_, systemd, 0.3) >= 1
    whole.hang(name)
    fed(round_, systemd, 0.3)
    assert fed(round_, systemd, 0.4) == 0
    whole.may_turn[name].set()
    assert fed(round_, systemd, 0.4) >= 1, "and it recovers with the thread"


def test_a_look_up_of_the_registrys_name_does_not_starve_it_while_it_may_last(
    whole: Whole, systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.uplink.LOOKUP_S", 0.6)
    round_ = watch(whole)
    whole.hang("uplink")
    assert fed(round_, systemd, 0.5) >= 3
    fed(round_, systemd, 0.4)
    assert fed(round_, systemd, 0.3) == 0


def test_ready_comes_once_the_spool_is_open_and_again_after_a_reload(
    whole: Whole, systemd: socket.socket
) -> None:
    round_ = watch(whole)
    whole.uplink.serving = False
    round_._turn(0.0)
    assert b"READY=1" not in received(systemd)
    whole.uplink.serving = True
    round_._turn(0.0)
    round_._turn(0.0)
    assert received(systemd).count(b"READY=1") == 1
    calls: list[str] = []
    round_._signals.hangup = True
    round_._live.hangup = lambda: calls.append("hangup")  # type: ignore[method-assign]
    round_._turn(0.0)
    told = received(systemd)
    assert calls == ["hangup"]
    assert told[0].startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    assert told[1] == b"READY=1"


def test_signals_wake_the_wait_and_crashes_end_it() -> None:
    import os
    import signal

    before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
    signals = _Signals()
    try:
        os.kill(os.getpid(), signal.SIGHUP)
        assert signals.wait(5.0)
        assert signals.hangup
        os.kill(os.getpid(), signal.SIGTERM)
        assert not signals.wait(5.0)
        other = _Signals()
        other.crashed(("net", ValueError()))  # type: ignore[arg-type]
        assert not other.wait(5.0)
    finally:
        for number, handler in zip(
            (signal.SIGTERM, signal.SIGINT, signal.SIGHUP), before, strict=True
        ):
            signal.signal(number, handler)
