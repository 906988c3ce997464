"""The benchmark runs as its users run it, and nothing it carries is lost."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.bench.mosquitto import binary
from schemas.failure import Failure

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


# Each for the shipped series, and for a machine that reports every 10 s.
RULES_KEYS = {
    "readings", "windows", "alerts", "readings_per_s", "cpu_us_per_reading", "cpu_us_per_window",
    "rss_mb", "plain_readings_per_s", "plain_rss_mb", "ratio",
}  # fmt: skip


def test_bench_rules_says_what_it_measured() -> None:
    words = ["bench", "rules", "--json", "--runs", "1", "--days", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "compose.cli", *words],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert set(figures) == {f"{of}_{key}" for of in ("nab", "dense") for key in RULES_KEYS}
    assert all(figure > 0 for figure in figures.values()), figures
    assert (figures["nab_readings"], figures["dense_readings"]) == (69_561, 3 * 8640)


def test_a_timed_run_that_gives_other_alerts_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from compose import bench_rules

    bench_rules.write_dense(tmp_path / "pump.csv", 1)
    monkeypatch.setattr(bench_rules, "_alone", lambda *_: bench_rules.Cost(1.0, 1.0, b"other"))
    with pytest.raises(Failure, match="other alerts"):
        bench_rules.figures("dense", tmp_path, 1)


def test_a_load_that_a_start_hides_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    from compose.bench_drain import Bench, Spent, Topics
    from stream.jobs.settings import Cluster, Tuning

    spent = iter([Spent(3.0, 6.0), Spent(2.9, 6.5)])
    monkeypatch.setattr(Bench, "drain", lambda *_: next(spent))
    cluster = Cluster("", "", "", "")
    with pytest.raises(Failure, match="bare: all readings took no longer than a quarter"):
        Bench(Path(), Tuning()).took("bare", lambda *_: "", Topics(cluster, cluster))
