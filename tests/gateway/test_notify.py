"""What systemd is told, and that only progress feeds its watchdog."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.notify import Notifier, Supervisor, Watchdog, supervisor


@pytest.fixture(params=["path", "abstract"])
def inbox(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    address = str(tmp_path / "s") if request.param == "path" else f"@tidegate-{tmp_path.name}"
    made.bind("\0" + address[1:] if address.startswith("@") else address)
    made.settimeout(5)
    yield made, address
    made.close()


def test_each_word_is_one_datagram(inbox: tuple[socket.socket, str]) -> None:
    way, address = inbox
    notifier = Notifier(address)
    notifier.ready()
    notifier.reloading(17)
    notifier.status("two\nlines")
    notifier.status("two lines")
    notifier.alive()
    notifier.stopping()
    assert [way.recv(200) for _ in range(5)] == [
        b"READY=1",
        b"RELOADING=1\nMONOTONIC_USEC=17",
        b"STATUS=two lines",
        b"WATCHDOG=1",
        b"STOPPING=1",
    ]


def test_without_a_supervisor_or_with_a_dead_one_nothing_happens(tmp_path: Path) -> None:
    Notifier("").ready()
    Notifier(str(tmp_path / "nobody")).ready()


def test_a_supervisor_that_does_not_read_holds_nothing_up(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(tmp_path / "s"))
        notifier = Notifier(str(tmp_path / "s"))
        for _ in range(2000):
            notifier.alive()


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, Supervisor("", 0.0)),
        ({"NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": "30000000"}, Supervisor("/s", 30.0)),
        ({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "7"}, Supervisor("", 1.0)),
        ({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "8"}, Supervisor("", 0.0)),
        ({"WATCHDOG_USEC": "soon"}, Supervisor("", 0.0)),
    ],
)
def test_the_watchdog_counts_for_this_process_only(
    env: dict[str, str], expected: Supervisor
) -> None:
    assert supervisor(env, 7) == expected


def test_a_thread_that_hangs_starves_the_watchdog_whatever_the_others_do() -> None:
    for hangs in ("net", "spool", "uplink"):
        dog = Watchdog(20.0)
        fed = []
        for now in range(100):
            beats = {name: float(now) for name in ("net", "spool", "uplink")}
            beats[hangs] = min(float(now), 30.0)
            if dog.earned(float(now), beats):
                fed.append(now)
        assert fed == [0, 5, 10, 15, 20, 25, 30], hangs


def test_idle_threads_that_turn_feed_it_four_times_a_period() -> None:
    dog = Watchdog(20.0)
    assert [n for n in range(40) if dog.earned(float(n), {"net": n - 0.4})] == list(range(0, 40, 5))
    never = Watchdog(0.0)
    assert not any(never.earned(float(n), {"net": float(n)}) for n in range(100))
