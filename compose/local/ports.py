"""Ports: the usual ones, unless something else listens there; the same again at the next start."""

import json
import os
import random
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

from compose.local.settings import GRPC_OFFSET, LOOPBACK, USUAL_PORTS, WITH_GRPC
from schemas.failure import Unavailable

# Below the range from which Linux takes the ports of outgoing connections.
_SUBSTITUTES = range(20_000, 32_000)
# OpenSearch's runner takes none above these.
_SUBSTITUTES_OF = {"opensearch": range(9_201, 9_300)}


def free(port: int) -> bool:
    """Say whether a server could listen on this loopback port now."""
    with closing(socket.socket()) as probe:
        # As servers do; without it a port stays taken for a minute after its last connection.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError:
            return False
    return True


class Reservations:
    """Ports claimed against other stacks of this machine, for as long as this process lives.

    Between looking for a free port and listening on it seconds pass, in which another stack may
    find the same one. An abstract socket name is taken by one process at a time and given back by
    the kernel.
    """

    def __init__(self) -> None:
        self._held: list[socket.socket] = []

    def take(self, ports: list[int]) -> bool:
        """Claim all of these ports or none; say whether that went well."""
        taken: list[socket.socket] = []
        for port in ports:
            claim = socket.socket(socket.AF_UNIX)
            try:
                claim.bind(f"\0tidegate-port-{port}")
            except OSError:
                for other in (claim, *taken):
                    other.close()
                return False
            taken.append(claim)
        if not all(free(port) for port in ports):
            for other in taken:
                other.close()
            return False
        self._held += taken
        return True

    def release(self) -> None:
        """Give all claims back."""
        for claim in self._held:
            claim.close()
        self._held.clear()


def pick(last: Mapping[str, int], reservations: Reservations, rng: random.Random) -> dict[str, int]:
    """Return a port for each name of the table: the last one, else the usual one, else any.

    Raises:
        Unavailable: no port is free at all.
    """
    return {name: _pick(name, last.get(name), reservations, rng) for name in USUAL_PORTS}


def _pick(name: str, last: int | None, reservations: Reservations, rng: random.Random) -> int:
    for port in _candidates(name, last, rng):
        companions = [port + GRPC_OFFSET] if name in WITH_GRPC else []
        if not any(map(_wedged, companions)) and reservations.take([port, *companions]):
            return port
    raise Unavailable(
        f"no free port on {LOOPBACK} for {name}: "
        f"tried {USUAL_PORTS[name]} and {_substitutes(name).start}-{_substitutes(name).stop - 1}"
    )


def _wedged(port: int, folder: Path = Path("/tmp")) -> bool:  # noqa: S108 - SeaweedFS's choice
    """Say whether SeaweedFS would hang on this gRPC port.

    It keeps a socket for each beside the port, in /tmp whatever TMPDIR says, and waits for ever at
    one that another user left there.
    """
    try:
        owners = {path.lstat().st_uid for path in folder.glob(f"seaweedfs-*-{port}.sock")}
    except OSError:  # one went away meanwhile
        return _wedged(port, folder)
    return os.geteuid() != 0 and bool(owners - {os.geteuid()})


def _candidates(name: str, last: int | None, rng: random.Random) -> Iterator[int]:
    if last is not None:
        yield last
    yield USUAL_PORTS[name]
    yield from rng.sample(_substitutes(name), len(_substitutes(name)))


def _substitutes(name: str) -> range:
    return _SUBSTITUTES_OF.get(name, _SUBSTITUTES)


def read_ports(path: Path) -> dict[str, int]:
    """Return the ports of the last start; none when the file is missing or damaged."""
    try:
        found = json.loads(path.read_text())
        return {
            name: port
            for name, port in found.items()
            if name in USUAL_PORTS and isinstance(port, int) and 1024 <= port < 65_536 - GRPC_OFFSET
        }
    except (OSError, ValueError, AttributeError):
        return {}


def write_ports(path: Path, ports: Mapping[str, int]) -> None:
    """Remember the ports for the next start."""
    path.write_text(json.dumps(dict(ports), indent=1) + "\n")
