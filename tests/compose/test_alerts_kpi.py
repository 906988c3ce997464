"""`tidegate alerts kpi` on files: what it prints, and what it refuses."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from rule_builders import DAY, HOUR

from compose import alert_records
from compose.alerts_cli import alerts
from schemas.failure import Failure
from schemas.records import Alert

T0 = 20_000 * DAY  # 2024-10-04


def record(name: str, at: int, **over: Any) -> Alert:
    usual: dict[str, Any] = {
        "alert_id": f"{name}@{at}", "fingerprint": f"hot/{name}/heat", "seq": 0, "rule": "hot",
        "rule_version": 1, "category": "PROCESS", "event": "FIRED", "state": "FIRING",
        "severity": "WARNING", "asset_id": name, "device_id": name, "site": "north",
        "metric": "heat", "value": 9.0, "threshold_enter": 8.0, "threshold_exit": 8.0,
        "comparator": "value >=", "sample_count": 3, "peak_value": 9.0, "window_start": at - HOUR,
        "window_end": at, "condition_since": at, "starts_at": at, "last_true_at": at,
        "emitted_at": at,
    }  # fmt: skip
    return Alert(**usual | over)


FLOOD = [record(f"pump-{i:02}", T0 + i) for i in range(12)]
QUIET = [record("fan", T0 + 2 * DAY, site="south", severity="CRITICAL")]


def asked(*words: str, lines: str | None = None) -> Result:
    return CliRunner().invoke(alerts, ["kpi", *words], input=lines)


@pytest.fixture
def told(tmp_path: Path) -> str:
    path = tmp_path / "alerts.jsonl"
    path.write_bytes(b"\n".join(map(msgspec.json.encode, [*FLOOD, *QUIET])) + b"\n\n")
    return str(path)


def test_a_flood_is_told_with_its_time_and_misses_its_target(told):
    done = asked("--data", told)
    assert done.exit_code == 0, done.output
    assert "2024-10-04 00:00 to 2024-10-06 00:10 UTC: 13 alerts" in done.stdout
    lines = {line.split("  ")[0]: line.split() for line in done.stdout.splitlines() if line}
    assert lines["alerts in 10 minutes, most"][-4:] == ["at", "most", "10", "MISS"]
    assert lines["alerts a day"][-1] == "pass"
    assert "flood: 2024-10-04 00:00 to 2024-10-04 00:10, 12 alerts" in done.stdout
    assert "stands since 2024-10-04 00:00: hot/pump-00/heat" in done.stdout
    days = [line.split() for line in done.stdout.splitlines() if line.startswith("2024-10-04  ")]
    assert days == [["2024-10-04", "12", "12", "10", "0", "0"]]


def test_a_program_gets_the_same_as_one_object(told):
    answer = json.loads(asked("--data", told, "--site", "north", "--json").stdout)
    assert (answer["alerts"], answer["mix"]) == (12, {"WARNING": 12})
    assert answer["intervals"] == [{"start": T0, "alerts": 12}]
    assert answer["floods"] == [{"start": T0, "end": T0 + 600_000, "alerts": 12}]
    assert {each["name"]: each["ok"] for each in answer["checks"]}["peak_per_10_min"] is False
    assert answer["bad_actors"][0] == {
        "fingerprint": "hot/pump-00/heat",
        "alerts": 1,
        "share": 1 / 12,
    }
    assert len(answer["bad_actors"]) == 10


def test_how_soon_somebody_knew_is_told():
    fired = record("fan", T0)
    acked = record("fan", T0 + HOUR, seq=1, event="ACKED", starts_at=T0, acked_at=T0 + 90_000)
    lines = "\n".join(msgspec.json.encode(each).decode() for each in (fired, acked, *FLOOD))
    lines = lines.replace(fired.alert_id, "one").replace(acked.alert_id, "one")
    assert "acknowledged: 1 of 13, half within 1.5 min" in asked("--data", "-", lines=lines).stdout
    answer = json.loads(asked("--data", "-", "--json", lines=lines).stdout)
    assert (answer["acknowledged"], answer["median_ack_ms"]) == (1, 90_000)
    assert "acknowledged" not in asked("--data", "-", lines=lines.splitlines()[0]).stdout


def test_a_period_can_be_chosen_and_a_quiet_one_is_measured(told):
    answer = json.loads(
        asked(
            "--data", told, "--from", "2024-10-04T12:00Z", "--to", "2024-10-05T12:00Z", "--json"
        ).stdout
    )
    assert (answer["alerts"], len(answer["standing"])) == (0, 12)


def test_what_rules_test_prints_will_do(tmp_path):
    lines = json.dumps({"alerts": msgspec.to_builtins(FLOOD), "scores": {}})
    assert "12 alerts" in asked("--data", "-", lines=lines).stdout


def test_without_a_file_the_topic_is_read_to_its_end(monkeypatch):
    asked_for: list[object] = []
    message = SimpleNamespace(value=lambda: msgspec.json.encode(FLOOD[0]))

    def follow(bootstrap: str, topic: str, *, until_end: bool) -> Iterator[list[SimpleNamespace]]:
        asked_for.extend((bootstrap, topic, until_end))
        yield from ([], [message], [message])

    stack = SimpleNamespace(kafka_bootstrap="b:1", registry_url="http://r")
    monkeypatch.setattr(alert_records, "read", lambda state: stack)
    monkeypatch.setattr(alert_records, "follow", follow)
    monkeypatch.setattr(
        alert_records, "decoder", lambda kind, registry: msgspec.json.Decoder(kind).decode
    )
    done = asked("--prefix", "p.", "--json")
    assert json.loads(done.stdout)["alerts"] == 1
    assert asked_for == ["b:1", "p.alerts", True]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("{}\nrubbish\n", r"-:1: expected alert records, .*missing required field"),
        ("\nrubbish\n", r"-:2: expected alert records, .*malformed"),
        ("[1]", r"-:1: expected alert records, .*got `array`"),
        ('{"alerts": 1}', r"-:1: expected alert records, .*got `int`"),
        ("", "there is no alert record"),
    ],
)
def test_rubbish_is_refused_with_its_line(lines, said):
    done = asked("--data", "-", lines=lines)
    assert isinstance(done.exception, Failure)
    with pytest.raises(Failure, match=said):
        raise done.exception


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--site", "nroth"], "no alert is of site 'nroth'; there are: north, south"),
        (["--from", "2025-01-01"], "the period is empty"),
        (["--to", "soon"], "'soon' is no time"),
    ],
)
def test_what_cannot_be_measured_is_a_mistake_of_use(told, words, said):
    done = asked("--data", told, *words)
    assert (done.exit_code, said in done.stderr) == (2, True)


@pytest.mark.parametrize("at", ["99999999999999999", "2026-02-30", "-5"])
def test_a_time_that_does_not_exist_is_a_usage_error(told, at):
    done = asked("--data", told, f"--from={at}")
    assert done.exit_code == 2, done.exception
    assert f"{at!r} is no time" in done.stderr


def test_a_record_of_no_year_is_listed_all_the_same(tmp_path):
    path = tmp_path / "alerts.jsonl"
    path.write_bytes(msgspec.json.encode(record("fan", 99_999_999_999_999_999)))
    done = CliRunner().invoke(alerts, ["list", "--data", str(path)])
    assert done.exit_code == 0, done.exception
    assert "99999999999999999 ms" in done.stdout
