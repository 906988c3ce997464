"""Which alerts Kafka gave up, when a submission looks for them, and what is then to be done."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from pyarrow import fs
from sink_rig import alert

from compose import given_up
from compose.given_up import Written, lost_with, missing, repair, told
from compose.starting import Choice
from schemas.failure import Unavailable
from schemas.records import Alert

NOW_S = 1_700_000_000
CHOICE = Choice("alerts", "demo", "plant.", 2, 1_500, 5_000)
MINUTE_S = 60


def written(offset: int, record: Alert) -> Written:
    return Written((0, offset), offset * 10, record)


def test_what_is_committed_is_not_missing_nor_what_is_new() -> None:
    records = [written(0, alert(1)), written(1, alert(2)), written(2, alert(3))]
    assert missing(records, {(0, 0)}, upto_ms=10) == [alert(2)]


def test_of_each_alert_the_newest_is_missing() -> None:
    records = [written(0, alert(1)), written(1, alert(1, 1))]
    assert missing(records, set(), upto_ms=99) == [alert(1, 1)]
    assert missing(records, {(0, 0)}, upto_ms=99) == [alert(1, 1)]


def test_an_aborted_attempt_whose_record_came_after_all_is_not_missing() -> None:
    before = [written(0, alert(1)), written(1, alert(1))]
    assert missing(before, {(0, 1)}, upto_ms=99) == []
    assert missing(before, {(0, 0)}, upto_ms=99) == []


def test_an_alert_that_has_gone_on_or_was_corrected_is_known_as_it_stands() -> None:
    records = [written(0, alert(1)), written(1, alert(1, 1))]
    assert missing(records, {(0, 1)}, upto_ms=99) == []
    # On another partition: who repairs it need not choose as the job does.
    corrected = Written((1, 0), 10, alert(1, 0, event="CORRECTED"))
    assert missing([records[0], corrected], {(1, 0)}, upto_ms=99) == []


def test_the_command_covers_the_windows_to_the_minute() -> None:
    first = alert(1, window_start=NOW_S * 1000 + 1, window_end=NOW_S * 1000 + 60_000)
    last = alert(2, window_start=NOW_S * 1000 + 60_000, window_end=NOW_S * 1000 + 120_001)
    assert repair([last, first], "plant.") == (
        "tidegate jobs backfill --prefix=plant. "
        "--from=2023-11-14T22:13:00Z --to=2023-11-14T22:16:00Z"
    )
    assert "--prefix" not in repair([first], "tidegate.")


def test_the_alerts_are_named_and_many_are_counted() -> None:
    said = told([alert(number, device_id=f"pump-{number}") for number in range(5)], "plant.")
    assert said.startswith("5 alerts missing on plant.alerts")
    assert "pump-0" in said
    assert "pump-3" not in said
    assert "2 more" in said
    assert said.endswith(repair([alert(number) for number in range(5)], "plant."))


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lake on disk, and a topic on which an alert of before the snapshot is missing."""
    snapshot = tmp_path / "chk-7" / "_metadata"
    snapshot.parent.mkdir()
    snapshot.write_bytes(b"state")
    os.utime(snapshot, (NOW_S, NOW_S))

    def found(endpoints: object, prefix: str, upto_ms: int) -> list[Alert]:
        assert (prefix, upto_ms) == ("plant.", NOW_S * 1000)
        return [alert(1)]

    files = SimpleNamespace(files=fs.LocalFileSystem())
    monkeypatch.setattr(given_up, "lake_of", lambda endpoints: files)
    monkeypatch.setattr(given_up, "given_up", found)
    return tmp_path


def seen(monkeypatch: pytest.MonkeyPatch, uri: str, age_s: float, choice: Choice = CHOICE) -> str:
    now_ns = round((NOW_S + age_s) * 1e9)
    monkeypatch.setattr(given_up, "time", SimpleNamespace(time_ns=lambda: now_ns))
    return lost_with(None, choice, uri) or ""  # type: ignore[arg-type]


def test_a_job_that_was_down_for_longer_than_the_timeout_is_told_the_command(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"s3://{lake}/chk-7"
    assert seen(monkeypatch, uri, 14 * MINUTE_S) == ""
    assert repair([alert(1)], "plant.") in seen(monkeypatch, uri, 15 * MINUTE_S)
    # A transaction is begun with the checkpoint before.
    assert seen(monkeypatch, uri, 15 * MINUTE_S - 1) != ""
    hours = CHOICE._replace(transaction_timeout_ms=7_200_000)
    assert seen(monkeypatch, uri, 119 * MINUTE_S, hours) == ""
    assert seen(monkeypatch, uri, 121 * MINUTE_S, hours) != ""


def test_nothing_is_said_of_other_jobs_other_stores_and_snapshots_that_are_gone(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = 24 * 60 * MINUTE_S
    assert seen(monkeypatch, f"s3://{lake}/chk-7", day, CHOICE._replace(job="lake")) == ""
    assert seen(monkeypatch, f"file://{lake}/chk-7", day) == ""
    assert seen(monkeypatch, f"s3://{lake}/chk-6", day) == ""


def test_brokers_that_are_away_keep_no_job_from_coming_back(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> list[Alert]:
        raise Unavailable("Kafka at x does not answer")

    monkeypatch.setattr(given_up, "given_up", away)
    said = seen(monkeypatch, f"s3://{lake}/chk-7", 24 * 60 * MINUTE_S)
    assert said.endswith("cannot be seen: Kafka at x does not answer")
