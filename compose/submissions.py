"""What every submission has in common: where to, from which snapshot, and what is remembered."""

import sys
from pathlib import Path
from typing import NamedTuple

from compose.intents import Intent, Named, read_intent, write_intent
from compose.lake_cli import lake_of
from compose.local.endpoints import Endpoints
from schemas.failure import BadConfig
from schemas.topics import DEFAULT_PREFIX
from stream.jobs.checkpoints import newest
from stream.jobs.settings import Cluster


class Asked(NamedTuple):
    """The command `tidegate jobs VERB ARGV…` that submits a job, and whether it is to run on."""

    verb: str
    argv: list[str]
    wanted: bool = True


def argument(argv: list[str], option: str) -> str | None:
    """Return the value of ``--option=value`` in a remembered command."""
    start = f"--{option}="
    return next((word.removeprefix(start) for word in argv if word.startswith(start)), None)


def kind_of(name: str, intent: Intent | None) -> str:
    """Return which job it is: lake, alerts, warehouse, archive or sql."""
    if intent is not None:
        return "sql" if intent.verb == "sql" else intent.argv[0]
    tail = name.rpartition("-")[2]
    return tail if tail in ("lake", "alerts", "warehouse", "archive") else "sql"


def prefix_of(name: str, intent: Intent | None) -> str:
    """Return the prefix of the topics that a job is on."""
    if intent is not None and (said := argument(intent.argv, "prefix")) is not None:
        return said
    before = name.removesuffix(kind_of(name, intent)).rstrip("-")
    before = before if kind_of(name, intent) != "sql" else name.rpartition("-sql-")[0]
    return f"{before}." if before and before != "sql" else DEFAULT_PREFIX


def cluster_of(endpoints: Endpoints, prefix: str = DEFAULT_PREFIX) -> Cluster:
    """Return the local stack as a job sees it."""
    return Cluster(
        flink_url=endpoints.flink_url,
        kafka_bootstrap=endpoints.kafka_bootstrap,
        registry_url=endpoints.registry_url,
        lake_uri=endpoints.lake_uri,
        topic_prefix=prefix,
        python=sys.executable,
    )


def snapshot(state: Path, endpoints: Endpoints, who: Named, restore: str) -> str | None:
    """Return what a job goes on from: the snapshot named, the newest there is, or None.

    Raises:
        BadConfig: ``restore`` is neither latest nor none nor a URI.
    """
    if restore == "none":
        return None
    if restore != "latest":
        if "://" not in restore:
            raise BadConfig(
                f"--from {restore}: expected latest, none, or a URI such as s3://…/chk-7"
            )
        return restore
    intent = read_intent(state, who.name)
    if intent is None:
        return None
    return newest(lake_of(endpoints).files, endpoints.lake_uri, intent.job_ids, intent.savepoints)


def remember(state: Path, who: Named, asked: Asked, job_id: str) -> None:
    """Write down that a job was submitted, and how."""
    before = read_intent(state, who.name)
    write_intent(
        state,
        Intent(
            name=who.name,
            verb=asked.verb,
            argv=asked.argv,
            wanted=asked.wanted,
            job_ids=[*(before.job_ids if before else []), job_id],
            savepoints=before.savepoints if before else [],
        ),
    )
