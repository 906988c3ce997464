"""The shipped packs on machines that are well and machines that are not; seeds of their own."""

from collections import defaultdict
from collections.abc import Iterable

import pytest
from click.testing import CliRunner

from schemas.records import Alert
from simulators.clock import parse_time
from simulators.scenario import SCENARIOS
from simulators.stage import staged_messages
from simulators.staging import Staging, staged, truths
from stream.backtest import Series, run
from stream.rules import load_rules
from stream.rules_cli import rules as command

START = parse_time("2026-01-05")
SHIFTED = [name for name, each in SCENARIOS.items() if each.kind or each.effect == "drift"]
HARMLESS = [name for name, each in SCENARIOS.items() if each.faulty and not each.expected]
MACHINES = ("generic", "rotating")
OF_SENSORS = [
    name
    for name, each in SCENARIOS.items()
    if any("SENSOR_HEALTH" in due.categories for due in each.expected)
]


def series(staging: Staging) -> list[Series]:
    found: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
    for message in staged_messages("s", start_ms=START, staging=staging):
        for metric, value in message.values:
            found[message.device_id, metric].append((message.ts_ms, value))
    return [Series(*of, sorted(points)) for of, points in found.items()]


def raised(staging: Staging, pack: str) -> list[Alert]:
    return run(load_rules(pack), series(staging))


def unfounded(staging: Staging, alerts: Iterable[Alert]) -> list[Alert]:
    every = list(alerts)
    return [each for truth in truths(staging, "s", START) for each in truth.unfounded(every)]


@pytest.mark.parametrize("pack", MACHINES)
def test_healthy_machines_that_start_and_stop_raise_nothing(pack):
    # 100 machine-days; what thousands of them gave is in stream/README.md.
    staging = staged("healthy", machines=5, days=20, seed=31)
    assert unfounded(staging, raised(staging, pack)) == []


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


def test_check_says_under_which_state_a_rule_is_in_force():
    done = CliRunner().invoke(command, ["check", "generic"])
    assert done.exit_code == 0
    anomaly, shift, panes = done.stdout.splitlines()
    assert anomaly.endswith("bytes a series; of devices without running")
    assert shift.endswith("bytes a series; while running >= 0.5 for 10800 s")
    assert panes == "panes: running=900000,*=900000"
