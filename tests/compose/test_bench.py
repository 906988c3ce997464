"""The benchmark runs as its users run it, and nothing it carries is lost."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.bench.mosquitto import binary

ROOT = Path(__file__).parents[2]
# What others read off it keeps its name.
KEYS = (
    "cpu_us_per_reading", "readings_per_s", "rss_mb", "p50_ms", "p99_ms", "bytes_per_reading",
    "bytes_ratio_vs_json", "bytes_per_reading_uncompressed", "bytes_ratio_vs_json_uncompressed",
    "replay_bytes_per_reading", "replay_bytes_ratio_vs_json", "steady_cpu_us_per_reading",
)  # fmt: skip


@pytest.mark.stack
def test_bench_edge_loses_nothing_and_says_what_it_measured(tmp_path: Path) -> None:
    if binary() is None:
        pytest.skip("no mosquitto; apt-get install mosquitto")
    # Fewer cost less CPU than one start of the gateway differs from the next by.
    words = ["--readings", "30000", "--rate", "500", "--seconds", "1", "--folder", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "compose.cli", "bench", "edge", "--json", "--pi-like", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert all(figures[key] > 0 for key in KEYS), figures
    lost = {name: figure for name, figure in figures.items() if name.endswith("lost")}
    assert lost == {"lost": 0, "steady_lost": 0, "replay_lost": 0}
    assert (figures["duplicates"], figures["replay_readings"]) == (0, 69_561)
    # Of the 50 ms that each sync takes longer there.
    assert figures["p50_ms"] > 50


def test_the_other_engines_windows_are_counted_by_hand():
    from compose.bench_load import Load, windows

    # One device, a reading a second from 0:45 to 1:44; windows of 5 min every 30 s.
    load = Load(60, 1, 1.0)
    ends = [end for end in range(0, 600, 30) if end > 45 and end - 300 <= 104]
    assert windows(load, 45_000, at_end=True) == len(ends)
    assert windows(load, 45_000, at_end=False) == len([end for end in ends if end <= 104 - 5])
