"""Rules tried on recorded series, by the same engine as the job's."""

import json
from collections import defaultdict
from itertools import chain
from pathlib import Path

import pytest
from click.testing import CliRunner
from rule_builders import DAY, HOUR, MINUTE, limit

import simulators
from compose.rules_cli import rules as command
from schemas.config import ConfigError
from schemas.failure import Failure
from schemas.records import Alert
from simulators.clock import FIRST_MONDAY_MS
from simulators.fleet import Fleet, fleet_messages, pump_name, scenarios
from simulators.nab import SERIES, labels, nab_messages
from stream.backtest import Series, panes, rate, read_labels, read_series, run
from stream.device_state import DeviceState
from stream.engine import Engine
from stream.pane_sizes import pane_ms
from stream.panes import panes_of
from stream.rules import load_rules

NAB = Path(simulators.__file__).parent / "data" / "nab"


def series(*points: tuple[int, float], device: str = "pump") -> Series:
    return Series(device, "value", list(points))


def test_the_offline_run_is_the_engine_s_over_the_panes_of_the_readings():
    from rule_builders import reading

    values = [(i * 7 * MINUTE, float(i % 13)) for i in range(400)]
    readings = [
        reading(
            ts=at,
            value=x,
            metric="value",
            device_id="pump",
            site="offline",
            unit=None,
            device_seq=i,
        )
        for i, (at, x) in enumerate(values)
    ]
    rules = limit("[{level: WARNING, enter: 9, for: 15m, keep_firing_for: 30m}]")
    engine, state = Engine(rules), DeviceState()
    online = [
        alert
        for row in panes_of(readings, pane_ms(rules))
        for alert in engine.on_pane(
            state, row.device_id, row.metric, row.site, row.unit, row.pane
        ).alerts
    ]
    assert len(online) > 10
    assert run(rules, [series(*values)]) == online


def test_equal_rows_of_a_file_are_two_readings(tmp_path):
    (tmp_path / "a.csv").write_text(
        "timestamp,value\n2024-01-01 00:00:00,1\n2024-01-01 00:00:00,1\n"
    )
    (only,) = read_series(tmp_path)
    (pane,) = panes(only.points, HOUR)
    assert pane.n == 2


def test_a_file_may_hold_several_metrics_and_gaps(tmp_path):
    path = tmp_path / "press.csv"
    path.write_text("timestamp,force,heat\n1000,1.5,\n500,2.5,20\n")
    assert read_series(path) == [
        Series("press", "force", [(500, 2.5), (1000, 1.5)]), Series("press", "heat", [(500, 20.0)]),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "a.csv:1: expected a header timestamp,<metric>"),
        ("time,value\n", "a.csv:1: expected a header timestamp,<metric>"),
        ("timestamp,value\n1,2,3\n", "a.csv:2: expected 2 fields, got 3"),
        ("timestamp,value\n1,x\n", "a.csv:2: value: expected a number, got 'x'"),
        (
            "timestamp,value\n9999999999999999999,1\n",
            "a.csv:2: timestamp: '9999999999999999999' is no time",
        ),
        ("timestamp,value\n2026-02-30,1\n", "a.csv:2: timestamp: '2026-02-30' is no time"),
        ("timestamp,value\nsoon,1\n", "a.csv:2: timestamp: 'soon' is no time"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path, text, told):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(Failure, match=told):
        read_series(tmp_path)


def test_an_empty_folder_is_no_success(tmp_path):
    with pytest.raises(Failure, match="holds no"):
        read_series(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', '{"a": [[1]]}', '{"a": [["x", "y"]]}'])
def test_labels_of_another_form_are_refused(tmp_path, text):
    path = tmp_path / "labels.json"
    path.write_text(text)
    with pytest.raises(Failure, match="expected"):
        read_labels(path)


MINUTES = [
    (i * MINUTE, 20.0 if 3000 <= i < 3300 or 5000 <= i < 5100 else 1.0) for i in range(10_000)
]


def test_scores_tell_found_from_missed_and_right_from_wrong():
    rules = limit("[{level: WARNING, enter: 10}]")
    alerts = run(rules, [series(*MINUTES)])
    assert sum(a.event == "FIRED" for a in alerts) == 2
    found, missed = (2990 * MINUTE, 3300 * MINUTE), (8000 * MINUTE, 8100 * MINUTE)
    scores = rate([series(*MINUTES)], alerts, {"pump": [found, missed]})
    assert (scores.event_recall, scores.precision) == (0.5, 0.5)
    weeks = (9999 - 750) * MINUTE / (7 * DAY)
    assert scores.false_alerts_per_sensor_week == pytest.approx(1 / weeks)


def test_an_alert_that_began_before_a_window_meets_it_but_is_not_right():
    rules = limit("[{level: WARNING, enter: 10}]")
    alerts = run(rules, [series(*MINUTES)])
    inside = {"pump": [(3200 * MINUTE, 3250 * MINUTE), (5000 * MINUTE, 5100 * MINUTE)]}
    scores = rate([series(*MINUTES)], alerts, inside)
    assert (scores.event_recall, scores.precision) == (1.0, 0.5)


def test_an_alert_starts_at_the_last_row_its_window_held():
    # The first high row is number 3000, decided on in the window that ends before row 3015.
    alerts = run(limit("[{level: WARNING, enter: 10}]"), [series(*MINUTES)])
    assert fired(alerts, "pump")[0] == 3015 * MINUTE
    held = {"pump": [(3000 * MINUTE, 3014 * MINUTE)]}
    assert rate([series(*MINUTES)], alerts, held).precision == 0.5
    behind = {"pump": [(3015 * MINUTE, 3020 * MINUTE)]}
    assert rate([series(*MINUTES)], alerts, behind).precision == 0.0


def test_series_without_labels_are_left_out_of_the_scores():
    alerts = run(limit("[{level: WARNING, enter: 10}]"), [series(*MINUTES)])
    scores = rate([series(*MINUTES)], alerts, {})
    assert (scores.event_recall, scores.precision, scores.nab["standard"]) == (None, None, None)


@pytest.fixture(scope="module")
def nab() -> tuple[list[Series], list[Alert]]:
    every = read_series(NAB)
    return every, run(load_rules("generic"), every)


def fired(alerts: list[Alert], device: str) -> list[int]:
    return [a.starts_at for a in alerts if a.device_id == device and a.event == "FIRED"]


def test_the_default_rule_finds_what_it_is_published_to_find(nab):
    # Published for the machine's temperature: 17 alerts after probation, 3 of 4 windows. The
    # count is exact. On all 58 files it scores 57.6; these seven are among the hardest.
    every, alerts = nab
    windows = read_labels(NAB / "windows.json")
    (machine,) = (s for s in every if s.device_id == "machine_temperature_system_failure")
    probation_end = machine.points[750][0]
    assert sum(at > probation_end for at in fired(alerts, machine.device_id)) == 17
    alone = rate([machine], alerts, windows)
    assert alone.event_recall == 1.0  # one window only by an alert that began before it
    assert alone.precision == pytest.approx(3 / 17)


def test_the_seven_series_score_what_they_did(nab):
    every, alerts = nab
    scores = rate(every, alerts, read_labels(NAB / "windows.json"))
    # One alert more or less moves the standard score by up to 0.3 (false) or 5 (a window): this
    # tolerance notices either and forgives rounding.
    assert scores.nab == {
        "standard": pytest.approx(35.27, abs=0.1),
        "low_fp": pytest.approx(23.28, abs=0.1),
        "low_fn": pytest.approx(42.81, abs=0.1),
    }
    assert scores.event_recall == pytest.approx(12 / 19)
    assert scores.false_alerts_per_sensor_week < 0.8


def test_the_first_alerts_before_the_machine_s_labelled_failures_come_when_published(nab):
    _, alerts = nab
    failures = ("2013-12-11 06:00", "2013-12-16 17:25", "2014-01-28 13:55", "2014-02-08 14:30")
    leads = []
    for text in failures:
        ((at, _),) = read_spans(text)
        before = [
            x for x in fired(alerts, "machine_temperature_system_failure") if 0 < at - x <= 3 * DAY
        ]
        leads.append(round((at - min(before)) / HOUR, 1))
    # Published: 56.8, 12.2, 24.8, 25.3 h, to the last sample in the window; 5 min before its end.
    assert leads == [56.8, 12.2, 24.7, 25.2]


def read_spans(text: str) -> list[tuple[int, int]]:
    from simulators.clock import parse_time

    return [(parse_time(text), parse_time(text))]


@pytest.fixture(scope="module")
def demo() -> list[Alert]:
    rules = load_rules("demo")
    points: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
    for message in chain(
        nab_messages("s", start_ms=FIRST_MONDAY_MS, days=30),
        fleet_messages("s", start_ms=FIRST_MONDAY_MS),
    ):
        # The pumps' other two metrics have no rules, and take half of the time.
        for metric, value in message.values:
            if metric in ("current", "running"):
                continue
            points[message.device_id, metric].append((message.ts_ms, value))
    return run(rules, [Series(*key, own) for key, own in points.items()])


def test_the_demo_s_rules_alert_for_each_labelled_window_of_its_thirty_days(demo):
    name = "machine_temperature_system_failure"
    assert name in SERIES
    end = FIRST_MONDAY_MS + 30 * DAY
    inside = [span for span in labels(FIRST_MONDAY_MS)[name] if span[1] < end]
    assert len(inside) == 2
    for first, last in inside:
        assert any(first <= at <= last for at in fired(demo, f"s.{name}"))


def test_the_demo_s_rules_alert_for_every_failing_pump_and_few_healthy_ones(demo):
    failing = {f"s.{pump_name(fault.pump)}" for fault in scenarios(Fleet())}
    assert len(failing) == 3
    by_vibration = {a.device_id for a in demo if a.rule == "pump_vibration"}
    assert by_vibration == failing
    pumps = {a.device_id for a in demo if a.device_id.startswith("s.pump-")}
    assert len(pumps - failing) <= 3


def test_the_command_prints_one_object_with_alerts_and_scores(tmp_path):
    path = NAB / "ec2_request_latency_system_failure.csv"
    done = CliRunner().invoke(
        command,
        ["test", "generic", "--data", str(path), "--labels", str(NAB / "windows.json"), "--json"],
    )
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert set(answer) == {"alerts", "scores"}
    assert set(answer["scores"]) == {
        "nab",
        "event_recall",
        "precision",
        "false_alerts_per_sensor_week",
        "median_delay_s",
        "median_lead_s",
    }
    assert set(answer["scores"]["nab"]) == {"standard", "low_fp", "low_fn"}
    assert [a["event"] for a in answer["alerts"]] == ["FIRED", "RESOLVED", "FIRED"]


def test_the_command_prints_for_people_too():
    path = NAB / "ec2_request_latency_system_failure.csv"
    done = CliRunner().invoke(command, ["test", "generic", "--data", str(path)])
    assert "2014-03-18 22:45  FIRED        WARNING   ec2_request_latency" in done.stdout


def test_check_tells_what_rules_cost():
    done = CliRunner().invoke(command, ["check", "demo"])
    assert done.exit_code == 0
    assert "pump_vibration: vibration_rms; window 1h every 15m; at most 4 panes" in done.stdout
    assert "vibration_rms 15m, * 1h" in done.stdout


def test_check_refuses_wrong_rules_as_a_bad_configuration(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("version: 1\nruels: []\n")
    done = CliRunner().invoke(command, ["check", str(path)])
    assert isinstance(done.exception, ConfigError)
    assert f"{path}:2: ruels: unknown key" in str(done.exception)


def test_packs_are_listed():
    listed = CliRunner().invoke(command, ["packs"]).stdout.split()
    assert {"demo", "generic", "rotating"} < set(listed)
    assert listed == sorted(listed)
