"""The shipped packs on machines that are well and machines that are not; seeds of their own."""

import pytest
from click.testing import CliRunner
from scenario_runs import START, raised, series, unfounded

from compose.rules_cli import rules as command
from simulators.scenario import SCENARIOS
from simulators.staging import staged, truths
from stream.backtest import run
from stream.rules import PACKS, load_rules, packs

SHIFTED = [name for name, each in SCENARIOS.items() if each.kind or each.effect == "drift"]
HARMLESS = [name for name, each in SCENARIOS.items() if each.faulty and not each.expected]
MACHINES = ("generic", "rotating")
OWN = {
    "bearing_wear": ("bearing_wear", "imbalance", "cavitation", "clogged_filter"),
    "pump": ("bearing_wear", "imbalance", "cavitation", "clogged_filter"),
    "temperature": ("bearing_wear", "overheating", "clogged_filter"),
}
"""What packs that are not about everything find at its usual size."""
OF_SENSORS = [
    name
    for name, each in SCENARIOS.items()
    if any("SENSOR_HEALTH" in due.categories for due in each.expected)
]


def test_healthy_machines_that_start_and_stop_raise_nothing():
    # 100 machine-days; what thousands of them gave is in stream/packs/README.md.
    staging = staged("healthy", machines=5, days=20, seed=31)
    sent = series(staging)
    for pack in (*MACHINES, *OWN):
        assert unfounded(staging, run(load_rules(pack), sent)) == [], pack


@pytest.mark.parametrize("name", OF_SENSORS)
def test_what_befalls_a_sensor_is_found_in_its_time(name):
    staging = staged(name, machines=2, seed=35)
    alerts = raised(staging, "sensor_health")
    assert all(truth.found(alerts) for truth in truths(staging, "s", START))
    assert unfounded(staging, alerts) == []


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_no_fault_of_a_sensor_raises_nothing(name):
    staging = staged(name, seed=36)
    assert raised(staging, "sensor_health") == []


@pytest.mark.parametrize("pack", MACHINES)
@pytest.mark.parametrize("name", SHIFTED)
def test_three_sigma_are_found_in_their_time(pack, name):
    staging = staged(name, machines=2, size=3, seed=32)
    alerts = raised(staging, pack)
    assert all(truth.found(alerts) for truth in truths(staging, "s", START))
    assert unfounded(staging, alerts) == []


@pytest.mark.parametrize("name", sorted({name for names in OWN.values() for name in names}))
def test_packs_find_the_faults_that_their_page_says(name):
    staging = staged(name, seed=35)
    (truth,) = truths(staging, "s", START)
    sent = series(staging)
    for pack in (pack for pack in OWN if name in OWN[pack]):
        alerts = run(load_rules(pack), sent)
        assert alerts, pack
        assert all(each.starts_at > truth.placed.onset_ms for each in alerts), pack


@pytest.mark.parametrize("pack", MACHINES)
@pytest.mark.parametrize("name", [*HARMLESS, "flapping"])
def test_what_is_no_fault_raises_nothing_and_what_flaps_raises_once(pack, name):
    staging = staged(name, seed=33)
    alerts = raised(staging, pack)
    assert all(truth.found(alerts) for truth in truths(staging, "s", START))
    assert unfounded(staging, alerts) == []


def test_a_device_that_does_not_tell_its_state_is_judged_by_the_rule_for_such():
    (truth,) = truths(staged("imbalance", seed=34), "s", START)
    silent = [each for each in series(staged("imbalance", seed=34)) if each.metric != "running"]
    by = {alert.rule for alert in run(load_rules("generic"), silent)}
    assert by == {"window_mean_anomaly"}
    assert truth.found(run(load_rules("generic"), silent))
    assert run(load_rules("rotating"), silent) == []


def test_every_pack_has_its_part_of_the_page_that_ships():
    page = PACKS.joinpath("README.md").read_text("utf-8")
    parts = {part.partition("\n")[0]: part for part in page.split("\n## ")[1:]}
    assert set(parts) == set(packs())
    assert all("**Not for**" in part for part in parts.values())
    assert all(f"| `{name}` |" in page for name in parts if name != "demo")


def test_check_says_under_which_state_a_rule_is_in_force():
    done = CliRunner().invoke(command, ["check", "generic"])
    assert done.exit_code == 0
    anomaly, shift, panes, _state = done.stdout.splitlines()
    assert anomaly.endswith("bytes a series; of devices without running")
    assert shift.endswith("bytes a series; while running >= 0.5 for 3h")
    assert panes == "panes: running 15m, * 15m"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bearing_wear", {"bearing_fails"}),
        ("clogged_filter", {"flow_fails"}),
        ("imbalance", set()),
        ("overheating", set()),
    ],
)
def test_what_came_first_and_what_came_with_it_tells_faults_apart(name, expected):
    staging = staged(name, machines=2, seed=35)
    alerts = [each for each in raised(staging, "pump_sequence") if each.metric == "*"]
    for truth in truths(staging, "s", START):
        assert truth.placed is not None
        own = [a for a in alerts if a.device_id == truth.device_id and a.event == "FIRED"]
        assert {each.rule for each in own} == expected
        assert all(truth.placed.onset_ms < each.starts_at <= truth.placed.worst_ms for each in own)


def test_what_a_sequence_is_made_of_comes_before_it():
    alerts = raised(staged("bearing_wear", seed=36), "pump_sequence")
    begun = [(each.rule, each.first_out) for each in alerts if each.event == "FIRED"]
    assert begun == [("shakes", True), ("heats_up", False), ("bearing_fails", False)]
    (found,) = [each for each in alerts if each.rule == "bearing_fails" and each.seq == 0]
    assert found.annotations["summary"].startswith(f"{found.device_id}: first it shook, ")
    by = {each.rule: each.starts_at for each in alerts if each.event == "FIRED"}
    assert found.value == (by["heats_up"] - by["shakes"]) / 1000
