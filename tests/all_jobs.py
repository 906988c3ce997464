"""All jobs and all sinks on one stack, as one run: topics, tables, indices and a site of its own."""

import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from e2e_rig import cancel, prepare, records, submit
from sink_rig import asked, beside, sound_records
from stack_fixture import RunningStack, eventually

from compose.caught_up import await_jobs
from compose.consumed import committed
from compose.intents import named
from compose.lake_cli import lake_of
from compose.local.state import published
from compose.processes import command, end, start
from compose.sinks import postgres_of
from gateway.follow import ends
from schemas.failure import Failure
from schemas.records import Alert, DeadLetter, Reading, WindowFeatures
from stream.archived import ARCHIVED
from stream.jobs.cluster import call, live_job
from stream.lake import connect
from stream.lake_tables import TABLES
from stream.sinks.postgres import connected

PARTITIONS = 4
# As many instances as the stack has slots for: each job runs beside the others.
JOBS = {
    "lake": ("--parallelism=2", "--checkpoint-interval=3s"),
    "alerts": ("--parallelism=2",),
    "warehouse": ("--parallelism=2", "--checkpoint-interval=3s"),
    "archive": ("--parallelism=1", "--checkpoint-interval=3s"),
}


class Run(NamedTuple):
    """One run; ``name`` is its prefix, its site, its schema in PostgreSQL and its indices' prefix."""

    stack: RunningStack
    name: str
    sinks: Path

    @property
    def prefix(self) -> str:
        """Return what stands before its topics."""
        return f"{self.name}."

    def topic(self, name: str) -> str:
        return self.prefix + name

    @property
    def flink(self) -> str:
        return self.stack.endpoints.flink_url

    @property
    def kafka(self) -> str:
        return self.stack.endpoints.kafka_bootstrap


@contextmanager
def all_jobs(stack: RunningStack, name: str, folder: Path, rules: str) -> Iterator[Run]:
    """Set every sink up and run every job of these rules, and the indexer, until the block ends."""
    text = beside(stack, "postgres", "opensearch")
    run = Run(stack, name, folder / f"{name}.toml")
    text = text.replace("[postgres]", f'[postgres]\nschema = "{name}"')
    text = text.replace('"tidegate."', f'"{run.prefix}"') + f'index_prefix = "{name}-"\n'
    run.sinks.write_text(text)
    prepare(stack.endpoints, run.prefix, PARTITIONS)
    for words in (("postgres", "migrate"), ("opensearch", "setup")):
        made = stack.tidegate("sinks", *words, f"--sinks={run.sinks}")
        assert made.returncode == 0, made.stderr
    rule_file = folder / "rules.yaml"
    rule_file.write_text(rules)
    told = {"alerts": (f"--rules={rule_file}",), "warehouse": (f"--sinks={run.sinks}",)}
    for job, words in JOBS.items():
        submit(stack, job, run.prefix, *words, *told.get(job, ()))
    indexer = start(
        command("sinks", "opensearch", "run", f"--sinks={run.sinks}"), folder / f"{name}.log"
    )
    try:
        yield run
        assert end(indexer) == 0, (folder / f"{name}.log").read_text()
    finally:
        _stop(indexer)
        for job in JOBS:
            cancel(stack, job, run.prefix)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        end(process)


def paced(readings: Iterable[Reading], per_s: int) -> Iterator[Reading]:
    """Yield readings no faster than a rate."""
    clock, begun = threading.Event(), time.monotonic()
    for number, reading in enumerate(readings):
        if number % 500 == 0:
            clock.wait(max(0.0, begun + number / per_s - time.monotonic()))
        yield reading


def await_checkpoints(run: Run, seconds: float) -> float:
    """Wait until each job has completed a checkpoint that begins from now on; return how long it took.

    Args:
        run: whose jobs.
        seconds: the most that it may take.
    """
    began, since_ms = time.monotonic(), time.time_ns() // 1_000_000
    behind = set(JOBS)

    def all_have() -> bool:
        behind.difference_update([job for job in behind if _completed_ms(run, job) >= since_ms])
        return not behind

    try:
        eventually("every job completes a checkpoint", all_have, seconds)
    except AssertionError as error:
        state = published(run.stack.layout)
        raise AssertionError(f"{error}; not {sorted(behind)}; the stack: {state}") from error
    return time.monotonic() - began


def _completed_ms(run: Run, job: str) -> int:
    """Return when the job's newest complete checkpoint began, in epoch ms; 0 for none."""
    try:
        live = live_job(run.flink, named(job, run.prefix).flink)
        if live is None:
            return 0
        latest = call(run.flink, f"/jobs/{live.job_id}/checkpoints")["latest"]["completed"]
    except Failure:
        return 0  # the JobManager is away, or knows the job no more
    return int(latest["trigger_timestamp"]) if latest else 0


class Out(NamedTuple):
    """What a run has put onto its topics, in the order of each partition, without its site."""

    windows: list[WindowFeatures]
    alerts: list[Alert]
    late: list[Reading]


def await_out(run: Run, seconds: float) -> Out:
    """Wait until all that was read has come out of every sink; return what is on the topics."""
    last = ends(run.kafka, run.topic("readings"))

    def all_read() -> bool:
        group = f"{run.prefix}alerts"
        return committed(run.kafka, group, run.topic("readings"), sorted(last)) == last

    eventually("all readings are read", all_read, seconds)
    await_jobs(run.stack.endpoints, run.prefix, int(seconds * 1000))
    out = Out(
        sound_records(run.stack.endpoints, run.topic("windows"), WindowFeatures),
        sound_records(run.stack.endpoints, run.topic("alerts"), Alert),
        records(run.stack.endpoints, run.topic("late"), Reading),
    )
    assert records(run.stack.endpoints, run.topic("dead-letters"), DeadLetter) == []
    found: dict[str, dict[str, int]] = {}
    expected = _expected(out)

    def all_there() -> bool:
        found.update(
            postgres=in_postgres(run), opensearch=in_opensearch(run), archive=in_archive(run)
        )
        return found == expected

    try:
        eventually("every sink has as much as the topics", all_there, seconds)
    except AssertionError as error:
        raise AssertionError(f"{error}: {found}, expected {expected}") from error
    return out


def _expected(out: Out) -> dict[str, dict[str, int]]:
    """Return how much each sink is to have: of equal keys one, in the archive's files all."""
    written = {"windows": len(out.windows), "alerts": len(out.alerts)}
    once = {
        table.name: len({tuple(getattr(each, name) for name in table.key) for each in found})
        for table, found in zip(ARCHIVED, (out.windows, out.alerts), strict=True)
    }
    return {"postgres": once, "opensearch": once, "archive": written}


def in_postgres(run: Run) -> dict[str, int]:
    """Return how many rows each table has."""
    with connected(postgres_of(run.sinks)) as connection:
        return {
            table.name: int(str(row[0]))
            for table in ARCHIVED
            for row in connection.execute(f"SELECT count(*) FROM {table.name}").fetchall()
        }


def in_opensearch(run: Run) -> dict[str, int]:
    """Return how many documents each kind has."""
    asked(run.sinks, "POST", f"/{run.name}-*/_refresh")
    return {
        table.name: asked(run.sinks, "GET", f"/{run.name}-{table.name}-*/_count")["count"]
        for table in ARCHIVED
    }


def in_archive(run: Run) -> dict[str, int]:
    """Return how many rows the lake's files of windows and alerts hold."""
    counts = {}
    lake = lake_of(run.stack.endpoints)
    for table in TABLES[1:]:
        try:
            with connect(lake, run.name, [table]) as connection:
                row = connection.execute(f"SELECT count(*) FROM {table.name}_raw").fetchone()
        except Failure:
            row = None  # no file yet
        counts[table.name] = int(row[0]) if row else 0
    return counts
