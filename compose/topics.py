"""`tidegate topics`: the topics as the project wants them, on a real broker."""

import json
from typing import Any

import click
from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    NewTopic,
)

from compose.options import prefix_option
from schemas.failure import Failure, Unavailable
from schemas.topics import DEFAULT_PREFIX, TOPICS, Topic

_TIMEOUT_S = 10.0


_bootstrap = click.option(
    "--bootstrap", default="127.0.0.1:9092", show_default=True, metavar="HOST:PORT"
)


@click.group()
def topics() -> None:
    """Create and show the Kafka topics."""


@topics.command()
@_bootstrap
@prefix_option
@click.option("--partitions", type=click.IntRange(1, 10_000), default=4, show_default=True)
@click.option("--replication", type=click.IntRange(1, 10), default=1, show_default=True)
def apply(bootstrap: str, prefix: str, partitions: int, replication: int) -> None:
    """Create the topics that are missing, and set what they need.

    What exists keeps its partitions and gets the settings.
    """
    for line in apply_topics(bootstrap, prefix, partitions, replication):
        click.echo(line)


@topics.command()
@_bootstrap
@prefix_option
@click.option("--json", "as_json", is_flag=True)
def show(bootstrap: str, prefix: str, *, as_json: bool) -> None:
    """Show the topics with their partitions."""
    found = partitions_of(bootstrap, prefix)
    if as_json:
        click.echo(json.dumps(found))
        return
    for name, count in found.items():
        click.echo(f"{name:32} {'missing' if count is None else f'{count} partitions'}")


def apply_topics(
    bootstrap: str, prefix: str = DEFAULT_PREFIX, partitions: int = 4, replication: int = 1
) -> list[str]:
    """Make the topics exist with their settings; return one line for each.

    A topic's partition count is set once: keys would move between partitions if it grew.

    Raises:
        Unavailable: the broker does not answer.
        Failure: it refuses.
    """
    admin = _admin(bootstrap)
    existing = partitions_of(bootstrap, prefix)
    missing = [topic for topic in TOPICS if existing[prefix + topic.name] is None]
    new = [
        NewTopic(prefix + topic.name, partitions, replication, config=topic.config)
        for topic in missing
    ]
    created = admin.create_topics(new, operation_timeout=_TIMEOUT_S) if new else {}
    for name, future in created.items():
        _result(future, f"creating topic {name}")
    kept = [topic for topic in TOPICS if topic not in missing]
    _alter(admin, prefix, kept)
    return [f"{prefix}{topic.name}: created, {partitions} partitions" for topic in missing] + [
        f"{prefix}{topic.name}: exists, {existing[prefix + topic.name]} partitions"
        for topic in kept
    ]


def partitions_of(bootstrap: str, prefix: str = DEFAULT_PREFIX) -> dict[str, int | None]:
    """Return each topic's partition count, None where it is missing.

    Raises:
        Unavailable: the broker does not answer.
    """
    try:
        metadata = _admin(bootstrap).list_topics(timeout=_TIMEOUT_S)
    except KafkaException as error:
        raise Unavailable(f"Kafka at {bootstrap} does not answer: {error.args[0].str()}") from error
    counts = {name: len(topic.partitions) for name, topic in metadata.topics.items()}
    return {prefix + topic.name: counts.get(prefix + topic.name) for topic in TOPICS}


def _admin(bootstrap: str) -> AdminClient:
    # librdkafka prints every failed connection on stderr; the caller's error says it once.
    return AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})


def _alter(admin: AdminClient, prefix: str, kept: list[Topic]) -> None:
    resources = [
        ConfigResource(ConfigResource.Type.TOPIC, prefix + topic.name, set_config=topic.config)
        for topic in kept
    ]
    for resource, future in (admin.alter_configs(resources) if resources else {}).items():
        _result(future, f"setting up topic {resource.name}")


def _result(future: Any, doing: str) -> None:
    try:
        future.result(_TIMEOUT_S)
    except KafkaException as error:
        raise Failure(f"{doing}: {error.args[0].str()}") from error
