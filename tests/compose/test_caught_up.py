"""What has to have come out before it can be compared: a topic as far back as asked, both jobs."""

from collections.abc import Iterator
from typing import NamedTuple

import pytest

import compose.caught_up
import compose.told
from compose.caught_up import await_jobs
from compose.local.endpoints import Endpoints
from compose.told import listen
from schemas.failure import RetryLater
from stream.jobs.cluster import FlinkJob

HERE = Endpoints(*(["x"] * 10))


class Sent(NamedTuple):
    """What is looked at in a record."""

    number: int
    place: int = 0
    at_ms: int = 0

    def offset(self) -> int:
        return self.number

    def partition(self) -> int:
        return self.place

    def timestamp(self) -> tuple[int, int]:
        return 2, self.at_ms


@pytest.mark.parametrize(
    ("records", "whole"),
    [
        ([Sent(0, at_ms=900), Sent(1, at_ms=901)], True),
        # The first ones are gone, but of the time that is asked for all are there.
        ([Sent(7, at_ms=500), Sent(8, at_ms=900)], True),
        ([Sent(7, at_ms=501), Sent(8, at_ms=900)], False),
        ([Sent(0, at_ms=900), Sent(7, 1, at_ms=900)], False),
        ([], True),
    ],
)
def test_a_topic_that_has_lost_what_is_asked_for_is_noticed(monkeypatch, records, whole):
    def follow(*_: object, **__: object) -> Iterator[list[Sent]]:
        yield records[:1]
        yield records[1:]

    monkeypatch.setattr(compose.told, "follow", follow)
    taken: list[object] = []
    assert listen("kafka", "windows", taken.append, 500) is whole
    assert taken == records


class Jobs:
    """A lake job and an alerts job; each look at the lake's takes it as far as ``done`` says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, done: list[int], running: set[str]) -> None:
        self.done = done
        self.checkpoints = 5
        self.running = running
        monkeypatch.setattr(compose.caught_up, "_POLL_S", 0)
        monkeypatch.setattr(compose.caught_up, "ends", lambda *_: {0: 100})
        monkeypatch.setattr(compose.caught_up, "committed", lambda *_: {0: self.read()})
        monkeypatch.setattr(compose.caught_up, "live_job", self.job)
        monkeypatch.setattr(compose.caught_up, "completed_checkpoints", self.checkpoint)

    def read(self) -> int:
        return self.done.pop(0) if len(self.done) > 1 else self.done[0]

    def job(self, _url: str, name: str) -> FlinkJob | None:
        return FlinkJob(name, name, "RUNNING", 0) if name in self.running else None

    def checkpoint(self, _url: str, _job: str) -> int:
        self.checkpoints += 1
        return self.checkpoints


BOTH = {"tidegate-x-lake", "tidegate-x-alerts"}


def test_it_waits_for_the_lake_and_then_for_two_checkpoints_of_each(monkeypatch):
    jobs = Jobs(monkeypatch, [10, 40, 100], BOTH)
    await_jobs(HERE, "x.", 10_000)
    assert jobs.done == [100]
    assert jobs.checkpoints >= 9


def test_jobs_that_do_not_run_have_nothing_on_their_way(monkeypatch):
    jobs = Jobs(monkeypatch, [100], set())
    await_jobs(HERE, "x.", 0)
    assert jobs.checkpoints == 5


def test_a_lake_that_nobody_fills_is_not_waited_for(monkeypatch):
    Jobs(monkeypatch, [60], {"tidegate-x-alerts"})
    with pytest.raises(RetryLater, match=r"does not run, and 40 records of x\.readings"):
        await_jobs(HERE, "x.", 1_000_000)


def test_a_lake_that_stays_behind_is_for_later(monkeypatch):
    Jobs(monkeypatch, [60], BOTH)
    with pytest.raises(RetryLater, match="the lake job has still to read 40 records"):
        await_jobs(HERE, "x.", 20)
