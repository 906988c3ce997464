"""`simulate scenarios`, `write` and `run --scenario`, as a person or a script uses them."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from schemas.failure import BadConfig, Failure
from simulators.cli import simulate
from simulators.clock import DAY_MS, parse_time
from simulators.ledger import read_ledger
from simulators.message import Message
from simulators.recording import write_csv
from simulators.scenario import METRICS, SCENARIOS

SHORT = ("--days", "2", "--onset", "12h", "--duration", "6h")


def call(*args: str) -> Result:
    return CliRunner().invoke(simulate, args)


def written(folder: Path, *args: str) -> tuple[list[str], dict[str, list[list[str]]], Result]:
    out = folder / "out.csv"
    result = call("write", "--out", str(out), *args)
    assert result.exit_code == 0, result.output
    labels = json.loads((folder / "out.csv.labels.json").read_text())
    return out.read_text().splitlines(), labels, result


def test_the_list_says_of_each_scenario_what_fires_by_when_and_what_must_not():
    result = call("scenarios", "--json")
    told = {line["scenario"]: line for line in map(json.loads, result.stdout.splitlines())}
    assert list(told) == list(SCENARIOS)
    for name, each in told.items():
        assert each["about"]
        assert set(each["quiet"]) <= set(METRICS)
        assert bool(each["fires"]) == bool(SCENARIOS[name].expected) == bool(each["found_by"])
        for fires in each["fires"]:
            assert 0 < fires["within_h"] <= each["duration_h"]
            assert fires["severity"] == "WARNING"
            assert fires["categories"]
    assert told["bearing_wear"]["fires"][0]["within_h"] == 120
    assert told["healthy"]["onset_h"] is None


def test_the_list_is_readable_and_may_be_of_some():
    text = call("scenarios").stdout
    assert all(f"{name}: " in text for name in SCENARIOS)
    text = call("scenarios", "stuck_sensor", "duplicates").stdout
    assert "bearing_wear" not in text
    assert "fires: temperature SENSOR_HEALTH, WARNING or worse, within 4 h of the onset" in text
    assert "found by the packs: sensor_health\n" in text
    assert (
        "rotating from 3 sigma, generic from 3 sigma, temperature from 6 sigma\n"
        in call("scenarios", "overheating").stdout
    )
    assert "duplicates: one message in five is delivered twice" in text
    assert "fires: nothing" in text


def test_write_writes_long_csv_and_labels_from_onset_to_end(tmp_path: Path):
    rows, labels, result = written(tmp_path, "--scenario", "imbalance", "--pumps", "2", *SHORT)
    assert rows[0] == "timestamp,device,metric,value"
    cells = [row.split(",") for row in rows[1:]]
    assert {len(each) for each in cells} == {4}
    assert {each[1] for each in cells} == {"sim.pump-01", "sim.pump-02"}
    assert {each[2] for each in cells} == set(METRICS)
    times = [parse_time(each[0]) for each in cells]
    assert times == sorted(times)
    assert times[0] >= parse_time("2026-01-05")
    assert len(cells) == 2 * 4 * (2 * 24 + 2) * 12
    window = ["2026-01-05T12:00:00Z", "2026-01-05T18:00:00Z"]
    assert labels == {"sim.pump-01.csv": [window], "sim.pump-02.csv": [window]}
    assert f"{len(cells)} readings in" in result.stdout
    assert (
        "sim.pump-02: imbalance of 12 sigma from 2026-01-05T12:00:00Z; fires: vibration_rms"
        in result.stdout
    )


def test_write_says_the_truth_to_programs(tmp_path: Path):
    *_, result = written(tmp_path, "--scenario", "drop_out", "--json", "--site", "p", *SHORT)
    said = json.loads(result.stdout)
    onset = parse_time("2026-01-05T12:00")
    (truth,) = said["truth"]
    assert said["readings"] == 4 * 600 - 6 * 12
    assert truth["device_id"] == "p.pump-01"
    assert truth["placed"]["onset_ms"] == onset
    assert truth["fires"][0]["metric"] == "temperature"
    assert truth["fires"][0]["by_ms"] == onset + 3_600_000
    assert truth["quiet"] == list(METRICS)
    assert set(truth["sigma"].values()) == {0}
    *_, result = written(tmp_path, "--scenario", "imbalance", "--size", "3", "--json", *SHORT)
    (truth,) = json.loads(result.stdout)["truth"]
    assert truth["sigma"] == {"temperature": 0.25, "vibration_rms": 3, "current": 0.25}


def test_run_plays_what_write_writes(tmp_path: Path):
    for name in ("clock_jump", "duplicates"):
        args = ("--scenario", name, "--seed", "3", "--site", "s", "--start", "2026-01-05", *SHORT)
        rows, *_ = written(tmp_path, *args)
        played = call("run", "--dry-run", *args).stdout.splitlines()
        payloads = [json.loads(line.split(" ", 1)[1]) for line in played]
        sent = [(p["ts"], name, p[name]) for p in payloads for name in METRICS if name in p]
        cells = [row.split(",") for row in rows[1:]]
        assert sent == [(parse_time(at), metric, float(v)) for at, _, metric, v in cells]


def test_another_process_writes_the_same_bytes(tmp_path: Path):
    args = ("--scenario", "cavitation", "--seed", "11", "--size", "3", *SHORT)
    written(tmp_path, *args)
    script = "from simulators.cli import simulate; simulate()"
    other = tmp_path / "other.csv"
    subprocess.run([sys.executable, "-c", script, "write", "--out", other, *args], check=True)
    assert other.read_bytes() == (tmp_path / "out.csv").read_bytes()
    labels = (tmp_path / "other.csv.labels.json").read_bytes()
    assert labels == (tmp_path / "out.csv.labels.json").read_bytes()


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("--scenario", "bearing_were"), 'did you mean "bearing_wear"'),
        (("--scenario", "xyzzy"), "see `simulate scenarios`"),
        (("--scenario", "drift", "--size", "big"), "'big' is not a valid float"),
        (("--scenario", "drift", "--size", "-1"), "--size -1: "),
        (("--scenario", "drift", "--size", "nan"), "--size nan: "),
        (("--scenario", "duplicates", "--size", "3"), "duplicates has no --size"),
        (("--scenario", "healthy", "--duration", "1h"), "healthy has no --duration"),
        (("--scenario", "drift", "--onset", "soon"), "expected a duration"),
        (("--scenario", "drift", "--days", "1"), "give more days"),
        (("--scenario", "drift", "--pumps", "0"), "--pumps"),
    ],
)
def test_rubbish_is_a_usage_error_that_says_how_to_mend_it(
    tmp_path: Path, args: tuple[str, ...], told: str
):
    for command in (("write", "--out", str(tmp_path / "x.csv")), ("run", "--dry-run")):
        result = call(*command, *args)
        assert result.exit_code == 2, result.output
        assert told in " ".join(result.stderr.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("run", "--scenario", "drift", "--faults", "0"), "leave --fault and --faults away"),
        (("run", "--scenario", "drift", "--fault", "clog"), "leave --fault and --faults away"),
        (("run", "--size", "3"), "--size is of a scenario; add --scenario"),
        (("run", "--onset", "1d"), "--onset is of a scenario"),
        (("scenarios", "stuck_senser"), 'did you mean "stuck_sensor"'),
        (("write", "--scenario", "drift"), "Missing option '--out'"),
        (("write", "--out", "x.csv"), "Missing option '--scenario'"),
        (("write", "--scenario", "drift", "--out", "x", "--labels", "./x"), "must be two files"),
    ],
)
def test_options_that_do_not_go_together_are_refused(args: tuple[str, ...], told: str):
    result = call(*args)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.split())


def test_what_cannot_be_written_is_named_and_nothing_is_left(tmp_path: Path):
    nowhere = tmp_path / "no" / "out.csv"
    error = call("write", "--scenario", "healthy", "--days", "1", "--out", str(nowhere)).exception
    assert isinstance(error, Failure)
    assert f"{nowhere}: cannot be written: No such file" in str(error)
    out = ("--out", str(tmp_path / "out.csv"), "--scenario", "healthy", "--days", "1")
    error = call("write", *out, "--labels", "/dev/null").exception
    assert isinstance(error, Failure)
    assert "/dev/null: is no regular file" in str(error)
    assert isinstance(call("write", *out, "--site", "a/b").exception, BadConfig)
    assert isinstance(call("write", *out, "--start", "soon").exception, BadConfig)
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".new")]


def test_a_file_that_was_there_stays_until_the_new_one_is_whole(tmp_path: Path):
    rows, *_ = written(tmp_path, "--scenario", "healthy", "--days", "1")
    again, *_ = written(tmp_path, "--scenario", "healthy", "--days", "2")
    assert len(again) > len(rows)
    assert again[: len(rows) // 2] == rows[: len(rows) // 2]


def test_what_broke_off_in_the_middle_leaves_the_file_that_was_there(tmp_path: Path):
    path = tmp_path / "out.csv"
    path.write_text("as it was")

    def breaks() -> Iterator[Message]:
        yield from (Message(0, "t", b"", "s.d", 0, (("heat", 1.0),)) for _ in range(10_000))
        raise OSError(28, "No space left on device")

    with pytest.raises(Failure, match=r"out\.csv: cannot be written: No space left"):
        write_csv(breaks(), path)
    assert path.read_text() == "as it was"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.stack
def test_a_scenario_is_published_with_its_duplicates(
    mosquitto, subscribe: Callable[[], object], until, tmp_path: Path
):
    subscriber = subscribe()
    ledger = tmp_path / "ledger"
    args = ("--scenario", "duplicates", "--start", "2026-01-05", "--json", *SHORT)
    result = call("run", "--url", mosquitto.url, "--ledger", str(ledger), *args)
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout.splitlines()[-1])
    messages = (2 * DAY_MS + 7_200_000) // 300_000
    assert said["unacked"] == 0
    assert said["messages"] > messages
    until(lambda: len(subscriber.payloads) == said["messages"], "all arrive")
    assert len(set(subscriber.payloads)) == messages
    assert len({entry.seq for entry in read_ledger(ledger) if entry.acked}) == messages
