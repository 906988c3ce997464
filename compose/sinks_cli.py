"""`tidegate sinks`: the databases that windows, alerts and devices are written to."""

import json
from pathlib import Path

import click

from compose.options import sinks_option, state_option
from compose.sinks import sinks_file
from stream.sinks.config import postgres_of
from stream.sinks.postgres import migrate, migrations, waiting


@click.group()
def sinks() -> None:
    """Set up the databases behind the topics: PostgreSQL."""


@sinks.group()
def postgres() -> None:
    """The schema in PostgreSQL; the job `warehouse` fills it."""


@postgres.command("migrate")
@sinks_option
@state_option
def migrate_(sinks: Path | None, state: Path) -> None:
    """Make the tables, or bring them up to this version; does nothing when they are."""
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
    """Show the schema's version and what is still to be applied; changes nothing."""
    section = postgres_of(sinks_file(sinks, state))
    shipped = migrations()
    missing = waiting(section, shipped)
    if as_json:
        about = {
            "schema": section.schema,
            "version": len(shipped) - len(missing),
            "newest": len(shipped),
            "pending": [step.name for step in missing],
        }
        click.echo(json.dumps(about))
        return
    click.echo(
        f"schema {section.schema} at version {len(shipped) - len(missing)} of {len(shipped)}"
    )
    for step in missing:
        click.echo(f"pending {step.version:04} {step.name}")
