from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from compose import jobs_cli
from compose.intents import Intent, read_intent, write_intent
from compose.jobs_cli import cancel_
from compose.schemas_cli import schemas
from compose.status_cli import status
from stream.jobs.cluster import FlinkJob


@pytest.fixture
def cluster(monkeypatch) -> list[FlinkJob]:
    live: list[FlinkJob] = []
    monkeypatch.setattr(jobs_cli, "read", lambda state: SimpleNamespace(flink_url="http://flink"))
    monkeypatch.setattr(jobs_cli, "live_job", lambda url, name: next(iter(live), None))
    monkeypatch.setattr(jobs_cli, "cancel", lambda url, job_id: live.clear())
    return live


@pytest.mark.parametrize("runs", [True, False])
def test_a_job_that_is_cancelled_is_not_wanted_whether_or_not_it_runs(
    cluster: list[FlinkJob], tmp_path: Path, *, runs: bool
) -> None:
    write_intent(tmp_path, Intent(name="lake", argv=["lake"], wanted=True))
    if runs:
        cluster.append(FlinkJob("j", "tidegate-lake", "RUNNING", 0))
    done = CliRunner().invoke(cancel_, ["lake", f"--state={tmp_path}"])
    assert done.exit_code == 0, done.output
    assert ("cancelled" if runs else "nobody will bring it back") in done.output
    intent = read_intent(tmp_path, "lake")
    assert intent is not None
    assert not intent.wanted
    assert cluster == []
    # A second time there is nothing to do, and that is said.
    again = CliRunner().invoke(cancel_, ["lake", f"--state={tmp_path}"])
    assert again.exit_code != 0


def test_a_registry_is_named_by_a_url():
    done = CliRunner().invoke(schemas, ["check", "--registry=127.0.0.1:8080"])
    assert done.exit_code == 2, done.exception
    assert "is no URL; expected http://HOST:PORT/PATH" in done.stderr


def test_nan_is_no_interval_to_watch_at(tmp_path: Path):
    done = CliRunner().invoke(status, ["--watch", "--every=nan", f"--state={tmp_path}"])
    assert done.exit_code == 2, done.exception
