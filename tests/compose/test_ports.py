import json
import os
import random
import socket
from contextlib import closing
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from compose.local import ports
from compose.local.ports import Reservations, _wedged, free, pick, read_ports, write_ports
from compose.local.settings import GRPC_OFFSET, LOOPBACK, USUAL_PORTS, WITH_GRPC


def listener(port: int = 0) -> socket.socket:
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((LOOPBACK, port))
    server.listen(1)
    return server


def picked(last: dict[str, int]) -> dict[str, int]:
    reservations = Reservations()
    try:
        return pick(last, reservations, random.Random(1))
    finally:
        reservations.release()


def test_a_port_with_a_listener_is_not_free() -> None:
    with closing(listener()) as server:
        port = server.getsockname()[1]
        assert not free(port)
    assert free(port)


def test_a_taken_port_is_replaced_by_a_free_one() -> None:
    with closing(listener()) as server:
        taken = server.getsockname()[1]
        assert picked({"mqtt": taken})["mqtt"] != taken


def unusual() -> int:
    """A free port that no name usually has, and whose gRPC port is free too."""
    return next(
        port for port in range(20_000, 30_000, 7) if free(port) and free(port + GRPC_OFFSET)
    )


def test_the_ports_of_the_last_start_come_again() -> None:
    port = unusual()
    assert picked({"mqtt": port})["mqtt"] == port


def test_a_port_that_would_hang_seaweed_is_not_used(monkeypatch) -> None:
    port = unusual()
    assert picked({"s3": port})["s3"] == port
    monkeypatch.setattr(ports, "_wedged", lambda grpc: grpc == port + GRPC_OFFSET)
    assert picked({"s3": port})["s3"] != port


def test_a_port_whose_grpc_port_is_taken_is_not_used() -> None:
    port = picked({})["s3"]
    with closing(listener(port + GRPC_OFFSET)):
        assert picked({"s3": port})["s3"] != port
    assert picked({"s3": port})["s3"] == port


def test_two_stacks_that_start_at_once_get_different_ports() -> None:
    one, two = Reservations(), Reservations()
    try:
        first, second = pick({}, one, random.Random(1)), pick({}, two, random.Random(1))
    finally:
        one.release()
        two.release()
    assert not set(first.values()) & set(second.values())


def test_no_two_names_share_a_port() -> None:
    grpc = {USUAL_PORTS[name] + GRPC_OFFSET for name in WITH_GRPC}
    assert len(grpc | set(USUAL_PORTS.values())) == len(USUAL_PORTS) + len(WITH_GRPC)


def test_opensearch_gets_a_port_that_its_runner_takes() -> None:
    first, second = Reservations(), Reservations()
    try:
        rng = random.Random(1)
        both = [pick({}, claims, rng)["opensearch"] for claims in (first, second)]
        assert all(9_200 <= port < 9_300 for port in both)
        assert both[0] != both[1]
    finally:
        first.release()
        second.release()


def test_ports_are_remembered(tmp_path: Path) -> None:
    write_ports(tmp_path / "ports.json", {"mqtt": 2000, "kafka": 2001})
    assert read_ports(tmp_path / "ports.json") == {"mqtt": 2000, "kafka": 2001}


def test_a_missing_file_remembers_nothing(tmp_path: Path) -> None:
    assert read_ports(tmp_path / "none") == {}


@settings(deadline=None, max_examples=60)
@given(
    st.one_of(
        st.binary(),
        st.recursive(
            st.none() | st.integers() | st.text(),
            lambda inner: (
                st.lists(inner) | st.dictionaries(st.sampled_from(["mqtt", "kafka", "else"]), inner)
            ),
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_a_damaged_file_gives_only_usable_ports(tmp_path_factory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("ports") / "ports.json"
    path.write_bytes(content)
    for name, port in read_ports(path).items():
        assert name in USUAL_PORTS
        assert 1024 <= port <= 65_535 - GRPC_OFFSET


def test_a_socket_that_another_user_left_makes_a_port_unusable(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "seaweedfs-master-grpc-19333.sock").touch()
    owner = os.geteuid()
    assert not _wedged(19333, tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert _wedged(19333, tmp_path)
    assert not _wedged(19334, tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 0)  # may remove it
    assert not _wedged(19333, tmp_path)
