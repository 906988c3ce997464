"""`tidegate jobs upgrade`."""

from pathlib import Path

import click

from compose.backends import BACKENDS, Backend
from compose.intents import named
from compose.local.endpoints import read
from compose.options import Duration, prefix_option, state_option
from compose.rule_topic import newest_version
from compose.starting import JOBS, kept_rules
from compose.upgrade import Asked, Where, upgrade


@click.command("upgrade")
@click.argument("name", type=click.Choice(JOBS))
@click.option(
    "--rules",
    help="A rule file or a pack's name, in place of what was pushed so far; the same unless said.",
)
@click.option("--parallelism", type=click.IntRange(1, 720), help="The same unless said.")
@click.option("--checkpoint-interval", type=Duration(), help="The same unless said.")
@click.option("--lateness", type=Duration(), help="The same unless said.")
@click.option("--transaction-timeout", type=Duration(), help="The same unless said.")
@click.option(
    "--backend",
    type=click.Choice(BACKENDS),
    help="Where state lives; the same unless said. The savepoint moves it.",
)
@click.option(
    "--within",
    type=Duration(),
    default="90s",
    show_default=True,
    help="The new version has this long, and one checkpoint interval, to complete a checkpoint.",
)
@prefix_option
@state_option
def upgrade_command(
    name: str,
    rules: str | None,
    parallelism: int | None,
    checkpoint_interval: int | None,
    lateness: int | None,
    transaction_timeout: int | None,
    backend: Backend | None,
    within: int,
    prefix: str,
    state: Path,
) -> None:
    """Exchange a running job for this version, by a savepoint.

    What cannot work is refused before the running job is stopped: rules that are wrong, a plan
    that the state does not fit, too few slots. If the new version does not run, the former one
    goes on from the savepoint. Rule state whose rule is unchanged is kept.
    """
    at = Where(
        state=state,
        endpoints=read(state),
        who=named(name, prefix),
        within_s=within / 1000,
        say=lambda line: click.echo(line, err=True),
    )
    asked = Asked(
        rules=None if rules is None else kept_rules(state, rules),
        rules_after=None if rules is None else newest_version(at.endpoints, prefix),
        parallelism=parallelism,
        checkpoint_interval_ms=checkpoint_interval,
        lateness_ms=lateness,
        transaction_timeout_ms=transaction_timeout,
        backend=backend,
    )
    click.echo(f"{at.who.name}: runs as {upgrade(at, asked)}")
