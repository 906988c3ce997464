"""``gateway spool``."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import click

from schemas.failure import Failure

_CONFIG = click.option(
    "-c", "--config", "path", required=True, type=click.Path(dir_okay=False, path_type=Path),
    help="The gateway's TOML file.",
)  # fmt: skip
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
_OUT = click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="A file; else standard output."
)


@click.group()
def spool() -> None:
    """Look into the spool, whether the gateway runs or not.

    While it runs, it is asked; else its file is read.
    """


@spool.command()
@_CONFIG
@_JSON
def stats(path: Path, as_json: bool) -> None:
    """Say what the spool holds, and what was set aside."""
    from gateway import config, door  # noqa: PLC0415

    parsed = config.read(path)
    folder = Path(parsed.gateway.data_dir)
    with door.spool_of(folder) as opened:
        facts = opened.facts()
    age_s = 0 if facts.oldest_ts is None else max(time.time() - facts.oldest_ts / 1000, 0)
    told = {
        **{field: getattr(facts, field) for field in facts.__struct_fields__},
        "quota": int(parsed.spool.quota),
        "oldest_age_s": round(age_s, 1),
        "damaged_rows": sorted(p.name for p in folder.glob("spool.db.row-*[0-9]")),
        "set_aside": sorted(p.name for p in folder.glob("spool.db.corrupt-*[0-9]")),
    }
    _tell(told, as_json=as_json)


@spool.command()
@_CONFIG
@_JSON
def verify(path: Path, as_json: bool) -> None:
    """Check every checksum and every number in the spool.

    Exits with 1 if one is wrong.
    """
    from gateway import config, door, spool_rows  # noqa: PLC0415

    with door.spool_of(Path(config.read(path).gateway.data_dir)) as opened:
        found = spool_rows.verified(door.pages(opened))
    _tell(found._asdict(), as_json=as_json)
    if found.damage:
        raise SystemExit(1)


@spool.command()
@_CONFIG
@_OUT
@click.option("--limit", type=click.IntRange(1), help="At most so many messages.")
def export(path: Path, out: Path | None, limit: int | None) -> None:
    """Write the messages that wait, a JSON object a line.

    The oldest comes first. Nothing is removed.
    """
    from gateway import config, door, spool_rows  # noqa: PLC0415

    with door.spool_of(Path(config.read(path).gateway.data_dir)) as opened:
        count = _write(spool_rows.messages(door.pages(opened)), out, limit)
    click.echo(f"{count} messages", err=True)


@spool.command()
@_CONFIG
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@_OUT
@click.option("--into-spool", is_flag=True, help="Put them into the running gateway's spool.")
def salvage(path: Path, files: tuple[Path, ...], out: Path | None, into_spool: bool) -> None:
    """Read what can be read of FILES that were set aside.

    They are called spool.db.corrupt-* and spool.db.row-*. With --into-spool the messages are sent
    on like any other, with their times of receipt and new numbers: a reading without a time of its
    own that had reached Kafka before counts twice. Then the file is renamed to .salvaged; nothing
    is ever deleted.
    """
    from gateway import config, door, spool_rows  # noqa: PLC0415
    from gateway import salvage as salvaging  # noqa: PLC0415

    folder = Path(config.read(path).gateway.data_dir)
    for file in files:
        found = salvaging.read(file)
        for line in found.trouble:
            click.echo(f"{file}: {line}", err=True)
        count = sum(stored.chunk.messages for stored in found.chunks)
        if into_spool:
            with door.spool_of(folder) as opened:
                if not isinstance(opened, door.Asked):
                    raise Failure("the gateway does not run; start it, or write with --out")
                salvaging.put(found.chunks, opened.keep)
            file.rename(door.free_name(file, ".salvaged"))
            click.echo(f"{file}: {count} messages into the spool", err=True)
        else:
            every = (one for stored in found.chunks for one in spool_rows.plain(stored))
            _write(every, out, None)
            click.echo(f"{file}: {count} messages", err=True)


def _write(messages: Iterator[dict[str, Any]], out: Path | None, limit: int | None) -> int:
    import msgspec  # noqa: PLC0415

    count = 0
    with _opened(out) as to:
        for message in messages:
            if count == limit:
                break
            to.write(msgspec.json.encode(message) + b"\n")
            count += 1
    return count


@contextmanager
def _opened(out: Path | None) -> Iterator[IO[bytes]]:
    if out is None:
        yield sys.stdout.buffer
        return
    try:
        with out.open("ab") as to:
            yield to
    except OSError as error:
        raise Failure(f"{out}: {error.strerror}") from error


def _tell(told: dict[str, Any], *, as_json: bool) -> None:
    import msgspec  # noqa: PLC0415

    if as_json:
        click.echo(msgspec.json.encode(told))
        return
    for name, value in told.items():
        lines = value if isinstance(value, list) else [value]
        click.echo(f"{name:16} {chr(10).join(map(str, lines)) if lines else 'none'}")
