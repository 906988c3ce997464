"""`tidegate alerts explain`: an alert of a replay, told from its records and its readings."""

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from rule_builders import MINUTE

from compose.alerts_cli import alerts
from schemas.failure import Failure
from schemas.records import Alert
from stream.backtest import read_series, run
from stream.rules import load_rules

RULES = """
version: 1
rules:
  - name: hot
    match: {metric: heat}
    window: {size: 30m, slide: 15m}
    aggregate: mean
    compare: {op: ">=", to: value}
    severities:
      - {level: WARNING, enter: 10, exit: 8, for: 15m, keep_firing_for: 1h}
      - {level: CRITICAL, enter: 20}
    annotations: {summary: "{{device_id}} is hot"}
"""
VALUES = [5, 5, 5, 5, 13, 15, 17, 30, 30, 30, 5, 5, 5, 5, 5, 5, 5, 5]
QUARTER = 15 * MINUTE


class Told:
    """A file of readings, the rules, and the records they gave."""

    def __init__(self, folder: Path) -> None:
        self.rules, self.readings = folder / "r.yaml", folder / "pump.csv"
        self.records = folder / "alerts.jsonl"
        self.rules.write_text(RULES)
        rows = [f"{i * QUARTER},{x}" for i, x in enumerate(VALUES)]
        self.readings.write_text("timestamp,heat\n" + "\n".join(rows))
        self.alerts = run(load_rules(str(self.rules)), read_series(self.readings))
        self.keep(*reversed(self.alerts))

    @property
    def name(self) -> str:
        return self.alerts[0].alert_id

    def keep(self, *records: Alert) -> None:
        self.records.write_bytes(b"\n".join(map(msgspec.json.encode, records)))

    def explain(self, *words: str, name: str | None = None) -> Result:
        asked = ["explain", name or self.name, "--data", str(self.records), *words]
        return CliRunner().invoke(alerts, asked)


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)


def test_the_records_are_told_in_order_with_limits_and_delays(told):
    assert [each.event for each in told.alerts] == ["FIRED", "ESCALATED", "DEESCALATED", "RESOLVED"]
    done = told.explain()
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[:3] == [
        f"Alert {told.name}",
        "hot (version 1, PROCESS) on pump heat, site offline",
        "summary: pump is hot",
    ]
    assert lines[4] == "1970-01-01 01:30  the condition became true"
    assert lines[5:9] == [
        "1970-01-01 01:45  FIRED WARNING",
        "                  value 16 of 2 readings from 1970-01-01 01:15 to 1970-01-01 01:45",
        "                  compared: value >= 10 enters, 8 leaves",
        "                  15m after the condition became true",
    ]
    times = [line[:40] for line in lines if line.startswith("1970")]
    assert times[2] == "1970-01-01 02:00  ESCALATED WARNING to C"
    assert "RESOLVED WARNING (reason VALUE)" in lines[-7] + lines[-6] + lines[-5] + lines[-4]
    assert lines[-1].startswith("It lasted ")
    assert "at its worst 30" in done.stdout


def test_six_characters_of_an_id_are_enough_and_fewer_are_not(told):
    assert told.explain(name=told.name[:6]).stdout == told.explain().stdout
    refused(
        told.explain(name=told.name[:5]), "too short for an alert's id; give at least its first 6"
    )
    refused(told.explain(name="nobody"), "no alert has this id among 4 records; the newest are")


def test_the_newest_alerts_are_those_of_the_latest_event_time(told):
    older = [
        msgspec.structs.replace(told.alerts[0], alert_id=f"older-{i}", emitted_at=i)
        for i in range(3)
    ]
    told.keep(*told.alerts, *older)
    refused(told.explain(name="nobody"), f"the newest are {told.name}, older-2, older-1")


def test_an_id_that_begins_two_alerts_is_refused(told):
    other = msgspec.structs.replace(told.alerts[0], alert_id=told.name[:8] + "-other")
    told.keep(told.alerts[0], other)
    refused(told.explain(name=told.name[:8]), "begins the ids of 2 alerts")


def test_the_readings_that_led_to_it_are_shown_and_no_later_ones(told):
    done = told.explain("--readings", str(told.readings))
    table = done.stdout.partition("The readings that led to it, ")[2].splitlines()
    assert table[0] == "1970-01-01 01:00 to 1970-01-01 01:45 UTC:"
    assert [line.split()[:6] for line in table[3:]] == [
        ["1970-01-01", f"01:{15 * i:02}", "1", str(x), str(x), str(x)]
        for i, x in enumerate([13, 15, 17])
    ]
    assert [line.endswith("in the window that fired") for line in table[3:]] == [False, True, True]


def test_its_rule_is_replayed_to_show_what_it_compared(told):
    done = told.explain("--readings", str(told.readings), "--rules", str(told.rules))
    assert (
        "hot now: mean over 30m every 15m, value: WARNING >= 10 for 15m, CRITICAL >= 20"
        in done.stdout
    )
    assert (
        "WARNING true since 1970-01-01 01:30, 15m are needed; mean 14 (WARNING >= 10" in done.stdout
    )
    assert "FIRED WARNING: mean 16 (WARNING >= 10, CRITICAL >= 20)" in done.stdout


def test_a_rule_that_compares_nothing_of_that_time_says_so(told):
    told.rules.write_text(RULES.replace("    window:", "    when: {absent: heat}\n    window:"))
    done = told.explain("--readings", str(told.readings), "--rules", str(told.rules))
    assert done.stdout.endswith(
        "it compares nothing of that time; `tidegate rules why-not` says why\n"
    )


def test_a_program_gets_records_panes_and_windows(told):
    words = ["--readings", str(told.readings), "--rules", str(told.rules), "--json"]
    answer = json.loads(told.explain(*words).stdout)
    assert [each["event"] for each in answer["records"]] == [a.event for a in told.alerts]
    assert [each["mean"] for each in answer["panes"]] == [13, 15, 17]
    assert "FIRED" in [each["event"] for each in answer["windows"]]
    assert answer["windows"][-1]["event"] == "RESOLVED"


def test_readings_of_another_time_or_rules_of_another_name_are_refused(told):
    told.readings.write_text("timestamp,heat\n1,1\n")
    refused(told.explain("--readings", str(told.readings)), "no reading lies between")
    told.rules.write_text(RULES.replace("name: hot", "name: warm"))
    words = ["--readings", str(told.readings), "--rules", str(told.rules)]
    refused(told.explain(*words), "the readings hold none of pump heat")
    assert told.explain("--rules", "generic").exit_code == 2


def test_rules_that_do_not_have_the_alert_s_rule_are_refused(told):
    words = ["--readings", str(told.readings), "--rules", "generic"]
    refused(told.explain(*words), "generic: has no rule 'hot', which raised the alert")


def test_an_alert_that_is_not_over_says_so(told):
    told.keep(*told.alerts[:2])
    assert told.explain().stdout.endswith("It is FIRING with CRITICAL as of its newest record.\n")


def refused(done: Result, said: str) -> None:
    with pytest.raises(Failure, match=said):
        raise done.exception  # type: ignore[misc]


def test_an_alert_of_a_rule_over_rules_is_told_without_readings_and_refused_with_them(told):
    above = "  - {name: often, votes: {of: [hot], k: 1}, severities: [{level: CRITICAL}]}\n"
    told.rules.write_text(RULES + above)
    told.alerts = run(load_rules(str(told.rules)), read_series(told.readings))
    told.keep(*told.alerts)
    (name,) = {each.alert_id for each in told.alerts if each.rule == "often"}
    done = told.explain(name=name)
    assert done.exit_code == 0
    assert "often (version 1, MULTI) on pump *, site offline" in done.stdout
    refused = told.explain("--readings", str(told.readings), name=name)
    assert isinstance(refused.exception, Failure)
    assert "often looks at alerts of pump, not at readings" in str(refused.exception)
