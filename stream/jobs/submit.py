"""Submission of the jobs to a session cluster."""

from schemas.contracts import ContractName, contract_text
from schemas.registry import Registry
from schemas.topics import subject
from stream.jobs import alerts, lake, warehouse
from stream.jobs.decide import Ids
from stream.jobs.environment import client
from stream.jobs.settings import Cluster, Database, Tuning
from stream.pane_sizes import pane_sizes
from stream.rules import parse_rules


def submit_lake(name: str, cluster: Cluster, tuning: Tuning) -> str:
    """Submit the job that fills the lake under the name; return Flink's job id."""
    streams, t_env = client(name, cluster, tuning)
    lake.build(t_env, cluster, tuning).attach_as_datastream()
    return str(streams.execute_async(f"tidegate-{name}").get_job_id())


def submit_alerts(name: str, cluster: Cluster, tuning: Tuning, rules: str) -> str:
    """Submit the job that raises alerts under the name; return Flink's job id.

    Raises:
        BadConfig: the rules are wrong.
        RegistryDown: the registry does not answer, so nothing could be encoded.
    """
    panes = pane_sizes(parse_rules(rules))
    ids = _ids(cluster)
    streams, t_env = client(name, cluster, tuning)
    job = alerts.build(t_env, cluster, tuning, rules=rules, panes=panes, ids=ids)
    job.attach_as_datastream()
    return str(streams.execute_async(f"tidegate-{name}").get_job_id())


def submit_warehouse(name: str, cluster: Cluster, tuning: Tuning, database: Database) -> str:
    """Submit the job that fills the database under the name; return Flink's job id."""
    streams, t_env = client(name, cluster, tuning)
    warehouse.build(t_env, cluster, tuning, database).attach_as_datastream()
    return str(streams.execute_async(f"tidegate-{name}").get_job_id())


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
    )
