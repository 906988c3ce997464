"""``gateway install``."""

import re
import shutil
import socket
import sys
from pathlib import Path

import click

from schemas.failure import Failure


@click.command()
@click.option("--dry-run", is_flag=True, help="Show every file and step; change nothing.")
@click.option("--user", default="tidegate", show_default=True, help="Who the gateway runs as.")
@click.option(
    "--root",
    default=Path("/"),
    show_default=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Another root, for an image that is being made.",
)
def install(dry_run: bool, user: str, root: Path) -> None:
    """Write the systemd unit, and a configuration to begin with.

    The user that it runs as is made, too. It can be repeated: what is there already stays, and
    beside a file that was edited the new one is written as FILE.new.
    """
    from gateway import install as installing  # noqa: PLC0415

    if not re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}", user):
        raise click.BadParameter(f"{user!r} is no name of a user", param_hint="--user")
    plan = installing.Plan(root, user, _program(), _gateway_id())
    if installing.needs_root(plan) and not dry_run:
        raise Failure("writing to /etc needs root: sudo tidegate gateway install, or --dry-run")
    would = "would " if dry_run else ""
    for done in installing.install(plan, dry=dry_run, run=installing.run):
        _tell(done, would, show=dry_run)
    if not dry_run and root == Path("/") and Path("/run/systemd/system").is_dir():
        installing.run(["systemctl", "daemon-reload"])
    click.echo(f"next: edit /{installing.CONFIG}, then: systemctl enable --now tidegate", err=True)


def _tell(done: "tuple[str, str, str]", would: str, *, show: bool) -> None:
    what, where, text = done
    said = {
        "user": f"{would}create user {where}: {text}",
        "mkdir": f"{would}make {where} (0700, for secrets)",
        "write": f"{would}write {where}",
        "beside": f"{would}write {where}: the file beside it was edited and stays",
        "unchanged": f"unchanged {where}",
    }[what]
    click.echo(said)
    if show and what in ("write", "beside"):
        click.echo("".join(f"    {line}\n" for line in text.splitlines()))


def _program() -> str:
    found = shutil.which("tidegate")
    return found or f"{sys.executable} -m compose.cli"


def _gateway_id() -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname())[:64] or "gateway-1"
