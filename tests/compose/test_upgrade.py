"""An upgrade step by step, with a cluster that is a list: what is on disk whoever is killed when."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyarrow import fs

from compose import starting, upgrade
from compose.intents import Named, read_intent
from compose.local.endpoints import Endpoints
from compose.starting import Choice, choice_of
from compose.submissions import Asked as Submission
from compose.submissions import remember
from compose.upgrade import Asked, Where
from schemas.failure import BadConfig, Failure, RetryLater, Unavailable
from stream.jobs.cluster import FlinkJob
from stream.jobs.fit import Kept, Place, misfits

WHO = Named("alerts")
OLD = Choice("alerts", "demo", "tidegate.", 2, 2000, 5000)
SAVEPOINT = "s3://lake/_flink/savepoints/old/savepoint-1"


class Killed(BaseException):
    """Stands for the end of the process: nothing of ours catches it."""


class Cluster:
    """Runs one job at a time and writes down what was asked of it."""

    def __init__(self) -> None:
        self.jobs = [FlinkJob("old", WHO.flink, "RUNNING", 0)]
        self.log: list[tuple[str, ...]] = []
        self.refuses: list[str] = []
        self.breaks: list[str] = []
        self.dies_at: str | None = None
        self.count = 0

    def step(self, *what: str) -> None:
        if what[0] == self.dies_at:
            raise Killed
        self.log.append(what)

    def live(self) -> list[FlinkJob]:
        return [job for job in self.jobs if job.live]

    def stop(self, url: str, job_id: str, folder: str) -> str:
        self.step("stop", job_id, folder)
        self.jobs = []
        return SAVEPOINT

    def cancel(self, url: str, job_id: str) -> None:
        self.step("cancel", job_id)
        self.jobs = []

    def settled(self, url: str, job_id: str, *, timeout_s: float) -> None:
        self.step("settle", job_id)
        if job_id in self.breaks:
            raise Failure(f"{job_id} fails")

    def prepare(self, state: Path, endpoints: Endpoints, who: Named, choice: Choice) -> Any:
        self.step("prepare", choice.rules)
        return SimpleNamespace(start=lambda start: self.start(choice, start))

    def start(self, choice: Choice, start: Any) -> None:
        self.step("start", choice.rules, start.restore_from, "keeps" if start.keeps else "claims")
        if self.refuses and self.refuses.pop(0):
            raise Failure("refused")
        self.jobs = [FlinkJob(start.job_id, WHO.flink, "RUNNING", 0)]
        if self.dies_at == "started":
            raise Killed


@pytest.fixture
def cluster(monkeypatch) -> Cluster:
    fake = Cluster()
    for name, value in {
        "live_job": lambda url, name: next(iter(fake.live()), None),
        "jobs": lambda url: fake.jobs,
        "stop": fake.stop,
        "cancel": fake.cancel,
        "await_ended": lambda url, job_id: fake.step("ended", job_id),
        "await_settled": fake.settled,
        "prepare": fake.prepare,
        "_check_state": lambda at, running, prepared: fake.step("fits?"),
        "_check_room": lambda at, before, after: fake.step("room?"),
        "lake_of": lambda endpoints: SimpleNamespace(files=None),
        "newest": lambda files, lake, ids, savepoints: SAVEPOINT,
    }.items():
        monkeypatch.setattr(upgrade, name, value)

    def new_job_id() -> str:
        fake.count += 1
        return f"new-{fake.count}"

    monkeypatch.setattr(starting, "new_job_id", new_job_id)
    return fake


@pytest.fixture
def at(tmp_path: Path) -> Where:
    remember(tmp_path, WHO, Submission("submit", OLD.argv()), "old")
    endpoints = Endpoints(*[""] * 6, lake_uri="s3://lake", flink_url="", console_url="", gateway_config="")  # fmt: skip
    return Where(tmp_path, endpoints, WHO, 1.0, lambda _: None)


def wanted(at: Where) -> tuple[Choice, bool, list[str]]:
    intent = read_intent(at.state, WHO.name)
    assert intent is not None
    return choice_of(intent.argv), intent.wanted, intent.job_ids


def test_the_new_version_starts_from_the_old_ones_savepoint(cluster: Cluster, at: Where) -> None:
    assert upgrade.upgrade(at, Asked(rules="generic", parallelism=4)) == "new-1"
    assert cluster.log == [
        ("prepare", "generic"),
        ("fits?",),
        ("room?",),
        ("stop", "old", "s3://lake/_flink/savepoints/old"),
        ("ended", "old"),
        ("start", "generic", SAVEPOINT, "keeps"),
        ("settle", "new-1"),
    ]
    choice, is_wanted, ids = wanted(at)
    assert (choice.rules, choice.parallelism, choice.lateness_ms) == ("generic", 4, 5000)
    assert (is_wanted, ids) == (True, ["old", "new-1"])


@pytest.mark.parametrize("check", ["prepare", "_check_state", "_check_room"])
def test_what_is_refused_leaves_the_old_job_alone(
    cluster: Cluster, at: Where, monkeypatch, check: str
) -> None:
    def refuse(*_: object) -> None:
        raise BadConfig("no")

    monkeypatch.setattr(upgrade, check, refuse)
    with pytest.raises(BadConfig):
        upgrade.upgrade(at, Asked(rules="generic"))
    assert not [each for each in cluster.log if each[0] in ("stop", "start", "cancel")]
    assert wanted(at) == (OLD, True, ["old"])


def test_a_new_version_that_does_not_run_gives_way_to_the_old(cluster: Cluster, at: Where) -> None:
    cluster.breaks = ["new-1"]
    with pytest.raises(Failure, match=r"former one runs again as new-2, from s3.*new-1 fails"):
        upgrade.upgrade(at, Asked(rules="generic"))
    assert cluster.log[-5:] == [
        ("cancel", "new-1"),
        ("ended", "new-1"),
        ("prepare", "demo"),
        ("start", "demo", SAVEPOINT, "keeps"),
        ("settle", "new-2"),
    ]
    assert wanted(at) == (OLD, True, ["old", "new-1", "new-2"])


def test_a_new_version_that_the_cluster_refuses_gives_way_too(cluster: Cluster, at: Where) -> None:
    cluster.refuses = ["yes", ""]
    with pytest.raises(Failure, match="former one runs again as new-2"):
        upgrade.upgrade(at, Asked(rules="generic"))
    assert not [each for each in cluster.log if each[0] == "cancel"]
    assert wanted(at) == (OLD, True, ["old", "new-1", "new-2"])


def test_when_the_old_one_does_not_run_either_both_causes_are_told(
    cluster: Cluster, at: Where
) -> None:
    cluster.breaks = ["new-1", "new-2"]
    with pytest.raises(Failure, match=r"new-1 fails.*does not either.*new-2 fails"):
        upgrade.upgrade(at, Asked(rules="generic"))
    assert wanted(at) == (OLD, True, ["old", "new-1", "new-2"])


@pytest.mark.parametrize(
    ("dies_at", "rules", "ids"),
    [
        ("stop", "demo", ["old"]),
        ("ended", "demo", ["old"]),
        ("start", "generic", ["old", "new-1"]),
        ("started", "generic", ["old", "new-1"]),
        ("settle", "generic", ["old", "new-1"]),
    ],
)
def test_killed_anywhere_it_leaves_a_wanted_job_whose_snapshots_are_all_known(
    cluster: Cluster, at: Where, dies_at: str, rules: str, ids: list[str]
) -> None:
    cluster.dies_at = dies_at
    with pytest.raises(Killed):
        upgrade.upgrade(at, Asked(rules="generic"))
    choice, is_wanted, known = wanted(at)
    assert (choice.rules, is_wanted, known) == (rules, True, ids)
    assert {job.job_id for job in cluster.live()} <= set(known)


def test_a_jobmanager_that_is_gone_is_no_broken_version(
    cluster: Cluster, at: Where, monkeypatch
) -> None:
    def gone(*_: object, **__: object) -> None:
        raise Unavailable("no answer")

    monkeypatch.setattr(upgrade, "await_settled", gone)
    with pytest.raises(Unavailable):
        upgrade.upgrade(at, Asked(rules="generic"))
    choice, is_wanted, _ = wanted(at)
    assert (choice.rules, is_wanted) == ("generic", True)


def test_a_job_that_does_not_run_is_not_upgraded(cluster: Cluster, at: Where) -> None:
    cluster.jobs = [FlinkJob("old", WHO.flink, "RESTARTING", 0)]
    with pytest.raises(RetryLater, match="RESTARTING"):
        upgrade.upgrade(at, Asked())
    cluster.jobs = []
    with pytest.raises(Failure, match="does not run"):
        upgrade.upgrade(at, Asked())


def test_a_job_of_statements_is_not_ours_to_upgrade(cluster: Cluster, at: Where) -> None:
    remember(at.state, WHO, Submission("sql", ["-e=INSERT"]), "old")
    with pytest.raises(BadConfig, match="jobs sql"):
        upgrade.upgrade(at, Asked())


def test_panes_shrink_with_an_upgrade_and_never_grow(
    cluster: Cluster, at: Where, tmp_path: Path
) -> None:
    def rules(slide: str) -> str:
        path = tmp_path / f"{slide}.yaml"
        severities = "[{level: WARNING, enter: 60}]"
        path.write_text(
            f"version: 1\nrules:\n  - name: a\n    match: {{metric: '*'}}\n"
            f"    window: {{size: 1h, slide: {slide}}}\n    aggregate: mean\n"
            f"    compare: {{op: '>=', to: value}}\n    severities: {severities}\n"
        )
        return str(path)

    quarter, five = OLD._replace(rules=rules("15m")), rules("5m")
    smaller = upgrade._changed(quarter, Asked(rules=five))
    assert smaller.panes is None
    larger = upgrade._changed(smaller, Asked(rules=quarter.rules))
    assert larger.panes == "*=300000"
    assert upgrade._changed(larger, Asked(lateness_ms=1)).panes == "*=300000"
    assert choice_of(larger.argv()) == larger


def test_state_fits_where_its_operator_is_with_the_same_key_groups() -> None:
    states = [Kept("1", "decide", 720, 2, 100), Kept("2", None, 720, 2, 50)]
    assert misfits(states, {"1": Place("decide", 720, 4), "2": Place("panes", 720, 4)}) == []
    assert misfits(states, {"1": Place("decide", 720, 4)}) == [
        "an operator (2) has 50 bytes of state, and is not in the new plan"
    ]
    (said,) = misfits(states[:1], {"1": Place("decide", 128, 2)})
    assert "720 groups" in said
    assert "128" in said
    (said,) = misfits([Kept("1", "decide", 4, 2, 100)], {"1": Place("decide", 4, 8)})
    assert "parallelism 8 is more than the 4 groups" in said


def test_a_snapshot_that_is_not_there_is_no_start_from_nothing(
    at: Where, tmp_path: Path, monkeypatch
) -> None:
    store = SimpleNamespace(files=fs.LocalFileSystem())
    monkeypatch.setattr(starting, "lake_of", lambda endpoints: store)
    with pytest.raises(Failure, match="no snapshot at s3://"):
        starting.check_snapshot(at.endpoints, WHO, f"s3://{tmp_path}/chk-7", None)  # type: ignore[arg-type]


def test_rules_are_kept_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    text = (
        "version: 1\nrules:\n  - name: a\n    match: {metric: x}\n    window: {size: 1m, slide: 1m}\n"
        "    aggregate: mean\n    compare: {op: '>=', to: value}\n"
        "    severities: [{level: WARNING, enter: 60}]\n"
    )
    path.write_text(text)
    kept = Path(starting.kept_rules(tmp_path, str(path)))
    path.write_text("rubbish")
    assert kept.read_text() == text
    assert starting.kept_rules(tmp_path, str(kept)) == str(kept)
    assert starting.kept_rules(tmp_path, "demo") == "demo"


def test_a_first_submission_that_is_refused_is_not_wanted(cluster: Cluster, tmp_path: Path) -> None:
    cluster.refuses = ["yes"]
    prepared = cluster.prepare(tmp_path, None, WHO, OLD)  # type: ignore[arg-type]
    with pytest.raises(Failure):
        starting.start(tmp_path, WHO, OLD, prepared, None)
    stored = json.loads((tmp_path / "jobs" / "alerts.json").read_text())
    assert (stored["wanted"], stored["job_ids"]) == (False, ["new-1"])


def test_what_brings_the_warehouse_back_names_its_file() -> None:
    chosen = OLD._replace(job="warehouse", sinks="/etc/tidegate/sinks.toml")
    assert choice_of(chosen.argv()) == chosen
