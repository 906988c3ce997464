"""`tidegate jobs backfill`: what bad input gets, which rules it takes, what it prints."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import compose.backfill_cli
from compose.backfill_books import Books, Request
from compose.backfill_cli import backfill_
from compose.intents import Intent, write_intent
from compose.options import Time
from schemas.failure import Failure, Unavailable
from stream.rules import load_rules

PERIOD = ("--from=2026-01-31T06:00Z", "--to=2026-01-31T09:00+01:00")
START = 1_769_839_200_000
BOOKS = Books(
    run_in_from="2026-01-30T00:00:00Z",
    run_in_why="windows and delays need it",
    devices=2,
    readings=240,
    run_in_readings=720,
    panes=64,
    windows={"changed": 3, "new": 1, "withdrawn": 0, "unchanged": 20, "ahead": 2},
    alerts={"corrected": 1, "new": 0, "withdrawn": 0, "unchanged": 1, "open": 1, "left": 0},
    sent=5,
    short_baselines=[f"a.pump-{n} temperature (odd)" for n in range(7)],
    aged_out=["tidegate.windows"],
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """No stack: what would be asked of it is noted, and the answer is always the same."""
    found: list[Request] = []

    def answer(_endpoints: object, request: Request) -> Books:
        found.append(request)
        return BOOKS

    monkeypatch.setattr(compose.backfill_cli, "read", lambda state: None)
    monkeypatch.setattr(compose.backfill_cli, "backfill", answer)
    return found


def run(tmp_path: Path, *words: str) -> Result:
    return CliRunner().invoke(backfill_, [*words, f"--state={tmp_path}"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--to=2026-01-31",), "Missing option '--from'"),
        (
            ("--from=yesterday", "--to=2026-01-31"),
            "'yesterday' is no time up to the year 9999; expected ISO 8601",
        ),
        (("--from=2026-01-32", "--to=2026-02-01"), "'2026-01-32' is no time"),
        (("--from=-5", "--to=2026-02-01"), "'-5' is no time"),
        (("--from=2026-01-31T06:00Z", "--to=2026-01-31T07:00+01:00"), "the period is empty"),
        (
            ("--from=2026-02-01", "--to=2026-01-31"),
            "--from 2026-02-01T00:00:00Z is not before --to 2026-01-31T00:00:00Z",
        ),
        (("--from=0", "--to=99999999999999999"), "'99999999999999999' is no time up to the year"),
        ((*PERIOD, "--run-in=long"), "--run-in"),
    ],
)
def test_rubbish_is_a_usage_error_that_says_what_is_wrong(tmp_path, asked, words, told):
    result = run(tmp_path, *words)
    assert result.exit_code == 2
    assert told in result.output
    assert asked == []


def test_without_a_stack_it_says_so(tmp_path):
    result = run(tmp_path, *PERIOD)
    assert isinstance(result.exception, Unavailable)


def test_wrong_rules_are_refused_before_anything_is_asked(tmp_path, asked):
    result = run(tmp_path, *PERIOD, "--rules=no-such-pack")
    assert getattr(result.exception, "exit_code", None) == 78
    assert asked == []


def test_the_rules_are_those_of_the_job_unless_said(tmp_path, asked):
    run(tmp_path, *PERIOD)
    assert (asked[-1].rules, asked[-1].panes) == (load_rules("generic"), None)
    argv = ["alerts", "--rules=demo", "--prefix=other.", "--panes=*=60000"]
    write_intent(tmp_path, Intent(name="other-alerts", argv=argv, wanted=True))
    run(tmp_path, *PERIOD, "--prefix=other.")
    assert asked[-1].rules == load_rules("demo") != load_rules("generic")
    assert asked[-1].panes == "*=60000"
    run(tmp_path, *PERIOD, "--prefix=other.", "--rules=generic")
    assert asked[-1].rules == load_rules("generic")


def test_the_period_is_asked_for_in_utc(tmp_path, asked):
    run(tmp_path, *PERIOD, "--device=a.pump", "--site=a", "--run-in=2h", "--dry-run")
    request = asked[0]
    assert (request.from_ms, request.to_ms) == (START, START + 2 * 3_600_000)
    assert (request.device, request.site, request.dry_run) == ("a.pump", "a", True)
    assert request.run_in_ms == 2 * 3_600_000
    assert Time().convert(str(START), None, None) == START


def test_a_person_reads_what_was_done_and_what_was_not(tmp_path, asked):
    gone = "no longer goes back to the period: what it has lost counts as new"
    some = ", ".join(f"a.pump-{n} temperature (odd)" for n in range(5))
    cut = f"so that what they raise may differ: {some} and 2 more"
    assert run(tmp_path, *PERIOD).output.splitlines() == [
        "period    2026-01-31T06:00:00Z to 2026-01-31T08:00:00Z",
        "run-in    from 2026-01-30T00:00:00Z: windows and delays need it",
        "read      2 devices, 240 readings of the period and 720 before it, 64 panes",
        "windows   3 changed, 1 new, 0 withdrawn, 20 unchanged",
        "alerts    1 corrected, 0 new, 0 withdrawn, 1 unchanged",
        "sent      5 records",
        "note      windows that the job has still to give out: 2",
        "note      alerts that differ and are not over; run this again when they are: 1",
        f"note      baselines that reach further back than the run-in, {cut}",
        f"note      tidegate.windows {gone}",
    ]
    dry = run(tmp_path, *PERIOD, "--dry-run").output.splitlines()
    assert dry[5] == "would be  5 records sent; this is a dry run"


def test_a_program_reads_one_object(tmp_path, asked):
    found = json.loads(run(tmp_path, *PERIOD, "--json").output)
    assert found["from"] == "2026-01-31T06:00:00Z"
    assert found["windows"]["changed"] == 3
    assert found["sent"] == 5
    assert found["dry_run"] is False


def test_devices_left_as_they_are_are_a_failure(tmp_path, asked, monkeypatch):
    left = Books(devices=3, left=["a.pump: the lake holds fewer readings than the job counted …"])
    monkeypatch.setattr(compose.backfill_cli, "backfill", lambda endpoints, request: left)
    result = run(tmp_path, *PERIOD)
    assert isinstance(result.exception, Failure)
    assert "left as they are, 1 of 3 devices: a.pump: " in str(result.exception)
