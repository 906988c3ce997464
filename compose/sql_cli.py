"""`tidegate jobs sql` and `tidegate jobs plan`: your own SQL, and what our own jobs are made of."""

import json
import os
from pathlib import Path
from typing import Any

import click

from compose.local.flink import BRIEF_CLIENT
from compose.options import Duration, prefix_option, state_option
from compose.planning import flink_ready, stack_or_none, usual_endpoints
from compose.sql_run import Request, job_of, run
from compose.submissions import cluster_of
from stream.jobs.settings import Tuning
from stream.rules import rules_text
from stream.sql_files import Source, examples, read_sql

# An interval in SQL has two digits of days.
_LONGEST_DELAY_MS = 99 * 86_400_000
_parallelism = click.option(
    "--parallelism", type=click.IntRange(1, 720), default=2, show_default=True
)


def _list_examples(context: click.Context, _option: click.Parameter, asked: bool) -> None:
    if asked:
        for name, answers in examples().items():
            click.echo(f"{name:24} {answers}")
        context.exit()


@click.command()
@click.argument("file", required=False)
@click.option("-e", "text", metavar="SQL", help="The statements themselves, instead of a file.")
@click.option("--follow", is_flag=True, help="A query does not stop at the end of the topics.")
@click.option("--limit", type=click.IntRange(1), help="Stop each query after so many rows.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option(
    "--delay",
    "delay_ms",
    type=Duration(),
    default="5s",
    show_default=True,
    help="How far a stream's watermark stays behind the newest event time.",
)
@click.option("--name", help="Of the job that inserts; the file's name unless said.")
@click.option("--keep", is_flag=True, help="Bring that job back if the JobManager forgets it.")
@click.option(
    "--from",
    "restore",
    default="latest",
    show_default=True,
    metavar="latest|none|URI",
    help="That job goes on from its newest checkpoint or savepoint, from nothing, or from this.",
)
@click.option(
    "--checkpoint-interval",
    "checkpoint_interval_ms",
    type=Duration(),
    default="10s",
    show_default=True,
    help="Of that job.",
)
@click.option(
    "--examples",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_examples,
    help="List the examples that ship.",
)
@_parallelism
@prefix_option
@state_option
def sql(file: str | None, text: str | None, **options: Any) -> None:
    """Run Flink SQL over the project's tables.

    FILE is a file, the name of an example, or - for standard input. SHOW TABLES lists the tables.

    A query runs within this command and answers from what is there now. All INSERTs together
    become one job on the cluster. EXPLAIN needs no stack. ${KAFKA_BOOTSTRAP} and the other names
    of `tidegate local env` stand for their values.
    """
    if (file is None) == (text is None):
        raise click.UsageError("give a FILE or -e SQL, one of the two")
    if options["delay_ms"] > _LONGEST_DELAY_MS:
        raise click.UsageError("--delay: 99 days are the most")
    source = read_sql(file) if file is not None else Source("-e", text or "", job_of(text or ""))
    run(Request(source=source, **options))


@click.command()
@click.argument("name", type=click.Choice(("lake", "alerts", "warehouse", "archive")))
@click.option("--rules", default="generic", show_default=True, help="A rule file or a pack's name.")
@_parallelism
@prefix_option
@click.option("--json", "as_json", is_flag=True, help="With all that the planner says of each.")
@state_option
def plan(
    name: str, rules: str, parallelism: int, prefix: str, state: Path, *, as_json: bool
) -> None:
    """Show the operators of one of our jobs; needs no stack."""
    text = rules_text(rules)
    endpoints = stack_or_none(state)
    os.environ.update(BRIEF_CLIENT)
    with flink_ready(state, endpoints):
        from stream.jobs.plan import operators  # noqa: PLC0415 - starts PyFlink

        cluster = cluster_of(endpoints or usual_endpoints(state), prefix)
        found = operators(name, cluster, Tuning(parallelism=parallelism), text)
    if as_json:
        click.echo(json.dumps([each._asdict() for each in found]))
        return
    for each in found:
        inputs = ", ".join(f"{one.operator} {one.spread.lower()}" for one in each.inputs)
        click.echo(f"{each.number:4}  x{each.parallelism}  {each.name}")
        if inputs:
            click.echo(f"{'':10}from {inputs}")
