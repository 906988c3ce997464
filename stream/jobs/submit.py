"""The jobs, planned and then started on a session cluster."""

import uuid
from collections.abc import Callable
from typing import NamedTuple

from py4j.protocol import Py4JJavaError
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.util.exceptions import JavaException

from schemas.contracts import ContractName, contract_text
from schemas.failure import Failure
from schemas.registry import Registry
from schemas.topics import subject
from stream.jobs import alerts, archive, lake, warehouse
from stream.jobs.decide import Ids
from stream.jobs.environment import Client, client, start_configuration
from stream.jobs.known import Given
from stream.jobs.settings import Cluster, Database, Start, Tuning
from stream.pane_sizes import no_larger, pane_sizes
from stream.rules import parse_rules
from stream.sql_refusal import first_line, messages_of

Opener = Callable[[str, Cluster, Tuning], Client]
"""Makes the environment of a job of that name."""


class Prepared(NamedTuple):
    """A job that plans, and that nobody runs yet."""

    name: str
    streams: StreamExecutionEnvironment

    def start(self, start: Start) -> str:
        """Submit it, once; return Flink's job id, which is the one asked for.

        Raises:
            Failure: the cluster does not take it.
        """
        self.streams.configure(start_configuration(start))
        try:
            job = self.streams.execute_async(f"tidegate-{self.name}")
        except (Py4JJavaError, JavaException) as error:
            why = first_line(messages_of(str(error))[::-1])
            raise Failure(f"{self.name}: the cluster does not take the job: {why}") from error
        return str(job.get_job_id())

    def run(self) -> None:
        """Hand it to the cluster that runs this program."""
        self.streams.execute(f"tidegate-{self.name}")


def prepare_lake(
    name: str, cluster: Cluster, tuning: Tuning, *, opened: Opener = client
) -> Prepared:
    """Plan the job that fills the lake."""
    streams, t_env = opened(name, cluster, tuning)
    lake.build(t_env, cluster, tuning).attach_as_datastream()
    return Prepared(name, streams)


def prepare_archive(
    name: str, cluster: Cluster, tuning: Tuning, *, opened: Opener = client
) -> Prepared:
    """Plan the job that puts windows and alerts into the lake."""
    streams, t_env = opened(name, cluster, tuning)
    archive.build(t_env, cluster, tuning).attach_as_datastream()
    return Prepared(name, streams)


def prepare_alerts(
    name: str,
    cluster: Cluster,
    tuning: Tuning,
    rules: str,
    panes: str | None = None,
    after: int = 0,
    *,
    opened: Opener = client,
) -> Prepared:
    """Plan the job that raises alerts.

    Args:
        name: the job's.
        cluster: where it runs, reads and writes.
        tuning: what the operator chose.
        rules: the rule file's text.
        panes: sizes that its panes may not exceed.
        after: the version up to which pushed sets do not count beside ``rules``.
        opened: makes its environment.

    Raises:
        BadConfig: the rules are wrong.
        RegistryDown: the registry does not answer, so nothing could be encoded.
    """
    sizes = pane_sizes(parse_rules(rules))
    sizes = sizes if panes is None else no_larger(sizes, panes)
    ids = _ids(cluster)
    streams, t_env = opened(name, cluster, tuning)
    job = alerts.build(t_env, cluster, tuning, given=Given(rules, after, sizes), ids=ids)
    job.attach_as_datastream()
    return Prepared(name, streams)


def prepare_warehouse(name: str, cluster: Cluster, tuning: Tuning, database: Database) -> Prepared:
    """Plan the job that fills the database."""
    streams, t_env = client(name, cluster, tuning)
    warehouse.build(t_env, cluster, tuning, database).attach_as_datastream()
    return Prepared(name, streams)


def submit_lake(name: str, cluster: Cluster, tuning: Tuning) -> str:
    """Plan and start the job that fills the lake; return Flink's job id."""
    return prepare_lake(name, cluster, tuning).start(Start(uuid.uuid4().hex, tuning.restore_from))


def submit_alerts(name: str, cluster: Cluster, tuning: Tuning, rules: str) -> str:
    """Plan and start the job that raises alerts; return Flink's job id. See prepare_alerts."""
    prepared = prepare_alerts(name, cluster, tuning, rules)
    return prepared.start(Start(uuid.uuid4().hex, tuning.restore_from))


def _ids(cluster: Cluster) -> Ids:
    registry = Registry(cluster.registry_url)

    def written(topic: str, contract: ContractName) -> int:
        return registry.register(subject(cluster.topic(topic)), contract_text(contract))

    return Ids(
        alerts=written("alerts", "alert"),
        windows=written("windows", "window_features"),
        late=written("late", "reading"),
        dead_letters=written("dead-letters", "dead_letter"),
        readings=written("readings", "reading"),
        rules=written("rules", "rule_set"),
        devices=written("devices", "device"),
        commands=written("alert-commands", "alert_command"),
    )
