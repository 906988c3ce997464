"""Options that several commands share."""

from pathlib import Path
from typing import Any

import click

from schemas.amounts import duration

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


state_option = click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_STATE,
    envvar="TIDEGATE__LOCAL__STATE",
    show_default=True,
    help="Folder of the local stack.",
)
