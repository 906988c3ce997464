"""`tidegate sinks`: the databases that windows, alerts and devices are written to."""

import json
import logging
import signal
import threading
from pathlib import Path

import click
from confluent_kafka import Consumer, Producer

from compose.indexing import GROUP, DeadLetters, Indexer
from compose.options import sinks_option, state_option
from compose.sinks import opensearch_of, postgres_of, sinks_file, topics_of
from gateway.assembly import registry as registry_of
from gateway.sections import producer_settings, security_settings
from schemas.contracts import contract_text
from schemas.failure import BadConfig
from schemas.topics import subject
from stream.sinks.opensearch import OpenSearch
from stream.sinks.postgres import migrate, migrations, waiting


@click.group()
def sinks() -> None:
    """Set up and fill the databases behind the topics: PostgreSQL, OpenSearch."""


@sinks.group()
def postgres() -> None:
    """The schema in PostgreSQL; the job `warehouse` fills it."""


@postgres.command("migrate")
@sinks_option
@state_option
def migrate_(sinks: Path | None, state: Path) -> None:
    """Make the tables, or bring them up to this version.

    Does nothing when they are.
    """
    section = postgres_of(sinks_file(sinks, state))
    shipped = migrations()
    done = migrate(section, shipped)
    for step in done:
        click.echo(f"applied {step.version:04} {step.name}")
    click.echo(f"schema {section.schema} is at version {len(shipped)}")


@postgres.command()
@sinks_option
@click.option("--json", "as_json", is_flag=True)
@state_option
def show(sinks: Path | None, state: Path, *, as_json: bool) -> None:
    """Show the schema's version and what is still to be applied."""
    section = postgres_of(sinks_file(sinks, state))
    shipped = migrations()
    missing = waiting(section, shipped)
    at = len(shipped) - len(missing)
    if as_json:
        about = {
            "schema": section.schema,
            "version": at,
            "newest": len(shipped),
            "pending": [step.name for step in missing],
        }
        click.echo(json.dumps(about))
        return
    click.echo(f"schema {section.schema} is at version {at} of {len(shipped)}")
    for step in missing:
        click.echo(f"pending {step.version:04} {step.name}")


@sinks.group()
def opensearch() -> None:
    """Windows and alerts as OpenSearch or Elasticsearch documents."""


@opensearch.command()
@sinks_option
@state_option
def setup(sinks: Path | None, state: Path) -> None:
    """Install the index templates.

    Indices made before keep their mapping.
    """
    for name in OpenSearch(opensearch_of(sinks_file(sinks, state))).set_up():
        click.echo(f"index template {name}: installed")


@opensearch.command()
@click.option("--once", is_flag=True, help="Stop at the topics' end.")
@click.option("--replay", is_flag=True, help="Begin with the oldest records, and overwrite.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON at the end.")
@sinks_option
@state_option
def run(sinks: Path | None, state: Path, *, once: bool, replay: bool, as_json: bool) -> None:
    """Index windows and alerts as they are committed, until SIGTERM.

    Several may run: they share the topics' partitions.
    """
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    indexer, consumer = _indexer(sinks_file(sinks, state), stop)
    indexer.subscribe(replay=replay)
    try:
        while not stop.is_set() and not (once and indexer.at_end):
            indexer.step()
    finally:
        consumer.close()
    counts = indexer.counts
    if as_json:
        click.echo(json.dumps(counts._asdict()))
    else:
        click.echo(", ".join(f"{count} {name}" for name, count in counts._asdict().items()))


def _indexer(path: Path, stop: threading.Event) -> tuple[Indexer, Consumer]:
    section, (kafka, registry_section) = opensearch_of(path), topics_of(path)
    cluster = OpenSearch(section)
    if missing := cluster.missing():
        raise BadConfig(
            f"OpenSearch at {section.url} lacks this version's index templates "
            f"{', '.join(missing)}; install them with: tidegate sinks opensearch setup"
        )
    registry = registry_of(registry_section)
    letters = f"{kafka.topic_prefix}dead-letters"
    schema_id = registry.register(subject(letters), contract_text("dead_letter"))
    consumer = Consumer(
        {
            **security_settings(kafka),
            **GROUP,
            "bootstrap.servers": kafka.bootstrap_servers,
            "group.id": f"{kafka.topic_prefix}opensearch",
        }
    )
    indexer = Indexer(
        consumer,
        cluster,
        registry,
        DeadLetters(Producer(producer_settings(kafka)), letters, schema_id),
        topic_prefix=kafka.topic_prefix,
        index_prefix=section.index_prefix,
        stop=stop,
    )
    return indexer, consumer
