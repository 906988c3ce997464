import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from stack_fixture import eventually

from compose.intents import Intent
from compose.local import resume
from compose.local.layout import Layout
from compose.local.resume import Resumption, forgotten, submission
from schemas.failure import Unavailable
from stream.jobs.cluster import FlinkJob


def intent(name: str, *, wanted: bool = True) -> Intent:
    return Intent(name=name, argv=[name, "--parallelism=2"], wanted=wanted)


def write(layout: Layout, one: Intent) -> None:
    folder = layout.root / "jobs"
    folder.mkdir(exist_ok=True)
    (folder / f"{one.name}.json").write_text(
        json.dumps({"name": one.name, "argv": one.argv, "wanted": one.wanted})
    )


class Cluster:
    """Lists jobs; a submission is a file that appears in its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.down, self.refusals = folder, False, 0
        self.asked: list[str] = []

    def jobs(self, url: str) -> list[FlinkJob]:
        self.asked.append(url)
        if self.down:
            raise Unavailable("no answer")
        return [
            FlinkJob("1", f"tidegate-{file.stem}", "RUNNING", 0)
            for file in self.folder.glob("*.up")
        ]

    def submission(self, one: Intent) -> list[str]:
        if self.refusals > 0:
            self.refusals -= 1
            return [sys.executable, "-c", "import sys; sys.exit('the rules are gone')"]
        script = f"import os; assert os.environ['TIDEGATE__LOCAL__STATE']; open({str(self.folder / (one.name + '.up'))!r}, 'w')"
        return [sys.executable, "-c", script]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path)


@pytest.fixture
def cluster(layout: Layout, monkeypatch) -> Cluster:
    fake = Cluster(layout.root)
    monkeypatch.setattr(resume, "jobs", fake.jobs)
    monkeypatch.setattr(resume, "submission", fake.submission)
    return fake


def run(resumption: Resumption) -> None:
    clock = iter(range(0, 100_000, 10))
    with ThreadPoolExecutor(1) as pool:

        def done() -> bool:
            resumption.step(float(next(clock)), pool)
            return not resumption.names and resumption._process is None

        eventually("all jobs are back", done, 20)


def test_wanted_jobs_that_the_cluster_does_not_list_are_forgotten() -> None:
    wanted = [intent("lake"), intent("alerts"), intent("old", wanted=False)]
    assert forgotten(wanted, {"tidegate-lake", "lake"}) == [intent("alerts")]


def test_a_job_is_submitted_again_from_its_newest_checkpoint() -> None:
    assert submission(intent("lake"))[-6:] == [
        "jobs",
        "submit",
        "lake",
        "--parallelism=2",
        "--from",
        "latest",
    ]


def test_all_wanted_jobs_come_back_and_no_other(layout: Layout, cluster: Cluster) -> None:
    for one in (intent("lake"), intent("alerts"), intent("old", wanted=False)):
        write(layout, one)
    resumption = Resumption(layout, "http://flink", "mark")
    resumption.begin()
    assert sorted(resumption.names) == ["alerts", "lake"]
    run(resumption)
    assert sorted(file.name for file in layout.root.glob("*.up")) == ["alerts.up", "lake.up"]
    assert set(cluster.asked) == {"http://flink"}


def test_a_job_that_runs_is_not_submitted(layout: Layout, cluster: Cluster) -> None:
    write(layout, intent("lake"))
    (layout.root / "lake.up").touch()
    cluster.refusals = 1
    resumption = Resumption(layout, "http://flink", "mark")
    resumption.begin()
    run(resumption)
    assert cluster.refusals == 1


def test_a_refused_submission_is_tried_again_and_says_why(layout: Layout, cluster: Cluster) -> None:
    write(layout, intent("lake"))
    cluster.refusals = 2
    resumption = Resumption(layout, "http://flink", "mark")
    resumption.begin()
    reasons = set()
    clock = iter(range(0, 100_000, 10))
    with ThreadPoolExecutor(1) as pool:

        def done() -> bool:
            resumption.step(float(next(clock)), pool)
            reasons.add(resumption.why)
            return not resumption.names

        eventually("the job is back", done, 20)
    assert reasons == {"", "the rules are gone"}


def test_a_cluster_that_does_not_answer_is_asked_again(layout: Layout, cluster: Cluster) -> None:
    write(layout, intent("lake"))
    cluster.down = True
    resumption = Resumption(layout, "http://flink", "mark")
    resumption.begin()
    with ThreadPoolExecutor(1) as pool:
        eventually(
            "the reason is known",
            lambda: resumption.step(0.0, pool) or resumption.why == "no answer",
            10,
        )
        resumption.step(0.0, pool)
        assert resumption._looking is None  # not before the pause is over
    cluster.down = False
    run(resumption)
    assert (layout.root / "lake.up").exists()


def test_nothing_wanted_is_nothing_to_do(layout: Layout, cluster: Cluster) -> None:
    resumption = Resumption(layout, "http://flink", "mark")
    resumption.begin()
    run(resumption)
    assert cluster.asked == []


def test_a_damaged_intent_does_not_stop_the_supervisor(layout: Layout, cluster: Cluster) -> None:
    write(layout, intent("lake"))
    (layout.root / "jobs" / "lake.json").write_text("{")
    resumption = Resumption(layout, "http://flink", "mark")
    resumption.begin()
    assert "damaged" in resumption.why
    run(resumption)
