"""NASA's run-to-failure files: how they are read, and what the model of remaining life is worth."""

import json
import os
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner

from compose.cli import cli
from schemas.failure import Failure
from stream.cmapss import METRICS, read_cmapss

ROW = " ".join(str(n / 10) for n in range(24))


def test_an_engine_is_a_device_and_a_cycle_an_hour(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text(f"1 1 {ROW}  \n1 2 {ROW}\n\n2 1 {ROW}\n")
    found = {(each.device_id, each.metric): each.points for each in read_cmapss(tmp_path / "t.txt")}
    assert len(found) == 2 * len(METRICS)
    first, second = found["engine-001", "T24"]
    assert second[0] - first[0] == 3_600_000
    assert first[1] == 0.4
    assert first[0] % 86_400_000 == 0
    assert found["engine-002", "W32"] == [(first[0], 2.3)]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1 2 x", "t.txt:2: could not convert string to float: 'x'"),
        ("1 2 3", "t.txt:2: expected 26 numbers, first an engine and its cycle from 1 on, got 3"),
        (f"1 0 {ROW}", "t.txt:2: expected 26 numbers"),
        (f"1.5 1 {ROW}", "t.txt:2: expected 26 numbers"),
        ("7", "t.txt:2: expected 26 numbers"),
    ],
)
def test_a_line_of_another_form_is_told(tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "t.txt").write_text(f"1 1 {ROW}\n{line}\n")
    with pytest.raises(Failure) as raised:
        read_cmapss(tmp_path / "t.txt")
    assert said in str(raised.value)


def test_a_file_without_rows_is_told(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("\n")
    with pytest.raises(Failure, match="holds no row"):
        read_cmapss(tmp_path / "t.txt")


RULES = """
version: 1
models: {turbofan: turbofan.json}
derive:
  - {metric: rul, model: turbofan}
rules:
  - name: little_life_left
    category: TREND
    match: {metric: rul}
    window: {size: 1h, slide: 1h}
    aggregate: last
    compare: {op: "<=", to: value}
    severities: [{level: CRITICAL, enter: 30, exit: 45, for: 3}]
"""


def told(*words: object) -> str:
    done = CliRunner().invoke(cli, ["rules", *map(str, words)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
def fd001() -> Path:
    """The folder of FD001's three files, which may not be shipped."""
    named = os.environ.get("TIDEGATE_CMAPSS", "")
    if not named or not (Path(named) / "train_FD001.txt").exists():
        pytest.skip(
            "TIDEGATE_CMAPSS names no folder with train_FD001.txt, test_FD001.txt and "
            "RUL_FD001.txt: the published figures of remaining life are NOT checked"
        )
    return Path(named)


@pytest.mark.slow
def test_the_remaining_life_of_fd001_is_told_as_well_as_published(
    fd001: Path, tmp_path: Path
) -> None:
    (tmp_path / "rules.yaml").write_text(RULES)
    of = ("--format", "cmapss", "--data")
    told("fit", "rul", *of, fd001 / "train_FD001.txt", "--out", tmp_path / "turbofan.json")
    truth = ("--truth", fd001 / "RUL_FD001.txt", "--json")
    errors = json.loads(
        told("derive", tmp_path / "rules.yaml", *of, fd001 / "test_FD001.txt", *truth)
    )
    assert errors["devices"] == 100
    assert errors["rmse"] <= 15.5  # measured 14.5


@pytest.mark.slow
def test_every_failure_of_the_half_held_out_is_announced_once(fd001: Path, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES)
    train = ("--format", "cmapss", "--data", fd001 / "train_FD001.txt")
    halves = ("engine-??[13579]", "engine-??[02468]")
    for seen, unseen in pairwise((*halves, halves[0])):
        told("fit", "rul", *train, "--device", seen, "--out", tmp_path / "turbofan.json")
        words = ("--device", unseen, "--run-to-failure", "--json")
        lead = json.loads(told("test", tmp_path / "rules.yaml", *train, *words))["leads"][
            "little_life_left"
        ]
        assert (lead["alerted"], lead["devices"]) == (50, 50)
        assert lead["onsets_per_device"] <= 1.05
        assert lead["lead_median_ms"] >= 20 * 3_600_000  # measured 32 and 27 cycles
        assert lead["lead_p10_ms"] >= 15 * 3_600_000  # measured 20.9 and 15.8
