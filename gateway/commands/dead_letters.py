"""``gateway dead-letters``."""

import time
from pathlib import Path

import click

from schemas.amounts import duration
from schemas.failure import Failure

_CONFIG = click.option(
    "-c", "--config", "path", required=True, type=click.Path(dir_okay=False, path_type=Path),
    help="The gateway's TOML file.",
)  # fmt: skip
_SINCE = click.option("--since", default="7d", show_default=True, help="How far back, as 90m, 24h.")
_REASON = click.option("--reason", help="Only those of this reason, as NOT_A_NUMBER.")


@click.group("dead-letters")
def dead_letters() -> None:
    """See what could not become a reading, and send it again."""


@dead_letters.command()
@_CONFIG
@_SINCE
@_REASON
@click.option("--limit", default=100, show_default=True, help="At most the newest so many.")
@click.option("--all", "everyone", is_flag=True, help="Other gateways' and the jobs' as well.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line; payloads in base64.")
def ls(
    path: Path, since: str, reason: str | None, limit: int, everyone: bool, as_json: bool
) -> None:
    """List dead letters, the oldest first."""
    import msgspec  # noqa: PLC0415

    from gateway import config  # noqa: PLC0415
    from gateway import dead_letters as letters  # noqa: PLC0415

    every = letters.found(config.read(path), since_ms=_since(since), everyone=everyone)
    chosen = [one for one in every if reason in (None, one.letter.reason)]
    chosen.sort(key=lambda one: one.letter.at)
    for one in chosen[-limit:]:
        plain = {"id": one.id, **msgspec.to_builtins(one.letter)}
        click.echo(msgspec.json.encode(plain) if as_json else letters.line(one))
    if len(chosen) > limit:
        click.echo(f"{len(chosen) - limit} older ones are not shown; see --limit", err=True)


@dead_letters.command()
@_CONFIG
@click.argument("identity", metavar="ID")
def show(path: Path, identity: str) -> None:
    """Show one: its bytes, and what would become of them now."""
    from gateway import config  # noqa: PLC0415
    from gateway import dead_letters as letters  # noqa: PLC0415

    parsed = config.read(path)
    for one in letters.found(parsed, since_ms=0, everyone=True):
        if one.id == identity:
            click.echo("\n".join(letters.page(parsed, one)))
            return
    raise _unknown(identity)


@dead_letters.command()
@_CONFIG
@click.argument("identities", nargs=-1, metavar="[ID]...")
@_SINCE
@_REASON
@click.option("--again", is_flag=True, help="Also those that were sent again before.")
@click.option("--dry-run", is_flag=True, help="Say what would become of each; send nothing.")
def replay(
    path: Path,
    identities: tuple[str, ...],
    since: str,
    reason: str | None,
    again: bool,
    dry_run: bool,
) -> None:
    """Publish original messages again, by their IDs or by --reason.

    They go through the broker. Only those that the present configuration makes readings of are
    sent.
    """
    from gateway import config  # noqa: PLC0415
    from gateway import dead_letters as letters  # noqa: PLC0415

    if not identities and reason is None:
        raise click.UsageError("name dead letters by ID, or a --reason")
    parsed = config.read(path)
    known = set() if again else letters.replayed(parsed)
    since_ms = 0 if identities else _since(since)
    chosen, missed = [], dict.fromkeys(identities)
    for one in letters.found(parsed, since_ms=since_ms, everyone=False):
        if one.id not in identities and (identities or one.letter.reason != reason):
            continue
        missed.pop(one.id, None)
        why = "it was sent again before; see --again" if one.id in known else letters.why_not(one)
        if not why:
            now = letters.again(parsed, one)
            why = f"it still is {now.reason}: {now.detail}" if now.reason else ""
        click.echo(f"{one.id:10} {letters.printable(why) or 'is a reading now'}")
        chosen += [] if why else [one]
    if chosen and not dry_run:
        letters.replay(parsed, chosen)
    click.echo(f"{'would send' if dry_run else 'sent'} {len(chosen)}", err=True)
    if missed:
        raise _unknown(*missed)


def _unknown(*identities: str) -> Failure:
    told = ", ".join(identities)
    return Failure(f"no dead letter {told}; `tidegate gateway dead-letters ls` lists them")


def _since(text: str) -> int:
    try:
        return time.time_ns() // 1_000_000 - duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--since") from error
