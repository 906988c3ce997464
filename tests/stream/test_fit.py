"""Models learned from data by the commands, and used by the engine: figures on seeded machines."""

import csv
import json
import random
from pathlib import Path
from statistics import pstdev

import pytest
from click.testing import CliRunner, Result
from run_to_failure import HOUR, START, write_lives

from compose.cli import cli
from schemas.failure import Failure
from stream.models import read_model, t2_q
from stream.rules import load_rules

RUL_RULES = """
version: 1
models: {pump: pump.json}
derive:
  - {metric: rul, model: pump}
rules:
  - name: little_life_left
    match: {metric: rul}
    window: {size: 1h, slide: 1h}
    aggregate: last
    compare: {op: "<=", to: value}
    severities: [{level: CRITICAL, enter: 20, exit: 35, for: 3}]
"""


def ran(*words: object) -> Result:
    done = CliRunner().invoke(cli, ["rules", *map(str, words)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def told(*words: object) -> str:
    done = ran(*words)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(scope="module")
def pump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with machines that ran to failure, a model of them, and rules that use it."""
    folder = tmp_path_factory.mktemp("pump")
    write_lives(folder / "runs.csv", seed=1)
    told("fit", "rul", "--data", folder / "runs.csv", "--cap", 80, "--out", folder / "pump.json")
    (folder / "rules.yaml").write_text(RUL_RULES)
    return folder


def test_the_life_that_is_left_is_told_to_a_few_hours(pump: Path):
    truth = write_lives(pump / "others.csv", seed=2, machines=16, whole=False)
    (pump / "truth.txt").write_text("\n".join(map(str, truth)))
    words = (
        "derive",
        pump / "rules.yaml",
        "--data",
        pump / "others.csv",
        "--truth",
        pump / "truth.txt",
    )
    errors = json.loads(told(*words, "--json"))
    assert errors["devices"] == 16
    assert errors["rmse"] < 0.5 * pstdev(truth)
    assert told(*words).startswith(f"RMSE {errors['rmse']:.2f} over 16 devices")


def test_every_failure_of_machines_not_seen_is_announced_once_and_in_time(pump: Path):
    write_lives(pump / "fresh.csv", seed=3, machines=10)
    words = ("test", pump / "rules.yaml", "--data", pump / "fresh.csv", "--run-to-failure")
    lead = json.loads(told(*words, "--json"))["leads"]["little_life_left"]
    assert (lead["alerted"], lead["devices"], lead["onsets_per_device"]) == (10, 10, 1)
    assert 10 * HOUR <= lead["lead_p10_ms"] <= lead["lead_p90_ms"] <= 40 * HOUR
    assert (
        told(*words).splitlines()[-1].startswith("little_life_left: 10 of 10 failures, 1.00 alerts")
    )


def test_a_rule_that_never_fired_is_told_too(pump: Path):
    write_lives(pump / "fresh.csv", seed=3, machines=3)
    rules = pump / "never.yaml"
    rules.write_text(RUL_RULES.replace("enter: 20, exit: 35", "enter: -1"))
    last = told("test", rules, "--data", pump / "fresh.csv", "--run-to-failure").splitlines()[-1]
    assert last == "little_life_left: 0 of 3 failures"


def test_the_same_data_give_the_same_file_that_says_what_it_is_of(pump: Path):
    again = pump / "again.json"
    done = ran("fit", "rul", "--data", pump / "runs.csv", "--cap", 80, "--out", again)
    assert again.read_bytes() == (pump / "pump.json").read_bytes()
    assert "left out, since they never change: fixed" in done.stderr
    model = json.loads(again.read_bytes())
    assert model["inputs"] == ["draw", "flow", "heat", "noise", "shake"]
    assert (model["fitted_on"]["files"], model["fitted_on"]["devices"]) == (["runs.csv"], 20)
    assert (model["version"], model["every"], len(model["fitted_on"]["sha256"])) == (1, "3600s", 64)


def test_check_says_what_a_derived_metric_is(pump: Path):
    said = told("check", pump / "rules.yaml")
    assert (
        "rul = remaining life of 5 metrics, at most 80 cycles, of draw, flow, heat, noise, shake; "
        "every 3600 s; for little_life_left; at most 320 bytes a device"
    ) in said


def test_derive_prints_what_test_reads(pump: Path):
    words = ("derive", pump / "rules.yaml", "--data", pump / "runs.csv", "--device", "m-0[0-4]")
    rows = list(csv.DictReader(told(*words).splitlines()))
    assert list(rows[0]) == ["timestamp", "device", "metric", "value"]
    assert {row["metric"] for row in rows} == {"rul"}
    assert int(rows[0]["timestamp"]) == START + HOUR
    last = csv.DictReader(told(*words, "--last").splitlines())
    assert [row["device"] for row in last] == [f"m-0{i}" for i in range(5)]


def write_loop(path: Path, seed: int, minutes: int, fault: float = 0.0) -> None:
    """Three metrics that follow one load; a fault takes one of them out of step."""
    rng = random.Random(seed)
    with path.open("w") as file:
        file.write("timestamp,flow,pressure,current\n")
        for minute in range(minutes):
            load = rng.gauss(0, 1)
            row = (
                10 + 2 * load + rng.gauss(0, 0.2),
                5 + load + rng.gauss(0, 0.1),
                3 - load + fault,
            )
            file.write(f"{START + minute * 60_000},{','.join(f'{x:.5f}' for x in row)}\n")


LOOP_RULES = """
version: 1
models: {loop: loop.json}
derive:
  - {metric: loop_t2, model: loop}
rules:
  - name: loop_is_odd
    category: MULTI
    match: {metric: loop_t2}
    window: {size: 5m, slide: 1m}
    aggregate: mean
    compare: {op: ">=", to: value}
    severities: [{level: WARNING, enter: 1.0, exit: 0.9, for: 3}]
"""


def test_metrics_that_no_longer_go_together_are_found_though_each_is_within_its_range(tmp_path):
    write_loop(tmp_path / "loop_a.csv", 1, 6000)
    write_loop(tmp_path / "well.csv", 2, 2000)
    write_loop(tmp_path / "odd.csv", 3, 600, fault=1.0)
    out = tmp_path / "loop.json"
    done = ran("fit", "t2q", "--data", tmp_path / "loop_a.csv", "--out", out)
    assert "1 components of 3 metrics, 6000 rows" in done.stderr
    rules = tmp_path / "rules.yaml"
    rules.write_text(LOOP_RULES)
    assert told("test", rules, "--data", tmp_path / "well.csv") == ""
    (fired,) = json.loads(told("test", rules, "--data", tmp_path / "odd.csv", "--json"))["alerts"]
    assert (fired["event"], fired["rule"], fired["metric"]) == ("FIRED", "loop_is_odd", "loop_t2")
    # Of the data it was fitted on, a thousandth is beyond each of both limits.
    rows = csv.DictReader(told("derive", rules, "--data", tmp_path / "loop_a.csv").splitlines())
    beyond = sum(float(row["value"]) >= 1 for row in rows)
    assert 6 <= beyond <= 13


def test_t2_and_q_are_the_distances_of_a_direct_computation():
    complaints: list = []
    model = read_model(
        {
            "kind": "t2_q", "version": 1, "inputs": ["a", "b"], "every": "60s", "mean": [1, 2],
            "scale": [2, 4], "components": [[0.6, 0.8]], "variances": [1.5], "t2_limit": 3.0,
            "q_limit": 0.5, "quantile": 0.99,
        },
        (),
        complaints,
    )  # fmt: skip
    # z = (1, -1): its score is -0.2, and (1.12, -0.84) are left over.
    assert complaints == []
    assert t2_q(model, (3, -2)) == pytest.approx(max(0.04 / 1.5 / 3, (1.12**2 + 0.84**2) / 0.5))


def test_a_baseline_of_each_series_is_learned_and_compared_with(tmp_path):
    write_loop(tmp_path / "loop_a.csv", 1, 2000)
    told("fit", "baseline", "--data", tmp_path / "loop_a.csv", "--out", tmp_path / "well.json")
    usual = json.loads((tmp_path / "well.json").read_text())["devices"]["loop_a"]["flow"]
    assert (usual["n"], usual["mean"], usual["std"]) == (
        2000,
        pytest.approx(10, abs=0.2),
        pytest.approx(2, abs=0.1),
    )
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        """
version: 1
models: {well: well.json}
baselines: {commissioned: {kind: fitted, model: well}}
rules:
  - name: shifted
    match: {metric: "*"}
    window: {size: 1h, slide: 15m}
    aggregate: mean
    compare: {op: "abs>=", to: zscore, baseline: commissioned}
    severities: [{level: WARNING, enter: 0.8}]
"""
    )
    write_loop(tmp_path / "loop_a.csv", 5, 300, fault=1.5)
    write_loop(tmp_path / "unknown.csv", 5, 300, fault=1.5)
    alerts = json.loads(told("test", rules, "--data", tmp_path, "--json"))["alerts"]
    assert {(each["device_id"], each["metric"]) for each in alerts} == {("loop_a", "current")}
    assert alerts[0]["baseline_mean"] == pytest.approx(3, abs=0.1)


def test_limits_are_proposed_as_a_rule_file_that_holds_what_it_says(tmp_path):
    write_loop(tmp_path / "healthy.csv", 1, 10_000)
    text = told("suggest", "--data", tmp_path / "healthy.csv", "--quantile", 0.99)
    rules = tmp_path / "suggested.yaml"
    rules.write_text(text)
    loaded = load_rules(str(rules))
    names = [
        f"{metric}_{side}" for metric in ("current", "flow", "pressure") for side in ("high", "low")
    ]
    assert [rule.name for rule in loaded.rules] == names
    alerts = json.loads(told("test", rules, "--data", tmp_path / "healthy.csv", "--json"))["alerts"]
    for name in names:
        fired = sum(each["rule"] == name and each["event"] == "FIRED" for each in alerts)
        said = next(line for line in text.splitlines() if line.startswith("  # Expect"))
        before = text.split(f"name: {name}")[0].splitlines()[-2]
        assert (f": {fired} in 0.992 weeks" if fired else "none in 0.992") in before, said
    write_loop(tmp_path / "healthy.csv", 2, 3000, fault=3.0)
    found = json.loads(told("test", rules, "--data", tmp_path / "healthy.csv", "--json"))["alerts"]
    assert "current_high" in {each["rule"] for each in found}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["fit", "rul", "--inputs", "heat,shak"],
            "the data hold no metric 'shak'; did you mean \"shake\"?",
        ),
        (["fit", "rul", "--device", "m-0[0-3]"], "4 devices are too few: expected at least 5"),
        (["fit", "t2q", "--inputs", "heat", "--every", "1h"], "of 1 metrics are too few"),
        (["fit", "t2q", "--inputs", "fixed"], "no metric ever changes: there is nothing to learn"),
        (["fit", "rul", "--device", "x*"], "holds no device x*; there are: m-00, m-01"),
    ],
)
def test_what_cannot_be_learned_from_is_told(pump, tmp_path, words, said):
    with pytest.raises(Failure) as raised:
        told(*words, "--data", pump / "runs.csv", "--out", tmp_path / "m.json")
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--every", "7m"], "expected one of 1s 5s 10s 30s 1m 5m 15m 1h 1d, got 7m"),
        (["--every", "x"], "expected a duration"),
        (["--inputs", "heat,heat"], "a metric is there twice"),
        (["--pace", "0.1", "0.2"], "expected 1 >= fast >= slow > 0"),
        (["--format", "x"], "is not one of"),
    ],
)
def test_options_that_mean_nothing_are_told(pump, tmp_path, words, said):
    done = ran("fit", "rul", *words, "--data", pump / "runs.csv", "--out", tmp_path / "m.json")
    assert done.exit_code == 2
    assert said in done.stderr


def test_rules_that_derive_nothing_and_truths_of_another_length_are_told(pump, tmp_path):
    with pytest.raises(Failure, match="generic: derives no metric; it has none"):
        told("derive", "generic", "--data", pump / "runs.csv")
    (tmp_path / "truth.txt").write_text("1\n2\n")
    with pytest.raises(Failure, match="--truth holds 2 numbers, and 20 devices have a value"):
        told(
            "derive",
            pump / "rules.yaml",
            "--data",
            pump / "runs.csv",
            "--truth",
            tmp_path / "truth.txt",
        )


def test_a_value_that_is_usual_is_no_limit(tmp_path):
    with (tmp_path / "state.csv").open("w") as file:
        file.write("timestamp,level,running\n")
        rng = random.Random(1)
        for minute in range(0, 20_000, 5):
            file.write(f"{START + minute * 60_000},{rng.gauss(5, 1):.4f},{minute % 500 < 250:d}\n")
    text = told("suggest", "--data", tmp_path / "state.csv")
    assert [line for line in text.splitlines() if line.startswith("# Left out")] == [
        "# Left out: running_high: 1 is usual for it.", "# Left out: running_low: 0 is usual for it.",
    ]  # fmt: skip
    assert text.count("- name: level_") == 2


def test_too_little_data_is_no_limit(tmp_path):
    write_loop(tmp_path / "short.csv", 1, 60)
    with pytest.raises(Failure, match="no limits to propose; current: 4 windows are too few"):
        told("suggest", "--data", tmp_path / "short.csv")
