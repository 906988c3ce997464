"""What /proc says about the processes of a part."""

import os
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


def group(leader: int) -> list[int]:
    """Return the live processes of a process group."""
    return [pid for pid in _all() if _group_of(pid) == leader]


def group_rss_mib(leader: int) -> int:
    """Return the resident memory of a process group in MiB; shared pages count once for each."""
    return sum(_rss_bytes(pid) for pid in group(leader)) >> 20


def group_cpu_s(leader: int) -> float:
    """Return the CPU seconds of a process group: of those that run, and of their ended children."""
    return sum(_cpu_s(pid) for pid in group(leader))


def listening(pids: set[int]) -> dict[str, set[int]]:
    """Return the TCP addresses on which these processes listen, with their ports.

    Addresses are as in /proc/net/tcp and tcp6: hexadecimal, in the host's byte order.
    """
    inodes = {inode for pid in pids for inode in _socket_inodes(pid)}
    found: dict[str, set[int]] = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                address, port = fields[1].split(":")
                found.setdefault(address, set()).add(int(port, 16))
    return found


def _all() -> list[int]:
    return [int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()]


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on; none if the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _group_of(pid: int) -> int | None:
    fields = _stat(pid)
    return int(fields[2]) if fields else None


def _cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process, and of its children that have ended; 0.0 if it has."""
    return sum(map(int, _stat(pid)[11:15])) / os.sysconf("SC_CLK_TCK")


def _rss_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except OSError:
        return 0


def _socket_inodes(pid: int) -> list[str]:
    inodes = []
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            target = str(entry.readlink())
            if target.startswith("socket:["):
                inodes.append(target[8:-1])
    except OSError:
        return inodes  # the process ended, or a file was closed, while we looked
    return inodes
