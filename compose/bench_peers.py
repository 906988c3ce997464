"""The benchmark's question in Bytewax and Quix Streams, each a process of its own environment.

They are no dependencies of ours: the first time they are asked for, they are installed beside the
stack's data.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from compose.bench_load import (
    LATENESS_MS,
    SIZE_MS,
    SLIDE_MS,
    Load,
    fill,
    windows,
    yesterday_ms,
)
from compose.local.endpoints import Endpoints
from compose.submissions import cluster_of
from schemas.contracts import contract_text
from schemas.failure import Failure, Unavailable

# fastavro reads the readings in both, as it does in ours.
_PACKAGES = ("bytewax==0.21.1", "quixstreams==3.28.1", "fastavro==1.13.1")
_PROGRAMS = Path(__file__).parent / "peers"
_INSTALL_S = 600
_RUN_S = 1_200
LOAD = Load(300_000, 100, 10.0)
"""Less than ours: the slowest takes a minute. Rates are from the first reading to the last."""


class Peer(NamedTuple):
    """An engine; ``at_end``: it closes at the end of the topic what is still open."""

    name: str
    program: str
    at_end: bool


PEERS = (Peer("bytewax", "bytewax_windows.py", True), Peer("quix", "quix_windows.py", False))


def measure_peers(endpoints: Endpoints, state: Path) -> dict[str, float]:
    """Return the readings/s of each engine, on one core.

    Raises:
        Unavailable: they cannot be installed.
        Failure: one of them failed, or gave out other windows than there are.
    """
    python = _installed(state / "peers")
    name = f"peers{time.time_ns() // 1_000_000}"
    cluster = cluster_of(endpoints, f"{name}.")
    start_ms = yesterday_ms()
    fill(cluster, LOAD, name, start_ms)
    asked = {
        "bootstrap": cluster.kafka_bootstrap,
        "topic": cluster.topic("readings"),
        "size_ms": SIZE_MS,
        "slide_ms": SLIDE_MS,
        "lateness_ms": LATENESS_MS,
        "readings": LOAD.readings,
        "schema": json.loads(contract_text("reading")),
    }
    rates = {}
    for peer in PEERS:
        scratch = state / "peers" / name / peer.name
        scratch.mkdir(parents=True)
        question = scratch / "question.json"
        question.write_text(json.dumps(asked | {"scratch": str(scratch)}))
        found = _run([str(python), str(_PROGRAMS / peer.program), str(question)], _RUN_S)
        rates[peer.name] = _rate(peer, json.loads(found.splitlines()[-1]), start_ms)
    return rates


def _rate(peer: Peer, answer: dict[str, float], start_ms: int) -> float:
    expected = windows(LOAD, start_ms, at_end=peer.at_end)
    if answer["windows"] != expected:
        raise Failure(f"{peer.name} gave out {answer['windows']} windows, expected {expected}")
    return float(answer["readings"] / answer["seconds"])


def _installed(folder: Path) -> Path:
    python = folder / "venv" / "bin" / "python"
    done = folder / "installed"
    if done.exists() and done.read_text() == "\n".join(_PACKAGES):
        return python
    _run([sys.executable, "-m", "venv", "--clear", str(folder / "venv")], _INSTALL_S)
    try:
        _run([str(python), "-m", "pip", "install", "-q", *_PACKAGES], _INSTALL_S)
    except Failure as error:
        raise Unavailable(f"other engines cannot be installed into {folder}: {error}") from error
    done.write_text("\n".join(_PACKAGES))
    return python


def _run(argv: list[str], within_s: float) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=within_s, check=False)
    except subprocess.TimeoutExpired as error:
        raise Failure(f"{' '.join(argv[:3])} … took longer than {within_s:.0f} s") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise Failure(f"{' '.join(argv[:3])} … failed: {' '.join(said)}")
    return done.stdout
