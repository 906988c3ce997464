"""Options that several commands share."""

from pathlib import Path
from typing import Any

import click

from schemas.amounts import duration
from schemas.topics import DEFAULT_PREFIX
from simulators.clock import parse_time

_LAST_MS = 253_402_300_800_000
"""The end of the year 9999, where times that can be written end."""
DEFAULT_STATE = Path(".tidegate/local")


class Duration(click.ParamType[int]):
    """A duration such as ``500ms``, ``10s`` or ``2h``, as milliseconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the milliseconds, or fail as click does."""
        if isinstance(value, int):
            return value
        try:
            return int(duration(str(value)))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Time(click.ParamType[int]):
    """A time such as ``2026-01-31T06:00Z``, or ms since the epoch, as ms since the epoch."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the milliseconds, or fail as click does."""
        if isinstance(value, int):
            return value
        text = str(value).strip()
        try:
            return _at_ms(text)
        except (ValueError, OverflowError):
            self.fail(
                f"{text!r} is no time up to the year 9999; expected ISO 8601, such as "
                "2026-01-31T06:00Z (UTC unless it says otherwise), or ms since the epoch",
                param,
                ctx,
            )


def _at_ms(text: str) -> int:
    at = int(text) if text.isdigit() else parse_time(text)
    if at >= _LAST_MS:
        raise ValueError(at)
    return at


prefix_option = click.option(
    "--prefix", default=DEFAULT_PREFIX, show_default=True, help="Of every topic."
)


sinks_option = click.option(
    "--sinks",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="TIDEGATE__SINKS",
    help="sinks.toml: where the databases are. The local stack's when left out.",
)


def _named(_context: click.Context, _option: click.Parameter, state: Path) -> Path:
    if str(state) == ".":
        raise click.BadParameter("name a folder of the stack's own, such as .tidegate/local")
    return state


state_option = click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_STATE,
    envvar="TIDEGATE__LOCAL__STATE",
    show_default=True,
    callback=_named,
    help="Folder of the local stack.",
)
