"""The demo: from simulated sensors to alerts and a Parquet lake, counted end to end."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from confluent_kafka import Message

from compose.consumed import committed
from compose.lake_cli import lake_of
from compose.local.endpoints import Endpoints
from compose.tally import AlertTally, ReadingTally, dead_letters_of
from gateway.follow import ends, follow
from schemas.failure import Failure
from schemas.records import Alert
from schemas.topics import DEFAULT_PREFIX
from stream.jobs.cluster import completed_checkpoints, live_job
from stream.lake import size
from stream.lake_compaction import compact
from stream.lake_tables import READINGS as LAKE_READINGS

READINGS = f"{DEFAULT_PREFIX}readings"
_POLL_S = 0.5
_SETTLED_CHECKPOINTS = 2


class Ledger(NamedTuple):
    """The run in numbers; scripts rely on the fields."""

    published: int
    readings: int
    distinct: int
    lake_rows: int
    lake_distinct: int
    alerts: int
    dead_letters: int
    first_alert_s: float | None

    @property
    def balanced(self) -> bool:
        """Say whether every reading is in the lake once, and an alert came."""
        counts = {self.published, self.distinct, self.lake_distinct, self.lake_rows}
        return len(counts) == 1 and self.alerts > 0


@dataclass
class Watch:
    """What has come out of the path so far; one thread a topic adds to it."""

    readings: ReadingTally
    alerts: AlertTally
    dead_letters: int = 0
    failures: list[BaseException] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)


@contextmanager
def watching(endpoints: Endpoints, site: str, on_alert: Callable[[Alert], None]) -> Iterator[Watch]:
    """Count a site's readings, alerts and dead letters from now on, beside whatever else runs."""
    watch = Watch(
        ReadingTally(endpoints.registry_url, site),
        AlertTally(endpoints.registry_url, site, on_alert),
    )
    count = dead_letters_of(endpoints.registry_url, site)

    def add_dead_letters(batch: list[Message]) -> None:
        watch.dead_letters += count(batch)

    adds = {
        "readings": watch.readings.add,
        "alerts": watch.alerts.add,
        "dead-letters": add_dead_letters,
    }
    threads = [
        threading.Thread(target=_keep_adding, args=(endpoints, watch, topic, add), name=topic)
        for topic, add in adds.items()
    ]
    for thread in threads:
        thread.start()
    try:
        yield watch
    finally:
        watch.over.set()
        for thread in threads:
            thread.join()


def _keep_adding(
    endpoints: Endpoints, watch: Watch, name: str, add: Callable[[list[Message]], None]
) -> None:
    topic = f"{DEFAULT_PREFIX}{name}"
    try:
        start = ends(endpoints.kafka_bootstrap, topic)
        for batch in follow(endpoints.kafka_bootstrap, topic, start=start):
            if batch:
                add(batch)
            if watch.over.is_set():
                return
    # This is the thread's top: whatever ended it is raised again where the run is waited for.
    except Exception as error:  # noqa: BLE001
        watch.failures.append(error)


def wait_for(what: str, done: Callable[[], bool], watch: Watch, until: float) -> None:
    """Wait until it is done.

    Raises:
        Failure: the time is over.
    """
    while not done():
        if watch.failures:
            raise watch.failures[0]
        if time.monotonic() > until:
            raise Failure(f"gave up waiting for {what}: the run's time is over")
        time.sleep(_POLL_S)


def settle(endpoints: Endpoints, site: str, published: int, watch: Watch, until: float) -> None:
    """Wait until all that was published has gone through: Kafka, both jobs, the lake.

    Raises:
        Failure: the time is over; the message says what was waited for.
    """
    wait_for(
        "the published readings on Kafka",
        lambda: watch.readings.distinct >= published,
        watch,
        until,
    )
    last = ends(endpoints.kafka_bootstrap, READINGS)
    for name in ("alerts", "lake"):
        group = f"{DEFAULT_PREFIX}{name}"
        wait_for(
            f"the job {name} to read all",
            lambda group=group: _has_read(endpoints, group, last),  # type: ignore[misc]
            watch,
            until,
        )
    lake = lake_of(endpoints)
    wait_for("the lake's files", lambda: size(lake, site).distinct >= published, watch, until)
    # Its files may be touched once two more checkpoints have completed: a restore commits the
    # newest one's again.
    job = live_job(endpoints.flink_url, "tidegate-lake")
    if job is None:
        raise Failure("the lake job does not run any more; `tidegate jobs list` shows it")
    settled = completed_checkpoints(endpoints.flink_url, job.job_id) + _SETTLED_CHECKPOINTS
    wait_for(
        "two checkpoints of the lake job",
        lambda: completed_checkpoints(endpoints.flink_url, job.job_id) >= settled,
        watch,
        until,
    )
    compact(lake, site=site, tables=(LAKE_READINGS,), min_age_s=0, grace_s=0)


def _has_read(endpoints: Endpoints, group: str, last: dict[int, int]) -> bool:
    done = committed(endpoints.kafka_bootstrap, group, READINGS, sorted(last))
    return all(done[partition] >= offset for partition, offset in last.items())


def ledger(
    endpoints: Endpoints, site: str, published: int, watch: Watch, first_alert_s: float | None
) -> Ledger:
    """Return the run in numbers."""
    lake = size(lake_of(endpoints), site)
    return Ledger(
        published=published,
        readings=watch.readings.rows,
        distinct=watch.readings.distinct,
        lake_rows=lake.rows,
        lake_distinct=lake.distinct,
        alerts=watch.alerts.alerts,
        dead_letters=watch.dead_letters,
        first_alert_s=first_alert_s,
    )
