"""What a job of ours is made of, told without a cluster: its operators as Flink would run them."""

import json
from typing import NamedTuple

from stream.jobs import alerts, archive, lake, warehouse
from stream.jobs.decide import Ids
from stream.jobs.environment import client
from stream.jobs.known import Given
from stream.jobs.settings import Cluster, Database, Tuning
from stream.pane_sizes import pane_sizes
from stream.rules import parse_rules

# Only records carry schema ids: a plan is the same with any.
_NO_IDS = Ids(
    alerts=0, windows=0, late=0, dead_letters=0, readings=0, rules=0, devices=0, commands=0
)
# … and with any database.
_NO_DATABASE = Database("jdbc:postgresql://127.0.0.1/none", "none", "none")


class Input(NamedTuple):
    """Which operator's rows come in, and how they are spread over the parallel instances."""

    operator: int
    spread: str


class Operator(NamedTuple):
    """One operator; ``does`` is what the planner has written on it."""

    number: int
    name: str
    parallelism: int
    inputs: list[Input]
    does: str


def operators(job: str, cluster: Cluster, tuning: Tuning, rules: str) -> list[Operator]:
    """Return the operators of a job of ours, sources first.

    Raises:
        BadConfig: the rules are wrong.
    """
    streams, t_env = client(job, cluster, tuning)
    if job == "lake":
        inserts = lake.build(t_env, cluster, tuning)
    elif job == "archive":
        inserts = archive.build(t_env, cluster, tuning)
    elif job == "warehouse":
        inserts = warehouse.build(t_env, cluster, tuning, _NO_DATABASE)
    else:
        given = Given(rules, 0, pane_sizes(parse_rules(rules)))
        inserts = alerts.build(t_env, cluster, tuning, given=given, ids=_NO_IDS)
    inserts.attach_as_datastream()
    return [_operator(node) for node in json.loads(streams.get_execution_plan())["nodes"]]


def _operator(node: dict[str, object]) -> Operator:
    before = node.get("predecessors", [])
    assert isinstance(before, list)
    return Operator(
        int(str(node["id"])),
        str(node["type"]),
        int(str(node["parallelism"])),
        [Input(int(each["id"]), str(each["ship_strategy"])) for each in before],
        str(node["contents"]),
    )
