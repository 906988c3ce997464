"""Long CSV, timestamp,device,metric,value, as the simulator writes it and rules are tried on it."""

import json

import pytest
from click.testing import CliRunner

from compose.rules_cli import rules as command
from schemas.failure import Failure
from simulators.cli import simulate
from stream.backtest import Series, rate, read_labels, read_series, run
from stream.rules import load_rules


def test_a_long_file_holds_a_series_for_each_device_and_metric_in_order_of_time(tmp_path):
    path = tmp_path / "plant.csv"
    path.write_text(
        "Timestamp,device,metric,value\n2000,s.a,heat,2\n1000,s.a,heat,1.5\n\n"
        "1970-01-01T00:00:01.500Z,s.b,heat,3\n2000,s.a,force,\n3000,s.a,force,4\n"
    )
    assert read_series(path) == [
        Series("s.a", "heat", [(1000, 1.5), (2000, 2.0)]),
        Series("s.b", "heat", [(1500, 3.0)]),
        Series("s.a", "force", [(3000, 4.0)]),
    ]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("1,a,b", "a.csv:2: expected 4 fields, got 3"),
        ("1,a,b,x", "a.csv:2: b: expected a number, got 'x'"),
        ("soon,a,b,1", "a.csv:2: timestamp: 'soon' is no time"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path, row, told):
    (tmp_path / "a.csv").write_text(f"timestamp,device,metric,value\n{row}\n")
    with pytest.raises(Failure, match=told):
        read_series(tmp_path)


def test_a_scenario_written_by_the_simulator_is_rated_by_its_labels(tmp_path):
    # So large that a wrong unit of time or a label of another device would show.
    out = tmp_path / "out.csv"
    asked = ["--scenario", "overheating", "--size", "20", "--seed", "3", "--out", str(out)]
    assert CliRunner().invoke(simulate, ["write", *asked]).exit_code == 0
    labels = read_labels(tmp_path / "out.csv.labels.json")
    warm = [each for each in read_series(out) if each.metric == "temperature"]
    assert list(labels) == [each.device_id for each in warm] == ["sim.pump-01"]
    scores = rate(warm, run(load_rules("generic"), warm), labels)
    assert scores.event_recall == 1
    done = CliRunner().invoke(
        command,
        ["test", "generic", "--data", str(out), "--labels", f"{out}.labels.json", "--json"],
    )
    told = {(a["device_id"], a["metric"]) for a in json.loads(done.stdout)["alerts"]}
    assert ("sim.pump-01", "temperature") in told
