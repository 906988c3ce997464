import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from schemas.failure import BadConfig, Failure, Unavailable
from simulators.cli import simulate
from simulators.ledger import read_ledger

JANUARY = ["--start", "2026-01-05", "--site", "s"]


def call(*args: str) -> Result:
    return CliRunner().invoke(simulate, args)


def lines(*args: str) -> list[str]:
    result = call(*args, "--dry-run", *JANUARY)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def times(played: list[str]) -> list[int]:
    return [json.loads(line.split(" ", 1)[1])["ts"] for line in played]


def test_series_and_fleet_play_together_in_one_event_time_order():
    played = lines("run", "--with-nab", "--pumps", "2", "--faults", "0", "--days", "1")
    assert times(played) == sorted(times(played))
    assert {line.split("/")[0] for line in played} == {"machines", "sensors"}


def test_the_same_command_plays_the_same_bytes():
    one_day = ("run", "--pumps", "2", "--faults", "1", "--days", "1")
    assert lines(*one_day) == lines(*one_day)
    assert lines(*one_day) != lines(*one_day, "--seed", "8")


def test_replay_plays_the_series_named_and_no_others():
    played = lines("replay", "nyc_taxi", "--days", "2", "--closing", "0s")
    assert {line.split()[0] for line in played} == {"sensors/s/nyc_taxi/passengers"}


def test_replay_plays_a_file_of_ones_own_under_its_name(tmp_path: Path):
    path = tmp_path / "kiln 3.csv"
    path.write_text("timestamp,value\n2020-01-06 00:00,7\n2020-01-06 01:00,8\n")
    topic, payload = lines("replay", "--data", str(path), "--metric", "heat")[0].split()
    assert topic == "sensors/s/kiln_3/heat"
    assert json.loads(payload) == {"value": 7.0, "ts": 1767571200000, "unit": None, "seq": 0}


def test_two_series_of_one_name_a_bad_metric_and_a_bad_site_are_refused(tmp_path: Path):
    path = tmp_path / "nyc_taxi.csv"
    path.write_text("timestamp,value\n2020-01-06,7\n")
    for args in (
        ("replay", "nyc_taxi", "--data", str(path)),
        ("replay", "--metric", "a b"),
        ("replay", "nyc_taxi", "--site", "a/b"),
        ("replay", "nyc"),
    ):
        assert isinstance(call(*args).exception, BadConfig), args


def test_a_bad_row_is_an_error_with_file_and_line(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text("timestamp,value\n2020-01-06,seven\n")
    error = call("replay", "--data", str(path)).exception
    assert isinstance(error, Failure)
    assert "a.csv:2: 'seven' is no number" in str(error)


@pytest.mark.parametrize("args", [("--start", "now"), ("--start", "2099-01-05", "--speed", "1")])
def test_a_clock_ahead_of_the_real_one_is_a_usage_error(args: tuple[str, ...]):
    result = call("run", "--days", "1", *args)
    assert result.exit_code == 2
    assert "ahead of the real one" in result.stderr


@pytest.mark.parametrize("args", [("--speed", "0"), ("--speed", "fast"), ("--closing", "2 weeks")])
def test_a_bad_speed_or_duration_is_a_usage_error(args: tuple[str, ...]):
    assert call("replay", *args).exit_code == 2


@pytest.mark.parametrize("command", ["run", "replay"])
@pytest.mark.parametrize("days", ["nan", "0", "36501"])
def test_days_are_a_number_and_not_beyond_a_century(command: str, days: str):
    done = call(command, "--days", days)
    assert done.exit_code == 2, done.exception


def test_a_simulation_that_outlives_the_calendar_is_refused(tmp_path: Path):
    words = ("--scenario=bearing_wear", f"--out={tmp_path / 'a.csv'}", "--start=9999-12-31")
    assert "would end after the year 9999" in str(call("write", *words).exception)


def test_no_broker_and_no_gateway_are_unavailable():
    nowhere = ("--url", "mqtt://127.0.0.1:1", "--patience", "100ms")
    error = call("run", "--days", "1", *nowhere).exception
    assert isinstance(error, Unavailable)
    ready = ("--ready", "http://127.0.0.1:1/readyz", "--ready-within", "100ms")
    error = call("run", "--days", "1", *nowhere, *ready).exception
    assert isinstance(error, Unavailable)
    assert "readyz" in str(error)


def test_faults_lists_pump_fault_time_and_size():
    result = call("faults", "--start", "2026-01-05", "--json")
    faults = [json.loads(line) for line in result.stdout.splitlines()]
    assert len({fault["pump"] for fault in faults}) == 3
    assert sorted(fault["fault"] for fault in faults) == ["bearing_wear", "cavitation", "clog"]
    assert all(fault["sigma"]["vibration_rms"] > 10 for fault in faults)
    table = call("faults", "--start", "2026-01-05", "--fault", "dies").stdout
    assert "silent" in table
    assert "+24 sigma" in table


def started(mosquitto, ledger: Path, *args: str) -> subprocess.Popen[str]:
    main = "from simulators.cli import simulate; simulate()"
    options = ["--url", mosquitto.url, "--ledger", str(ledger), "--json", *args]
    return subprocess.Popen(
        [sys.executable, "-c", main, "run", *options], stdout=subprocess.PIPE, text=True
    )


def keys(ledger: Path, *, acked: bool) -> set[tuple[float, ...]]:
    return {(e.ts, e.seq, *e.values.values()) for e in read_ledger(ledger) if e.acked or not acked}


def received(subscriber) -> set[tuple[float, ...]]:
    return {tuple(json.loads(payload).values()) for payload in list(subscriber.payloads)}


@pytest.mark.stack
def test_the_last_line_says_what_was_published(
    mosquitto, subscribe: Callable[[], object], tmp_path: Path
):
    subscribe()
    args = ("--pumps", "2", "--faults", "0", "--days", "1")
    with started(mosquitto, tmp_path / "ledger", *args) as process:
        out, _ = process.communicate(timeout=60)
    said = json.loads(out.splitlines()[-1])
    assert process.returncode == 0
    assert said["site"].startswith("run-")
    assert (said["messages"], said["published"], said["unacked"]) == (624, 2496, 0)


@pytest.mark.stack
def test_an_interrupt_ends_it_cleanly_with_a_true_ledger(
    mosquitto, subscribe, until, tmp_path: Path
):
    subscriber = subscribe()
    ledger = tmp_path / "ledger"
    with started(mosquitto, ledger, "--days", "365") as process:
        until(lambda: len(subscriber.payloads) > 2000, "messages flow")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    said = json.loads(out.splitlines()[-1])
    assert process.returncode == 130
    assert said["unacked"] == 0
    assert said["published"] == 4 * len(keys(ledger, acked=True))
    until(lambda: received(subscriber) == keys(ledger, acked=True), "the ledger's are received")


@pytest.mark.stack
def test_a_simulator_killed_leaves_acknowledged_in_received_in_sent(
    mosquitto, subscribe, until, tmp_path: Path
):
    subscriber = subscribe()
    ledger = tmp_path / "ledger"
    with started(mosquitto, ledger, "--days", "365") as process:
        until(lambda: len(subscriber.payloads) > 2000, "messages flow")
        process.kill()
    acked = keys(ledger, acked=True)
    assert acked
    until(lambda: acked <= received(subscriber), "what is acknowledged is received")
    assert received(subscriber) <= keys(ledger, acked=False)
